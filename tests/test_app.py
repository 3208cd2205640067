"""The page and the HTTP interface, from outside: a real server, a real browser."""

import contextlib
import http.client
import io
import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import uvicorn
from conftest import SMALL, refuses
from films import actor, paste, scene, shots, still, write_film
from PIL import Image as Pillow

from tfen.app.server import make_app
from tfen.app.uploads import Limits, shown_name
from tfen.cli import main
from tfen.labels import EXPRESSIONS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Server:
    """A server in a thread, and how to ask it."""

    def __init__(self, weights: Path, limits: Limits, runs: Path | None = None) -> None:
        app = make_app(str(weights), limits, ["127.0.0.1"], runs)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Send a request; return status, the answer (JSON where it is) and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        kind = answer.headers.get("content-type", "")
        return answer.status, json.loads(data) if "json" in kind and data else data, dict(answer.headers)

    def finished(self, id: str) -> dict[str, Any]:
        while True:
            state = self.ask("GET", f"/api/jobs/{id}")[1]
            if state["state"] in ("done", "failed"):
                return state
            time.sleep(0.05)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)


@pytest.fixture(scope="module")
def server(weights: Path) -> Iterator[Server]:
    one = Server(weights, Limits(megabytes=4, seconds=20))
    yield one
    one.stop()


@pytest.fixture(scope="module")
def film(actors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "a.mp4", *still(actors, 2.0))


def test_a_film_is_answered_as_the_command_would(server: Server, film: Path, weights: Path, tmp_path: Path) -> None:
    status, said, _ = server.ask("POST", "/api/analyze?name=a.mp4", film.read_bytes())
    assert (status, said["kind"], said["state"]) == (200, "film", "done")
    with pytest.raises(SystemExit):
        main(["analyze", str(film), "--out", str(tmp_path / "out"), "--weights", str(weights)])
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [{**line, "file": "a.mp4"} for line in lines] == said["results"]
    assert [one["face"] for one in said["summary"]] == [0]
    described = server.ask("GET", "/api/schema")[1]
    assert described == json.loads((tmp_path / "out" / "schema.json").read_text())


def test_jobs_are_streamed_downloaded_and_deleted(server: Server, film: Path) -> None:
    status, job, _ = server.ask("POST", "/api/jobs?name=my%20film.mp4&annotate=true", film.read_bytes())
    assert status == 202
    assert job["name"] == "my film.mp4"
    events = server.ask("GET", f"/api/jobs/{job['id']}/events")[1].decode().strip().split("\n\n")
    rows = [json.loads(one.split("data: ")[1]) for one in events if one.startswith("event: row")]
    assert json.loads(events[-1].split("data: ")[1])["state"] == "done"
    whole = server.ask("GET", f"/api/jobs/{job['id']}/results")[1]
    assert whole["results"] == rows
    assert len(rows) == 10
    table = server.ask("GET", f"/api/jobs/{job['id']}/results.csv")[1].decode()
    assert len(table.splitlines()) == 11
    annotated = server.ask("GET", f"/api/jobs/{job['id']}/film.mp4")[1]
    assert annotated[4:8] == b"ftyp"
    for path in (f"{job['id']}/..%2fupload", f"{job['id']}/analysis.json", "nobody", "nobody/results"):
        assert server.ask("GET", f"/api/jobs/{path}")[0] == 404
    assert server.ask("DELETE", f"/api/jobs/{job['id']}")[0] == 204
    assert server.ask("GET", f"/api/jobs/{job['id']}")[0] == 404


def test_uploads_are_deleted_as_soon_as_they_were_used(
    film: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one = Server(weights, Limits(megabytes=4, seconds=20))

    def there() -> set[str]:
        """What lies in the server's folder, results apart."""
        return {path.name for path in tmp_path.rglob("*") if path.is_file() and "out" not in path.parts}

    try:
        job = one.ask("POST", "/api/jobs?name=a.mp4", film.read_bytes())[1]
        assert there()
        assert one.finished(job["id"])["state"] == "done"
        assert not there()
        assert one.ask("POST", "/api/jobs?name=a.mp4", b"no film at all")[0] == 415
        assert not there()
        broken = film.read_bytes()[: film.stat().st_size // 2]
        status, said, _ = one.ask("POST", "/api/jobs?name=b.mp4", broken)
        if status == 202:
            one.finished(said["id"])
        assert not there()
        assert list(tmp_path.rglob("results.csv"))
        assert one.ask("DELETE", f"/api/jobs/{job['id']}")[0] == 204
        assert not [path for path in tmp_path.rglob("*") if job["id"] in path.parts]
    finally:
        one.stop()
    assert not list(tmp_path.iterdir())


def test_concurrent_requests_do_not_mix(server: Server, actors: Path, tmp_path: Path) -> None:
    films = [write_film(tmp_path / f"{k}.mp4", *still(actors, 0.8, k % 2, 60 + 70 * k)) for k in range(5)]
    found: dict[int, Any] = {}

    def ask(k: int) -> None:
        found[k] = server.ask("POST", f"/api/analyze?name={k}.mp4", films[k].read_bytes())

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, (status, said, _) in found.items():
        assert status == 200
        assert {row["file"] for row in said["results"]} == {f"{k}.mp4"}
        assert said["results"][1]["left"] + said["results"][1]["width"] / 2 == pytest.approx(135 + 70 * k, abs=25)


def test_a_full_queue_says_when_to_come_back(weights: Path, film: Path) -> None:
    one = Server(weights, Limits(waiting=2))
    try:
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(one.ask("POST", "/api/analyze", film.read_bytes())))
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counts = {status: sum(answer[0] == status for answer in answers) for status in (200, 429)}
        assert counts[200] >= 2
        assert counts[429] >= 1
        assert sum(counts.values()) == 12
        for status, said, headers in answers:
            if status == 429:
                assert int(headers["retry-after"]) >= 1
                assert "come back in" in said["error"]
        assert one.ask("POST", "/api/analyze", film.read_bytes())[0] == 200
    finally:
        one.stop()


def _png(width: int, height: int) -> bytes:
    """The header of a picture that would be huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_a_hundred_hostile_uploads_leave_it_serving(server: Server, film: Path, actors: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    good = film.read_bytes()
    uploads: list[tuple[str, bytes]] = [
        ("empty", b""), ("text", b"hello"), ("html", b"<html><script>alert(1)</script>"), ("zip", b"PK\x03\x04" + rng.bytes(3000)),
        ("bomb", _png(60000, 60000)), ("wide", _png(2**31 - 1, 1)), ("cut png", _png(64, 64)[:40]), ("large", rng.bytes(5 * 2**20)),
        ("playlist", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"), ("concat", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        ("svg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    ]  # fmt: skip
    long = write_film(tmp_path / "long.mp4", [scene(0, (64, 48))] * 30, [float(k) for k in range(30)])
    uploads.append(("long", long.read_bytes()))
    for k in range(90):
        damaged = bytearray(good)
        if k % 3 == 0:
            damaged = damaged[: int(rng.integers(1, len(good)))]
        for at in rng.integers(0, len(damaged), 1 + k % 60):
            damaged[at] = int(rng.integers(256))
        uploads.append((f"damaged {k}", bytes(damaged)))
    names = ("../../etc/passwd", "..%5c..%5cx", "%00", "a" * 280, "%3Cimg%20src%3Dx%3E.mp4", "CON", "-rf", ".")
    for k, (what, data) in enumerate(uploads):
        status, said, _ = server.ask("POST", f"/api/analyze?name={names[k % len(names)]}", data)
        assert status in (200, 400, 413, 415, 422), (what, status, said)
        if status != 200:
            assert said["error"], what
            assert "/tmp" not in said["error"], said
            assert "Traceback" not in said["error"]
        if not what.startswith("damaged"):
            assert status != 200, what
    assert server.ask("POST", "/api/analyze", good)[0] == 200


def test_slow_clients_and_strangers_are_turned_away(weights: Path, film: Path) -> None:
    one = Server(weights, Limits(upload_seconds=0.5))
    try:
        slow = socket.create_connection(("127.0.0.1", one.port))
        slow.sendall(b"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nslow")
        slow.settimeout(10)
        assert b"408" in slow.recv(200)
        slow.close()
        assert one.ask("GET", "/api/health", Host="evil.example")[0] == 400
        assert one.ask("POST", "/api/jobs", b"x", Origin="http://evil.example")[0] == 403
        status, _, headers = one.ask("GET", "/")
        assert status == 200
        assert "default-src 'self'" in headers["content-security-policy"]
        assert one.ask("GET", "/..%2fserver.py")[0] == 404
        paths = one.ask("GET", "/api/openapi.json")[1]["paths"]
        assert {"/api/analyze", "/api/jobs", "/api/jobs/{id}/events", "/api/health"} <= set(paths)
        assert one.ask("POST", "/api/analyze", film.read_bytes())[0] == 200
    finally:
        one.stop()


def test_names_are_shown_and_nothing_more() -> None:
    assert shown_name("C:\\films\\a.mp4") == "a.mp4"
    assert shown_name("../../etc/passwd") == "passwd"
    assert shown_name("\x00\n") == "upload"
    assert len(shown_name("x" * 500)) == 100


def test_what_cannot_be_served_gets_one_sentence(weights: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refuses("app", "--port", port, "--weights", weights, says="choose another with --port")
    refuses("app", "--runs", tmp_path / "none", says="is no folder")
    refuses("app", "--weights", tmp_path / "none", "--port", 0, says="holds no weights")


def test_the_command_serves_until_it_is_stopped(weights: Path) -> None:
    command = [sys.executable, "-m", "tfen.cli", "app", "--port", "0", "--weights", str(weights)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=20)
        connection.request("GET", "/api/health")
        assert connection.getresponse().read() == b'{"status":"ok"}'
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playing:
        yield playing


@pytest.fixture(scope="module")
def browser(playwright: Any) -> Iterator[Any]:
    one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
    yield one
    one.close()


def _no_serious_violation(page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    serious = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(found)[:2000]


@pytest.mark.extra("playwright")
def test_a_film_on_the_page(server: Server, browser: Any, actors: Path, tmp_path: Path) -> None:
    face, back = actor(actors, "s0000-happiness"), scene(0)
    film = write_film(tmp_path / "smile.mp4", *shots(lambda t: paste(back, face[min(4, int(2 * t))], 200, 90), 3.0))
    page = browser.new_page(viewport={"width": 1000, "height": 900}, bypass_csp=True)  # the test itself needs eval
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"http://127.0.0.1:{server.port}/")
    _no_serious_violation(page)
    page.set_input_files("#file", str(film))
    page.click("#start")
    page.wait_for_selector("#found:not([hidden])", timeout=60000)
    assert page.locator("#people tbody tr").count() == 1
    line = page.locator(".timeline canvas")
    box = line.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 5)
    time_now = "document.querySelector('video').currentTime"
    assert page.evaluate(time_now) == pytest.approx(1.5, abs=0.2)
    line.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(time_now) == pytest.approx(2.5, abs=0.2)
    page.keyboard.press("Home")
    assert page.evaluate(time_now) == 0
    page.evaluate("document.querySelector('video').play()")
    page.wait_for_function(f"{time_now} > 0.3")
    page.wait_for_function("document.querySelector('.timeline canvas').getAttribute('aria-valuenow') > 0.2")
    with page.expect_download() as download:
        page.click("text=results.csv")
    assert len(Path(download.value.path()).read_text().splitlines()) == 17
    _no_serious_violation(page)
    for width in (1000, 360):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.emulate_media(color_scheme="dark")
    _no_serious_violation(page)
    assert not problems
    page.close()


@pytest.mark.extra("playwright")
def test_a_film_chosen_before_the_page_is_ready_is_not_forgotten(server: Server, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear all")
    page = browser.new_page()
    held: list[Any] = []
    page.route("**/api/version", lambda route: held.append(route))
    page.goto(f"http://127.0.0.1:{server.port}/", wait_until="domcontentloaded")
    page.set_input_files("#file", str(tmp_path / "letter.mp4"))
    page.wait_for_timeout(100)
    assert page.is_disabled("#start")
    assert page.is_disabled("#record")
    held[0].continue_()
    page.click("#start")
    page.wait_for_selector("#failed:not([hidden])")
    page.close()


@pytest.mark.extra("playwright")
def test_what_is_no_film_is_told_on_the_page(server: Server, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear all")
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/")
    page.set_input_files("#file", str(tmp_path / "letter.mp4"))
    page.click("#start")
    page.wait_for_selector("#failed:not([hidden])")
    assert "neither a film nor a photograph" in page.inner_text("#failed")
    picture = io.BytesIO()
    Pillow.fromarray(scene(2)).save(picture, "PNG")
    (tmp_path / "photo.png").write_bytes(picture.getvalue())
    page.set_input_files("#file", str(tmp_path / "photo.png"))
    page.click("#start")
    page.wait_for_selector("#found:not([hidden])")
    assert "No face was seen" in page.inner_text("#people")
    assert not page.is_visible("#failed")
    page.close()


@pytest.mark.extra("playwright")
def test_the_camera_live(server: Server, playwright: Any, actors: Path, tmp_path: Path) -> None:
    """A fake camera shows a synthetic film; boxes come back soon after."""
    images, _ = still(actors, 1.0)
    with (tmp_path / "camera.mjpeg").open("wb") as file:
        for image in images:
            file.write(cv2.imencode(".jpg", image[..., ::-1])[1].tobytes())
    flags = ["--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
             f"--use-file-for-fake-video-capture={tmp_path / 'camera.mjpeg'}"]  # fmt: skip
    one = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
    page = one.new_page(bypass_csp=True)
    page.goto(f"http://127.0.0.1:{server.port}/live.html")
    _no_serious_violation(page)
    page.click("#start")
    page.wait_for_function("document.getElementById('label').textContent !== 'nobody'", timeout=30000)
    assert page.inner_text("#label") in EXPRESSIONS
    page.emulate_media(reduced_motion="reduce")
    bars = """[...document.querySelectorAll('.bar div')].map((bar) =>
        [bar.parentElement.nextElementSibling.textContent, bar.offsetWidth / bar.parentElement.offsetWidth])"""
    page.wait_for_function(f"{bars}.every(([text, share]) => Math.abs(parseFloat(text) / 100 - share) < 0.02)")
    page.wait_for_timeout(1500)
    delays = []
    for _ in range(8):
        page.wait_for_timeout(150)
        delays.append(float(page.get_attribute("#delay", "data-seconds")))
    assert min(delays) < 2  # for a machine under load; benchmarks/serving.py measures it
    _no_serious_violation(page)
    page.click("#stop")
    assert page.inner_text("#state") == "Stopped"
    one.close()
    assert server.ask("GET", "/api/health")[0] == 200


@pytest.mark.extra("playwright")
def test_finished_runs_side_by_side(weights: Path, tiny_set: Path, browser: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("one", "two"):
        with contextlib.suppress(SystemExit):
            main(["crossval", str(tiny_set), str(runs / name), "--folds.count", "2", "--folds.only", "0", *SMALL])
    with contextlib.suppress(SystemExit):
        main(["report", str(runs / "one")])
    one = Server(weights, Limits(), runs)
    try:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{one.port}/runs.html")
        page.wait_for_selector("#runs tbody tr")
        assert page.locator("#runs tbody tr").count() == 2
        assert page.locator("#runs a").count() == 1
        _no_serious_violation(page)
        page.click("#runs a")
        assert "tfen" in page.inner_text("body")
        assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        page.close()
    finally:
        one.stop()


def test_the_container_says_what_there_is(server: Server) -> None:
    """Its steps are a script; the files that it copies exist, what it starts is a command, and its check works."""
    root = Path(__file__).parent.parent
    lines = (root / "container" / "Dockerfile").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY"):
            assert (root / line.split()[1]).exists(), line
    start = json.loads(next(line for line in lines if line.startswith("CMD")).removeprefix("CMD "))
    assert start[0] == "tfen"
    with pytest.raises(SystemExit) as ended:
        main([start[1], "--help"])
    assert ended.value.code in (0, None)
    assert [line for line in lines if line.startswith("USER")] == ["USER tfen"]
    subprocess.run(["sh", "-n", str(root / "container" / "setup.sh")], check=True)
    health = [sys.executable, str(root / "container" / "health.py")]
    assert subprocess.run([*health, str(server.port)]).returncode == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert subprocess.run([*health, str(free.getsockname()[1])]).returncode == 1
