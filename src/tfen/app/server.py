"""The server: pages, HTTP interface, live camera. Everything happens on this machine."""

import asyncio
import json
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware

from tfen import __version__
from tfen.app.jobs import Job, Jobs, whole
from tfen.app.live import Live, decode
from tfen.app.uploads import Limits, Refused
from tfen.evaluation.runs import summaries
from tfen.inference.analyzer import Analyzer
from tfen.inference.colours import colour_of
from tfen.inference.rows import schema
from tfen.models.weights import load

PAGES = Path(__file__).parent / "static"
POLICY = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'"
DOWNLOADS = {
    "results.csv": ("results.csv", "text/csv"),
    "results.jsonl": ("results.jsonl", "application/x-ndjson"),
    "episodes.csv": ("episodes.csv", "text/csv"),
    "summary.csv": ("summary.csv", "text/csv"),
    "film.mp4": ("films/upload.mp4", "video/mp4"),
}
"""What can be downloaded of an analysis: its name, where it lies, and its type."""


def make_app(weights: str, limits: Limits, hosts: list[str], runs: Path | None = None) -> FastAPI:
    """Return the application.

    Args:
        weights: what `tfen.load` takes.
        limits: of uploads, the queue and cameras.
        hosts: names under which the server may be asked; others are refused, so that no page from elsewhere can reach it.
        runs: folder in which finished runs are looked for.
    """
    loaded = load(weights)
    analyzer, live = Analyzer(loaded), Analyzer(loaded, live=True, window=0.8, smoothing=0.4)
    cameras = asyncio.Semaphore(limits.live)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="tfen-app-") as folder:
            app.state.jobs = Jobs(Path(folder), analyzer, limits)
            yield
            await asyncio.to_thread(app.state.jobs.close)

    app = FastAPI(
        title="tfen",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)

    def jobs() -> Jobs:
        return app.state.jobs

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        headers = {"Retry-After": str(jobs().wait_for())} if error.status == 429 else {}
        # the rest of the body is not read: the connection cannot be used again
        return JSONResponse({"error": error.sentence}, error.status, {**headers, "Connection": "close"})

    @app.middleware("http")
    async def guarded(request: Request, answer: Any) -> Response:
        if request.method not in ("GET", "HEAD") and not _same_origin(request.headers):
            return JSONResponse({"error": "pages from elsewhere may not use this server"}, 403)
        response: Response = await answer(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.get("/api/health", tags=["server"])
    async def health() -> dict[str, str]:
        """Say that the server works."""
        return {"status": "ok"}

    @app.get("/api/version", tags=["server"])
    async def version() -> dict[str, Any]:
        """Tell the version, the expressions with their colours, and the limits."""
        colours = {name: colour_of(name, analyzer.expressions) for name in analyzer.expressions}
        return {
            "tfen": __version__,
            "weights": weights,
            "expressions": colours,
            "step": analyzer.step,
            "limits": vars(limits),
        }

    @app.get("/api/schema", tags=["server"])
    async def described() -> dict[str, Any]:
        """Give the JSON schema of a result."""
        return schema(analyzer.expressions)

    body = {
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    }
    Name = Annotated[str, Query(max_length=300, description="The file's name, for display.")]

    @app.post("/api/analyze", tags=["analysis"], openapi_extra=body)
    async def analyze(request: Request, name: Name = "upload") -> dict[str, Any]:
        """Analyze a film or photograph, sent as the request's body, and answer when all is done."""
        job = await jobs().add(request.stream(), request.headers.get("content-length"), name, annotate=False)
        try:
            while job.finished is None:
                if await request.is_disconnected():
                    break
                await asyncio.sleep(0.05)
            if job.state != "done":
                raise Refused(422, job.error)
            return await asyncio.to_thread(whole, job)
        finally:
            jobs().remove(job)

    @app.post("/api/jobs", status_code=202, tags=["analysis"], openapi_extra=body)
    async def add(request: Request, name: Name = "upload", annotate: bool = False) -> dict[str, Any]:
        """Queue a film or photograph, sent as the request's body, and answer at once."""
        job = await jobs().add(request.stream(), request.headers.get("content-length"), name, annotate)
        return job.status()

    @app.get("/api/jobs/{id}", tags=["analysis"])
    async def status(id: str) -> dict[str, Any]:
        """Tell how far an analysis is."""
        return jobs().find(id).status()

    @app.get("/api/jobs/{id}/results", tags=["analysis"])
    async def results(id: str) -> dict[str, Any]:
        """Give everything that a finished analysis found."""
        return await asyncio.to_thread(whole, _done(jobs().find(id)))

    @app.get("/api/jobs/{id}/events", tags=["analysis"], response_class=StreamingResponse)
    async def events(id: str) -> StreamingResponse:
        """Stream the results as they come (server-sent events): `row` for each, `state` now and then and at the end."""
        return StreamingResponse(
            _events(jobs().find(id)), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @app.get("/api/jobs/{id}/{file}", tags=["analysis"], response_class=FileResponse)
    async def download(id: str, file: str) -> FileResponse:
        """Download results.csv, results.jsonl, episodes.csv, summary.csv or (where it was asked for) film.mp4."""
        job = _done(jobs().find(id))
        if file not in DOWNLOADS or not (job.out / DOWNLOADS[file][0]).is_file():
            raise Refused(404, f"there is no such file; choose from {', '.join(DOWNLOADS)}")
        place, kind = DOWNLOADS[file]
        return FileResponse(job.out / place, media_type=kind, filename=file)

    @app.delete("/api/jobs/{id}", status_code=204, tags=["analysis"])
    async def remove(id: str) -> None:
        """Give an analysis up and delete all of it."""
        jobs().remove(jobs().find(id))

    @app.websocket("/api/live")
    async def camera(socket: WebSocket) -> None:
        """Take a camera's pictures and tell what the faces show.

        The client sends, for each picture, 8 bytes (its time in seconds, a big-endian double) and a JPEG; it gets JSON
        with the rows of the latest step.
        """
        if not _same_origin(socket.headers):
            await socket.close(1008)
            return
        await socket.accept()
        if cameras.locked():
            await socket.close(1013, "too many cameras; try again later")
            return
        async with cameras:
            await _watch_camera(socket, live)

    @app.get("/api/runs", tags=["runs"])
    async def list_runs() -> list[dict[str, Any]]:
        """List the finished cross-validations found in the folder that the server was given."""
        return [] if runs is None else await asyncio.to_thread(summaries, runs)

    if runs is not None:
        app.mount("/runs", StaticFiles(directory=runs, html=True), name="runs")
    app.mount("/", StaticFiles(directory=PAGES, html=True), name="pages")
    return app


def _done(job: Job) -> Job:
    if job.state == "failed":
        raise Refused(422, job.error)
    if job.state != "done":
        raise Refused(409, "the analysis is not done yet")
    return job


async def _events(job: Job) -> AsyncIterator[str]:
    sent, state = 0, ""
    while True:
        final = job.finished is not None
        rows = job.rows[sent:]
        sent += len(rows)
        for row in rows:
            yield f"event: row\ndata: {json.dumps(row)}\n\n"
        now = json.dumps(job.status())
        if now != state:
            state = now
            yield f"event: state\ndata: {now}\n\n"
        if final:
            return
        await asyncio.sleep(0.2)


async def _watch_camera(socket: WebSocket, live: Analyzer) -> None:
    loop, latest = asyncio.get_running_loop(), asyncio.Queue[Any]()

    def on_rows(rows: list[dict[str, Any]]) -> None:
        loop.call_soon_threadsafe(latest.put_nowait, rows)

    session = Live(live, on_rows)

    async def tell() -> None:
        while True:
            rows = await latest.get()
            while not latest.empty():  # only the newest is worth sending
                rows = latest.get_nowait()
            await socket.send_json({"rows": rows})

    telling = asyncio.create_task(tell())
    try:
        while True:
            data = await socket.receive_bytes()
            if len(data) < 10:
                continue
            image = await asyncio.to_thread(decode, data[8:])
            if image is not None:
                session.show(image, _time(data[:8]))
    except (WebSocketDisconnect, KeyError, RuntimeError):
        pass
    finally:
        telling.cancel()
        await asyncio.to_thread(session.close)


def _time(data: bytes) -> float:
    time = float(struct.unpack(">d", data)[0])
    return time if 0 <= time < 1e7 else -1.0


def _same_origin(headers: Any) -> bool:
    """Tell whether a request comes from this server's own page, or from no page at all."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
