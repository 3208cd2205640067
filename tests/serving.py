"""A server in a thread, and how to ask it."""

import contextlib
import http.client
import json
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn

from tfen.app.jobs import Jobs
from tfen.app.serve import address, listen_at, server_config
from tfen.app.server import make_app
from tfen.app.settings import Limits, ServerSettings
from tfen.faces.detection import Face, HaarDetector


class Server:
    """A server in a thread, and how to ask it."""

    def __init__(self, weights: Path, limits: Limits | None = None, **settings: Any) -> None:
        chosen = ServerSettings(weights=(str(weights),), **settings)
        limits = limits or Limits()
        self.app = make_app(chosen, limits)
        self.host = "127.0.0.1" if chosen.host == "0.0.0.0" else chosen.host
        self._socket = listen_at(chosen.host, 0)
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(server_config(self.app, limits))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Send a request; return status, the answer (JSON where it is) and headers."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
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

    @property
    def jobs(self) -> Jobs:
        return self.app.state.jobs

    @property
    def address(self) -> str:
        return address(self.host, self.port)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)


@contextlib.contextmanager
def serving(weights: Path, limits: Limits | None = None, **settings: Any) -> Any:
    """A server while the block runs."""
    one = Server(weights, limits, **settings)
    try:
        yield one
    finally:
        one.stop()


def soon(condition: Any, seconds: float = 10.0) -> bool:
    """Wait until something is the case; tell whether it came in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def slow_down(server: Server, seconds: float) -> None:
    """Let the detector of everything that is analyzed from now on take longer."""
    make = server.jobs.analyzers.make

    def slow(wishes: Any) -> Any:
        analyzer = make(wishes)
        analyzer._own_detector = SlowDetector(seconds)
        return analyzer

    server.jobs.analyzers.make = slow  # type: ignore[method-assign]


class SlowDetector:
    """Finds faces, for several threads, and takes its time.

    Args:
        seconds: that it takes longer.
        known: what it answers, so that it costs no time of the processor.
    """

    name = "slow"

    def __init__(self, seconds: float, known: list[Face] | None = None) -> None:
        self._seconds, self._known, self._own = seconds, known, threading.local()

    def detect(self, image: Any) -> Any:
        time.sleep(self._seconds)
        if self._known is not None:
            return self._known
        if not hasattr(self._own, "detector"):
            self._own.detector = HaarDetector()
        return self._own.detector.detect(image)
