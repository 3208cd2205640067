"""Being asked to stop: the step at hand is finished and saved first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tfen.errors import TfenError
from tfen.progress import say

_asked: list[int] = []


class Stopped(TfenError):
    """The work was stopped from outside after saving. Exit code 143 (SIGTERM) or 130 (Ctrl-C), as shells have it."""

    def __init__(self) -> None:
        super().__init__("stopped; the same command goes on where it was")
        self.exit_code = 128 + _asked[0]


def asked() -> bool:
    """Tell whether this process has been asked to stop."""
    return bool(_asked)


def check() -> None:
    """Stop here, where there is nothing to save, if somebody asked.

    Raises:
        Stopped: somebody asked.
    """
    if _asked:
        raise Stopped


@contextmanager
def listening() -> Iterator[None]:
    """Note SIGTERM and Ctrl-C instead of dying from them; the second one ends the work at once."""

    def note(signal_number: int, frame: Any) -> None:
        if _asked:
            signal.signal(signal_number, before[signal_number])
            signal.raise_signal(signal_number)
        _asked.append(signal_number)
        say("stopping after this step; once more stops at once")

    _asked.clear()
    before: dict[int, Any] = {}
    try:
        for one in (int(signal.SIGTERM), int(signal.SIGINT)):
            before[one] = signal.signal(one, note)
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
