"""One progress display for everything that takes long: done, speed, time left.

Everything that is said goes to the logger "tfen", which shows nothing until somebody asks for it, as Python's `logging`
has it. The command line does, with `on_console`: then lines appear on the error stream, and bars on a terminal.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

logger = logging.getLogger("tfen")
logger.addHandler(logging.NullHandler())


class _OnConsole(logging.Handler):
    """Prints what is logged as it is, on the error stream, where it does not disturb results."""

    def __init__(self) -> None:
        super().__init__()
        # of several processes that train together, number 0 alone speaks
        self.console = Console(stderr=True, highlight=False, quiet=os.environ.get("RANK", "0") != "0")

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(self.format(record), soft_wrap=True, markup=False)


@contextmanager
def on_console() -> Iterator[None]:
    """Show what is said, and how far work is, for the length of a block."""
    handler, level = _OnConsole(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _terminal() -> Console | None:
    """Return where bars are drawn: the terminal, if `on_console` is in force and there is one."""
    for handler in logger.handlers:
        if isinstance(handler, _OnConsole) and handler.console.is_terminal:
            return handler.console
    return None


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "it")
        return Text("" if speed is None else f"{speed:.1f} {unit}/s")


class Meter:
    """A running task: `advance` as work gets done, `note` for a figure worth seeing.

    On the command line's terminal it is a bar; elsewhere (a log file, a program) a line is logged now and then.
    """

    EVERY = 30.0
    """Seconds between lines in a log."""

    def __init__(self, progress: Progress, what: str, total: int | None, unit: str, done: int, quiet: bool) -> None:
        self._progress, self._what, self._unit, self._first = progress, what, unit, done
        self._quiet = quiet
        self._task = progress.add_task(what, total=total, completed=done, unit=unit, note="")
        self._start = self._last = time.monotonic()

    def advance(self, count: float = 1) -> None:
        self._progress.advance(self._task, count)
        self._log()

    def note(self, text: str) -> None:
        self._progress.update(self._task, note=text)
        self._log()

    def _log(self) -> None:
        now = time.monotonic()
        if self._quiet or not self._progress.disable or now - self._last < self.EVERY:
            return
        self._last = now
        task = self._progress.tasks[self._task]
        speed = (task.completed - self._first) / (now - self._start)
        left = "" if speed == 0 or not task.total else f", {(task.total - task.completed) / speed / 60:.1f} min left"
        note = task.fields["note"]
        of = f"/{task.total:.0f}" if task.total else ""
        done = f"{task.completed:.0f}{of} {self._unit}, {speed:.1f} {self._unit}/s"
        say(f"{self._what}: {done}{left}{'; ' + note if note else ''}")


@contextmanager
def meter(what: str, total: int | None, unit: str, done: int = 0, quiet: bool = False) -> Iterator[Meter]:
    """Show progress of `what`: a bar on the command line's terminal, else a line every half minute.

    Where `total` is None nobody knows how much there will be; `quiet` shows nothing at all.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = _terminal()
    with Progress(*columns, console=console, transient=True, disable=quiet or console is None) as progress:
        yield Meter(progress, what, total, unit, done, quiet)


def say(text: str) -> None:
    """Log a line about the work."""
    logger.info("%s", text)
