"""Starts the server and says where it is."""

import socket
from pathlib import Path

import uvicorn

from tfen.app.server import make_app
from tfen.app.uploads import Limits
from tfen.errors import InputError
from tfen.progress import say


def serve(host: str, port: int, weights: str, runs: Path | None, limits: Limits) -> None:
    """Serve until interrupted.

    Raises:
        InputError: the address cannot be listened at.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise InputError(
            f"cannot listen at {host}, port {port}: {error.strerror}; choose another with --port"
        ) from None
    listening.listen(128)  # who comes before the server is ready, waits
    port = listening.getsockname()[1]
    everywhere = host in ("0.0.0.0", "::")
    app = make_app(weights, limits, ["*"] if everywhere else [host, "127.0.0.1", "localhost"], runs)
    if host not in ("127.0.0.1", "localhost", "::1"):
        say(f"anybody who reaches this machine at port {port} can use the page: there is no password")
    print(f"http://{'127.0.0.1' if everywhere else host}:{port}/", flush=True)
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
        limit_concurrency=200,
        ws_max_size=2**21,
    )
    uvicorn.Server(config).run(sockets=[listening])
