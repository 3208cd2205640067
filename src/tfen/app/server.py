"""The server: pages, HTTP interface, live camera. Everything happens on this machine."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import FastAPI, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from tfen import __version__
from tfen.app import answers
from tfen.app.guard import PAGES, Guard, Names
from tfen.app.jobs import Job, Jobs, whole
from tfen.app.live import Live
from tfen.app.people import tell_anew
from tfen.app.settings import Limits, ServerSettings
from tfen.app.storage import own_folder
from tfen.app.uploads import FormFile, Refused
from tfen.app.wishes import Analyzers, JobWishes, Wishes, detectors
from tfen.errors import InputError, TfenError
from tfen.evaluation.runs import summaries
from tfen.inference import trust
from tfen.inference.analyzer import Analyzer
from tfen.inference.colours import colour_of, ink_on, letters_of
from tfen.inference.rows import schema
from tfen.progress import say

DOWNLOADS = {
    "results.csv": ("results.csv", "text/csv"),
    "results.jsonl": ("results.jsonl", "application/x-ndjson"),
    "episodes.csv": ("episodes.csv", "text/csv"),
    "summary.csv": ("summary.csv", "text/csv"),
    "files.csv": ("files.csv", "text/csv"),
    "elan.eaf": ("elan/*.eaf", "application/xml"),
    "boris.boris": ("boris/tfen.boris", "application/json"),
    "results.xlsx": ("results.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "film.mp4": ("films/*.mp4", "video/mp4"),
}
"""What can be downloaded of an analysis: its name, where it lies (the only file of that pattern), and its type."""
BODY = {
    "requestBody": {
        "required": True,
        "description": "The file itself, or a form with the file (`curl -F file=@film.mp4`).",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                }
            },
        },
    }
}
REFUSALS = {
    400: "empty, a damaged form, or the server is not known by this name", 408: "the upload took too long",
    413: "too large or too long", 415: "neither a film nor a photograph",
    422: "a setting that is not offered, or a film that cannot be analyzed",
    429: "too many films wait; `Retry-After` says when to come back",
}  # fmt: skip
ALWAYS = {
    400: "the server is not known by this name", 403: "a page from elsewhere", 500: "the server failed",
    503: "too many connections",
}  # fmt: skip
NO_SUCH, NOT_YET = {404: "there is no such analysis (any more)"}, {409: "the analysis is not done yet"}
TIDY_SECONDS = 1.0
"""Between looks for results that are old and analyses that nobody attends to."""


def make_app(settings: ServerSettings, limits: Limits) -> FastAPI:
    """Return the application.

    Raises:
        InputError: the first weights cannot be loaded.
    """
    analyzers = Analyzers(settings.weights)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with own_folder() as folder:
            jobs = app.state.jobs = Jobs(folder, analyzers, limits)
            tidying = asyncio.create_task(_tidy(jobs))
            yield
            tidying.cancel()
            await asyncio.to_thread(jobs.close)

    app = FastAPI(
        title="tfen",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses=_failures({**ALWAYS, **({401: "a token is needed"} if settings.token else {})}),
        generate_unique_id_function=lambda route: route.name,
    )
    names = Names(settings.host, settings.allow_host)
    app.add_middleware(Guard, names=names, token=settings.token, patience=limits.header_seconds)
    _add_failures(app, lambda: app.state.jobs)
    _add_server(app, settings, limits, analyzers)
    _add_analyses(app, analyzers, lambda: app.state.jobs)
    _add_camera(app, analyzers.live(), asyncio.Semaphore(limits.live))
    _add_runs(app, settings.runs)
    app.mount("/", StaticFiles(directory=PAGES, html=True), name="pages")
    app.openapi = _without_unfit_ids(app)
    return app


async def _tidy(jobs: Jobs) -> None:
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        await asyncio.to_thread(jobs.tidy)


def _failures(reasons: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": answers.Failure, "description": reason} for status, reason in reasons.items()}


def _answered(kind: str) -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI tells of an answer that is no JSON."""
    shape = {"type": "string"} if kind.startswith("text/") else {"type": "string", "format": "binary"}
    return {200: {"content": {kind: {"schema": shape}}}}


def _without_unfit_ids(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what makes the OpenAPI description, without the failures of ids that do not fit: any text is one."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        whole = describe()
        for operations in whole["paths"].values():
            for operation in operations.values():
                failure = operation["responses"].get("422", {}).get("content", {}).get("application/json", {})
                if failure.get("schema", {}).get("$ref", "").endswith("/HTTPValidationError"):
                    del operation["responses"]["422"]
        for name in ("HTTPValidationError", "ValidationError"):
            whole["components"]["schemas"].pop(name, None)
        return whole

    return described


def _add_failures(app: FastAPI, jobs: Callable[[], Jobs]) -> None:
    """Give every failure one form: `{"error": "one sentence"}`."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        headers = {"Retry-After": str(jobs().wait_for())} if error.status == 429 else {}
        # the rest of the body is not read: the connection cannot be used again
        return JSONResponse({"error": error.sentence}, error.status, {**headers, "Connection": "close"})

    @app.exception_handler(TfenError)
    async def unfit_for_it(request: Request, error: TfenError) -> Response:
        return JSONResponse({"error": str(error)}, 422 if isinstance(error, InputError) else 500)

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        sentence = {404: "there is nothing at this address", 405: f"{request.method} is not possible here"}
        return JSONResponse(
            {"error": sentence.get(error.status_code, str(error.detail))}, error.status_code, error.headers
        )

    @app.exception_handler(RequestValidationError)
    async def unfit(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse({"error": f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"}, 422)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        say(f"{request.method} {request.url.path}: {error!r}")
        return JSONResponse({"error": "the server failed; its log says why"}, 500)


def _add_server(app: FastAPI, settings: ServerSettings, limits: Limits, analyzers: Analyzers) -> None:
    @app.get("/api/health", tags=["server"])
    async def health() -> answers.Health:
        """Say that the server works."""
        return answers.Health(status="ok")

    @app.get("/api/version", tags=["server"])
    async def version() -> answers.Version:
        """Tell the version, what can be chosen, the limits, and how far results can be trusted."""
        names = analyzers.expressions
        colours = {name: colour_of(name, names) for name in names}
        described = schema(names)["properties"]
        return answers.Version(
            tfen=__version__,
            weights=list(settings.weights),
            detectors=list(detectors()),
            expressions={
                name: answers.Expression(colour=colour, ink=ink_on(colour), letters=letters_of(name, names))
                for name, colour in colours.items()
            },
            step=analyzers.first.step,
            limits=answers.LimitsOf.model_validate(asdict(limits)),
            trust=answers.Trust(
                least_size=trust.LEAST_SIZE,
                least_sharpness=trust.LEAST_SHARPNESS,
                most_turn=trust.MOST_TURN,
                sentences={name: trust.on_strangers(name) for name in settings.weights},
            ),
            columns={name: values["description"] for name, values in described.items()},
        )

    @app.get("/api/schema", tags=["server"])
    async def described() -> dict[str, Any]:
        """Give the JSON schema of a result."""
        return schema(analyzers.expressions)


def _add_analyses(app: FastAPI, analyzers: Analyzers, jobs: Callable[[], Jobs]) -> None:
    results_type = answers.results_of(analyzers.expressions)
    naming = asyncio.Lock()

    @app.post(
        "/api/analyze",
        tags=["analysis"],
        openapi_extra=BODY,
        response_model=results_type,
        responses=_failures(REFUSALS),
    )
    async def analyze(request: Request, wishes: Annotated[Wishes, Query()]) -> Response:
        """Analyze a film or photograph and answer when all is done; who hangs up gives it up."""
        job = await _take(request, jobs(), JobWishes.model_validate(wishes.model_dump()))
        try:
            while job.finished is None and not await request.is_disconnected():
                await asyncio.sleep(0.05)
            return await _all_of(jobs(), _done(job))
        finally:
            jobs().remove(job)

    @app.post("/api/jobs", status_code=202, tags=["analysis"], openapi_extra=BODY, responses=_failures(REFUSALS))
    async def add(request: Request, wishes: Annotated[JobWishes, Query()]) -> answers.JobStatus:
        """Queue a film or photograph and answer at once."""
        return _status(jobs(), await _take(request, jobs(), wishes))

    @app.get("/api/jobs/{id}", tags=["analysis"], responses=_failures(NO_SUCH))
    async def status(id: str) -> answers.JobStatus:
        """Tell how far an analysis is."""
        return _status(jobs(), jobs().find(id))

    @app.get(
        "/api/jobs/{id}/results", tags=["analysis"], response_model=results_type,
        responses=_failures({**NO_SUCH, **NOT_YET, 422: "the analysis failed"}),
    )  # fmt: skip
    async def results(id: str) -> Response:
        """Give everything that a finished analysis found, with the names that it was given."""
        return await _all_of(jobs(), _done(jobs().find(id)))

    @app.get(
        "/api/jobs/{id}/events", tags=["analysis"], response_class=StreamingResponse,
        responses={**_failures(NO_SUCH), **_answered("text/event-stream")},
    )  # fmt: skip
    async def events(id: str) -> StreamingResponse:
        """Stream the results as they come (server-sent events): `row` for each, `state` now and then and at the end."""
        job = jobs().find(id)
        return StreamingResponse(_events(jobs(), job), media_type="text/event-stream")

    @app.put(
        "/api/jobs/{id}/people", tags=["analysis"], response_model=results_type,
        responses=_failures({**NO_SUCH, **NOT_YET, 422: "people that cannot be"}),
    )  # fmt: skip
    async def name_people(id: str, people: answers.People) -> Response:
        """Name faces, and tell which numbers are one person; all tables are written anew. An empty list undoes it."""
        job = _done(jobs().find(id))
        async with naming:  # the tables of one telling are not mixed with those of another
            job.renamed = (
                await asyncio.to_thread(tell_anew, job, people.people, analyzers.expressions) if people.people else None
            )
            job.people = people.people
            return await _all_of(jobs(), job)

    @app.get(
        "/api/jobs/{id}/{file}", tags=["analysis"], response_class=FileResponse,
        responses={**_failures({**NO_SUCH, **NOT_YET, 422: "the analysis failed"}), **_answered("application/octet-stream")},
    )  # fmt: skip
    async def download(id: str, file: str) -> FileResponse:
        """Download results.csv, results.jsonl, episodes.csv, summary.csv, files.csv, results.xlsx, elan.eaf, boris.boris or (where it
        was asked for) film.mp4; the film's name is part of the download's."""
        job = _done(jobs().find(id))
        if file not in DOWNLOADS:
            raise Refused(404, f"there is no such file; choose from {', '.join(DOWNLOADS)}")
        place, kind = DOWNLOADS[file]
        folders = [folder for folder in (job.renamed, job.out) if folder is not None]
        path = next((path for folder in folders for path in folder.glob(place)), None)
        if path is None:
            raise Refused(404, f"this analysis has no {file}")
        return FileResponse(path, media_type=kind, headers=_as_attachment(f"{Path(job.name).stem}-{file}"))

    @app.delete("/api/jobs/{id}", status_code=204, tags=["analysis"], responses=_failures(NO_SUCH))
    async def remove(id: str) -> None:
        """Give an analysis up and delete all of it."""
        jobs().remove(jobs().find(id))


def _add_camera(app: FastAPI, live: Analyzer, cameras: asyncio.Semaphore) -> None:
    @app.websocket("/api/live")
    async def camera(socket: WebSocket) -> None:
        """Take a camera's pictures and tell what the faces show.

        The client sends, for each picture, 8 bytes (its time in seconds, a big-endian double) and a JPEG; it gets JSON
        with the rows of the latest step.
        """
        await socket.accept()
        if cameras.locked():
            await socket.close(1013, "too many cameras; try again later")
            return
        async with cameras:
            await _watch_camera(socket, live)


def _add_runs(app: FastAPI, runs: Path | None) -> None:
    @app.get("/api/runs", tags=["runs"])
    async def list_runs() -> list[answers.Run]:
        """List the finished cross-validations found in the folder that the server was given."""
        listed = [] if runs is None else await asyncio.to_thread(summaries, runs)
        return [answers.Run.model_validate(one) for one in listed]

    if runs is not None:
        app.mount("/runs", StaticFiles(directory=runs, html=True), name="runs")


async def _take(request: Request, jobs: Jobs, wishes: JobWishes) -> Job:
    kind = request.headers.get("content-type", "")
    form = kind.lower().startswith("multipart/form-data")
    chunks = FormFile(request.stream(), kind) if form else request.stream()
    return await jobs.add(chunks, request.headers.get("content-length"), wishes)


def _status(jobs: Jobs, job: Job) -> answers.JobStatus:
    return answers.JobStatus.model_validate(jobs.status(job))


def _done(job: Job) -> Job:
    if job.state == "failed":
        raise Refused(422, job.error)
    if job.finished is None:
        raise Refused(409, "the analysis is not done yet")
    return job


async def _all_of(jobs: Jobs, job: Job) -> Response:
    """Answer with all results; long films have many, so the loop of the server does not do it."""
    return await asyncio.to_thread(lambda: JSONResponse(whole(jobs, job)))


def _as_attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}


async def _events(jobs: Jobs, job: Job) -> AsyncIterator[str]:
    sent, before = 0, ""
    with job.listened():
        while True:
            final = job.finished is not None
            rows = job.results()
            for row in rows[sent:]:
                yield f"event: row\ndata: {_json(row)}\n\n"
            sent = len(rows)
            now = _json(jobs.status(job))
            if now != before:
                before = now
                yield f"event: state\ndata: {now}\n\n"
            if final or job.cancelled:
                return
            await asyncio.sleep(0.2)


def _json(value: Any) -> str:
    return JSONResponse(value).body.decode()


async def _watch_camera(socket: WebSocket, live: Analyzer) -> None:
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    newest: list[dict[str, Any]] | None = []

    def keep(rows: list[dict[str, Any]] | None) -> None:
        nonlocal newest
        newest = rows
        came.set()

    def on_rows(rows: list[dict[str, Any]] | None) -> None:
        with suppress(RuntimeError):  # the server ends
            loop.call_soon_threadsafe(keep, rows)

    async def tell() -> None:
        while True:
            await came.wait()
            came.clear()
            if newest is None:
                await socket.close(1011, "the analysis failed; the server's log says why")
                return
            await socket.send_json({"rows": newest})

    session = Live(live, on_rows)
    telling = asyncio.create_task(tell())
    try:
        while True:
            data = await socket.receive_bytes()
            if len(data) > 10:
                session.show(data[8:], _time(data[:8]))
    except (WebSocketDisconnect, KeyError, RuntimeError):
        pass
    finally:
        telling.cancel()
        await asyncio.to_thread(session.close)


def _time(data: bytes) -> float:
    time = float(struct.unpack(">d", data)[0])
    return time if 0 <= time < 1e7 else -1.0
