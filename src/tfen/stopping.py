"""Being asked to stop: the step at hand is finished and saved first."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tfen.errors import TfenError
from tfen.progress import say


class Stopped(TfenError):
    """The work was stopped from outside after saving. Exit code 143 (SIGTERM) or 130 (Ctrl-C), as shells have it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("stopped; the same command goes on where it was")
        self.exit_code = 128 + signal_number


class Stop:
    """Whether somebody asked for the end of some work; who starts the work makes one and passes it on."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def ask(self, signal_number: int = int(signal.SIGINT)) -> None:
        """Ask the work to end when its step is done."""
        self.signal_number = signal_number

    @property
    def asked(self) -> bool:
        return self.signal_number is not None

    def check(self) -> None:
        """Stop here, where there is nothing to save, if somebody asked.

        Raises:
            Stopped: somebody asked.
        """
        if self.asked:
            self.now()

    def now(self) -> None:
        """Stop here.

        Raises:
            Stopped: always.
        """
        raise Stopped(int(signal.SIGINT) if self.signal_number is None else self.signal_number)


@contextmanager
def listening() -> Iterator[Stop]:
    """Note SIGTERM and Ctrl-C instead of dying from them; the second one ends the work at once."""
    stop = Stop()

    def note(signal_number: int, frame: Any) -> None:
        if stop.asked:
            signal.signal(signal_number, before[signal_number])
            signal.raise_signal(signal_number)
        stop.ask(signal_number)
        say("stopping after this step; once more stops at once")

    before: dict[int, Any] = {}
    try:
        for one in (int(signal.SIGTERM), int(signal.SIGINT)):
            before[one] = signal.signal(one, note)
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def end_with_parent() -> None:
    """End this process, a worker of another one, as soon as that one is gone, however it ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
