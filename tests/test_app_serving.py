"""The server under load, with clients that are slow, leave, or mean harm."""

import http.client
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import refuses
from films import scene, write_film
from serving import Limits, Server

from tfen.cli import main


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
