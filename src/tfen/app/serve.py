"""Starts the server and says where it is."""

import ctypes
import platform
import socket

import uvicorn

from tfen.app.connections import patient_for
from tfen.app.guard import EVERYWHERE, THIS_MACHINE
from tfen.app.server import make_app
from tfen.app.settings import Limits, ServerSettings
from tfen.errors import InputError
from tfen.progress import say

M_MMAP_THRESHOLD = -3
"""Of glibc's mallopt(3): blocks of so many bytes are the system's own."""


def serve(settings: ServerSettings, limits: Limits) -> None:
    """Serve until interrupted.

    Raises:
        InputError: the address cannot be listened at, or a setting is unfit.
    """
    host = settings.host
    _give_memory_back()
    listening = listen_at(host, settings.port)
    port = listening.getsockname()[1]
    app = make_app(settings, limits)
    if host not in THIS_MACHINE:
        who = "anybody who knows the token" if settings.token else "anybody"
        hint = "" if settings.token else ": there is no password; give --token to ask for one"
        say(f"{who} who reaches this machine at port {port} can use the page{hint}")
    print(f"{address(host, port)}", flush=True)
    uvicorn.Server(server_config(app, limits)).run(sockets=[listening])


def _give_memory_back() -> None:
    """Have the C library give the memory of large frames back to the system when they are gone, where it is glibc's.

    It keeps what it has freed otherwise: 400 MiB more after a film of 4K.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**20)


def listen_at(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        InputError: the address cannot be listened at.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise InputError(
            f"cannot listen at {host}, port {port}: {getattr(error, 'strerror', None) or error}; choose another with --port"
        ) from None
    listening.listen(128)  # who comes before the server is ready, waits
    return listening


def address(host: str, port: int) -> str:
    """Return where the page is, for a browser on this machine."""
    if host in EVERYWHERE:
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def server_config(app: object, limits: Limits) -> uvicorn.Config:
    """Return how uvicorn serves the application."""
    return uvicorn.Config(
        app,
        http=patient_for(limits.header_seconds, limits.connections),
        log_level="warning",
        timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
        ws_max_size=2**21,
        ws_max_queue=4,
    )
