"""The server under load, with clients that are slow, leave, or mean harm."""

import contextlib
import gc
import http.client
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from conftest import refuses
from films import scene, still, write_film
from serving import Limits, Server, serving, slow_down, soon
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tfen.app.guard import Names
from tfen.app.jobs import UNATTENDED
from tfen.app.storage import LOCK, own_folder
from tfen.cli import main
from tfen.errors import InputError
from tfen.inference.analyzer import Analyzer
from tfen.video.reading import read_frames


def test_uploads_are_deleted_as_soon_as_they_were_used(
    film: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one = Server(weights, Limits(megabytes=4, seconds=20))

    def there() -> set[str]:
        """What lies in the server's folder, results apart."""
        return {
            path.name
            for path in tmp_path.rglob("*")
            if path.is_file() and path.name != LOCK and "out" not in path.parts
        }

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
    one = Server(weights, Limits(upload_seconds=0.5, header_seconds=0.7))
    try:
        slow = socket.create_connection(("127.0.0.1", one.port))
        slow.sendall(b"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nslow")
        slow.settimeout(10)
        assert b"408" in slow.recv(200)
        slow.close()
        for line in (b"PUT /api/jobs/x/people", b"POST /login", b"DELETE /api/jobs/x"):
            slow = socket.create_connection(("127.0.0.1", one.port))
            slow.sendall(line + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
            slow.settimeout(10)
            with slow, slow.makefile("rb") as said:
                answer = said.read()
            assert b" 408 " in answer, line
            assert b"took longer than 0.7 seconds" in answer, line
        late = socket.create_connection(("127.0.0.1", one.port))
        late.sendall(b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n")
        late.settimeout(10)
        assert b"200" in late.recv(20)
        assert soon(lambda: _closed(late)), "an answered client that goes on sending keeps its connection"
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


def _closed(connection: socket.socket) -> bool:
    """Send a byte more; tell whether the other side has closed."""
    try:
        connection.sendall(b"x")
        return connection.recv(2000) == b""
    except (BrokenPipeError, ConnectionResetError):
        return True
    except TimeoutError:
        return False


def test_one_connection_too_many_gets_one_sentence(weights: Path) -> None:
    with serving(weights, Limits(connections=3)) as one:
        busy = []
        for k in range(3):
            busy.append(socket.create_connection(("127.0.0.1", one.port)))
            busy[k].sendall(b"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nslow")
            assert soon(lambda k=k: one.jobs._receiving == k + 1)
        assert soon(lambda: one.ask("GET", "/api/health")[0] == 503)
        assert one.ask("GET", "/api/health")[1] == {"error": "too many connections; try again later"}
        for connection in busy:
            connection.close()
        assert soon(lambda: one.ask("GET", "/api/health")[0] == 200)


def test_weights_that_are_offered_together_tell_the_same_expressions(weights: Path, tmp_path: Path) -> None:
    other = shutil.copytree(weights, tmp_path / "other")
    said = json.loads((other / "config.json").read_text())
    said["expressions"][0] = "joy"
    (other / "config.json").write_text(json.dumps(said))
    refuses("app", "--port", 0, "--weights", weights, other, says="start a server for each")
    (other / "config.json").unlink()
    os.mkfifo(other / "config.json")
    refuses("app", "--port", 0, "--weights", other, says="it is no ordinary file")


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


def test_who_leaves_gives_the_work_up(weights: Path, actors: Path, tmp_path: Path) -> None:
    """A client of /api/analyze that hangs up, a page that is left, and a job that is deleted: the worker is free within a
    second, and nothing is left on the disk."""
    long = write_film(tmp_path / "long.mp4", *still(actors, 12.0)).read_bytes()
    with serving(weights) as one:
        slow_down(one, 0.2)
        idle = lambda: one.jobs._working is None  # noqa: E731
        connection = http.client.HTTPConnection("127.0.0.1", one.port)
        connection.request("POST", "/api/analyze", long)
        assert soon(lambda: not idle())
        connection.close()
        assert soon(idle, 1.0)

        job = one.ask("POST", "/api/jobs?annotate=true", long)[1]
        waiting = one.ask("POST", "/api/jobs", long)[1]
        assert soon(lambda: one.ask("GET", f"/api/jobs/{job['id']}")[1]["count"] > 3)
        assert one.ask("GET", f"/api/jobs/{waiting['id']}")[1]["place"] == 1
        assert one.ask("DELETE", f"/api/jobs/{waiting['id']}")[0] == 204
        assert not (one.jobs.folder / waiting["id"]).exists()
        assert len(one.jobs._queue) == 0
        assert one.ask("DELETE", f"/api/jobs/{job['id']}")[0] == 204
        assert soon(idle, 1.0)
        assert soon(lambda: not (one.jobs.folder / job["id"]).exists(), 1.0)

        job = one.ask("POST", "/api/jobs?attended=true", long)[1]
        events = http.client.HTTPConnection("127.0.0.1", one.port)
        events.request("GET", f"/api/jobs/{job['id']}/events")
        events.getresponse().read(10)
        time.sleep(0.3)
        assert not idle()
        events.sock.shutdown(socket.SHUT_RDWR)
        events.close()
        assert soon(idle, UNATTENDED + 2)
        assert one.ask("GET", f"/api/jobs/{job['id']}")[0] == 404


def test_a_job_says_how_many_come_before_it_and_how_long_it_takes(weights: Path, film: Path) -> None:
    with serving(weights) as one:
        slow_down(one, 0.1)
        jobs = [one.ask("POST", "/api/jobs", film.read_bytes())[1] for _ in range(3)]
        states = [one.ask("GET", f"/api/jobs/{job['id']}")[1] for job in jobs]
        assert [state["place"] for state in states] == [0, 1, 2]
        assert 0 < states[0]["left"] < states[1]["left"] < states[2]["left"] < 60
        for job in jobs:
            assert one.finished(job["id"])["left"] is None


def test_results_go_when_their_time_is_over_without_anybody_asking(weights: Path, film: Path) -> None:
    with serving(weights, Limits(kept_seconds=0.5)) as one:
        job = one.ask("POST", "/api/jobs", film.read_bytes())[1]
        one.finished(job["id"])
        assert soon(lambda: not (one.jobs.folder / job["id"]).exists(), 4)


def test_what_a_crash_left_goes_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with own_folder() as running:
        (running / "job").mkdir()
        left, other = tmp_path / "tfen-app-left", tmp_path / "tfen-app.txt"
        left.mkdir()
        (left / ".lock").touch()
        (left / "upload").write_text("a face")
        other.touch()
        with own_folder() as second:
            assert second != running
            assert not left.exists()
            assert (running / "job").exists()
            assert other.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["tfen-app.txt"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's figures of a process")
def test_large_frames_do_not_fill_the_memory(actors: Path, tmp_path: Path) -> None:
    """Frames that wait are few where they are large: those of a 4K film at 60 frames a second, annotated."""
    back = cv2.resize(still(actors, 0.1)[0][0], (3840, 2160))
    times = [k / 60 for k in range(30)]
    film = write_film(tmp_path / "4k.mp4", [back] * len(times), times)
    script = (
        "import sys; from pathlib import Path; from tfen.inference.analysis import *; "
        "from tfen.inference.inputs import AnalysisInput; "
        "from tfen.inference.analyzer import Analyzer; "
        "most = lambda: int(next(x for x in open('/proc/self/status') if x.startswith('VmHWM')).split()[1]) >> 10; "
        "analyzer = Analyzer(test_time_augmentation=1); before = most(); "
        "analyze([AnalysisInput('a', 'file', Path(sys.argv[1]))], Path(sys.argv[2]), analyzer, "
        "Wanted(annotate=True, pictures=False), {}, lambda row: None); "
        "print(before, most())"
    )
    ran = subprocess.run([sys.executable, "-c", script, film, tmp_path / "out"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    before, peak = map(int, ran.stdout.split())
    assert peak - before < 500, (before, peak)  # before: PyTorch, which takes more where it is built for CUDA


def test_frames_that_were_seen_are_let_go_at_once(film: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        for frame in read_frames(film):
            assert frame.size == (640, 360)
            assert frame.scaled(64, 36).shape == (36, 64, 3)
            assert frame.image.shape == (360, 640, 3)
        assert sum(type(one) is av.VideoFrame for one in gc.get_objects()) < 5
    finally:
        gc.enable()


def test_films_with_too_many_pixels_a_second_are_refused_with_the_reason(server: Server, tmp_path: Path) -> None:
    image = np.full((1080, 1920, 3), 90, np.uint8)
    film = write_film(tmp_path / "fast.mp4", [image] * 48, [k / 1000 for k in range(48)])
    status, answer, _ = server.ask("POST", "/api/jobs", film.read_bytes())
    assert status == 413
    assert "1920x1080 pixels at " in answer["error"]
    wide = write_film(tmp_path / "wide.mp4", [np.zeros((4160, 4160, 3), np.uint8)] * 2, [0.0, 0.1])
    status, answer, _ = server.ask("POST", "/api/jobs", wide.read_bytes())
    assert status == 413
    assert "make it smaller" in answer["error"]


def test_names_under_which_the_server_answers(weights: Path) -> None:
    """Addresses in numbers, this machine's names and those that were allowed; a name that was made to point here is not."""
    names = Names("0.0.0.0", ("films.example.org",))
    for host in ("192.168.1.7:8765", "localhost:8765", "[fe80::1]:80", "films.example.org", "FILMS.example.org:443"):
        assert names.accepts(host), host
    for host in ("evil.example", "evil.example:8765", "", "127.0.0.1.evil.example"):
        assert not names.accepts(host), host
    assert not Names("127.0.0.1").accepts("192.168.1.7")
    with serving(weights, host="0.0.0.0", allow_host=("films.example.org",)) as one:
        assert one.ask("GET", "/api/health", Host="films.example.org")[0] == 200
        status, answer, _ = one.ask("GET", "/api/health", Host="evil.example")
        assert status == 400
        assert "--allow-host" in answer["error"]
    with serving(weights, host="::1") as one:
        assert one.address == f"http://[::1]:{one.port}/"
        assert one.ask("GET", "/api/health")[0] == 200
        assert one.ask("GET", "/api/health", Host=f"[::1]:{one.port}")[0] == 200


def test_a_token_is_asked_for(weights: Path, film: Path) -> None:
    with serving(weights, token="open sesame") as one:
        assert one.ask("GET", "/api/health")[0] == 200
        for method, path in (("GET", "/api/version"), ("POST", "/api/analyze"), ("GET", "/index.js"), ("GET", "/")):
            status, answer, headers = one.ask(method, path, b"" if method == "POST" else None)
            assert (status, list(answer), headers["www-authenticate"]) == (401, ["error"], "Bearer")
        assert one.ask("GET", "/api/version", Authorization="Bearer open")[0] == 401
        assert one.ask("POST", "/api/analyze", film.read_bytes(), Authorization="Bearer open sesame")[0] == 200
        status, page, _ = one.ask("GET", "/", Accept="text/html")
        assert status == 401
        assert b'name="token"' in page
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        assert one.ask("POST", "/login", b"token=guess", **form)[0] == 401
        status, _, headers = one.ask("POST", "/login", b"token=open+sesame", **form)
        assert (status, headers["location"]) == (303, "/")
        assert "HttpOnly" in headers["set-cookie"]
        assert "SameSite=strict" in headers["set-cookie"]
        cookie = headers["set-cookie"].partition(";")[0]
        assert one.ask("GET", "/api/version", Cookie=cookie)[0] == 200
        assert one.ask("GET", "/api/version", Cookie="tfen=" + "x" * 32)[0] == 401
        with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{one.port}/api/live"):
            pass
        with connect(f"ws://127.0.0.1:{one.port}/api/live", additional_headers={"Cookie": cookie}):
            pass


def test_slow_heads_do_not_keep_others_out(weights: Path) -> None:
    with serving(weights, Limits(connections=8, header_seconds=2.0)) as one:
        silent = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(12)]
        for k, connection in enumerate(silent):
            with contextlib.suppress(OSError):
                connection.sendall(b"GET / HTTP/1.1\r\nHost: 127" if k % 2 else b"")
        assert one.ask("GET", "/api/health")[0] == 200
        begin = time.monotonic()
        for connection in silent:
            connection.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(10) == b""
            connection.close()
        assert time.monotonic() - begin < 5


def test_what_lies_in_run_folders_can_do_nothing(weights: Path, tmp_path: Path) -> None:
    """A report may hold scripts; a run may hold files that are none."""
    runs = tmp_path / "runs"
    (runs / "one").mkdir(parents=True)
    (runs / "one" / "page.html").write_text("<script>fetch('/api/jobs')</script>")
    (runs / "one" / "config.yaml").write_text("{}")
    os.mkfifo(runs / "one" / "summary.json")
    os.mkfifo(runs / "one" / "pipe.html")
    with serving(weights, runs=runs) as one:
        policy = one.ask("GET", "/runs/one/page.html")[2]["content-security-policy"]
        for part in (
            "default-src 'none'",
            "img-src 'self' data:",
            "style-src 'unsafe-inline'",
            "sandbox",
            "frame-ancestors 'none'",
        ):
            assert part in policy
        assert "frame-ancestors 'none'" in one.ask("GET", "/")[2]["content-security-policy"]
        assert one.ask("GET", "/api/runs")[:2] == (200, [])
        assert one.ask("GET", "/runs/one/pipe.html")[0] == 404
        assert one.ask("GET", "/api/jobs", Origin="null")[0] in (404, 405)
        assert one.ask("POST", "/api/jobs", b"x", Origin="null")[0] == 403


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda config: [], "named values"),
        (lambda config: {**config, "expressions": "happiness"}, "expressions"),
        (lambda config: {**config, "expressions": ["anger", "anger"]}, "expressions"),
        (lambda config: {**config, "expressions": ["a\u0000<script>", "b"]}, "expressions"),
        (lambda config: {**config, "faces": 10**12}, "faces"),
        (lambda config: {**config, "faces": "many"}, "faces"),
        (lambda config: {**config, "format": "pickle"}, "format"),
        (lambda config: {**config, "about": [1]}, "about"),
        (lambda config: {**config, "about": {"temperature": "hot"}}, "temperature"),
        (lambda config: {**config, "about": {"temperature": -1}}, "temperature"),
        (lambda config: {**config, "about": {"temperature": 1e-300}}, "temperature"),
        (lambda config: _with_model(config, width=4_000_000), "fit"),
        (lambda config: _with_model(config, frames=10**9), "frames"),
        (lambda config: _with_model(config, image_size=10**9), "image-size"),
    ],
)  # fmt: skip
def test_weights_with_a_hostile_description_end_in_one_sentence(
    weights: Path, tmp_path: Path, change: Any, says: str
) -> None:
    shutil.copytree(weights, tmp_path / "weights")
    path = tmp_path / "weights" / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(InputError) as refused:
        Analyzer(tmp_path / "weights")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def _with_model(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    settings = config["settings"]
    return {**config, "settings": {**settings, "model": {**settings["model"], **changes}}}
