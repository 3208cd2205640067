"""One progress display for everything that takes long: done, speed, time left."""

import sys
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

console = Console(stderr=True, highlight=False)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "it")
        return Text("" if speed is None else f"{speed:.1f} {unit}/s")


class Meter:
    """A running task: `advance` as work gets done, `note` for a figure worth seeing."""

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress, self._task = progress, task

    def advance(self, count: float = 1) -> None:
        self._progress.advance(self._task, count)  # type: ignore[arg-type]

    def note(self, text: str) -> None:
        self._progress.update(self._task, note=text)  # type: ignore[arg-type]


@contextmanager
def meter(what: str, total: int, unit: str, done: int = 0) -> Iterator[Meter]:
    """Show progress of `what` on the error stream; quiet where that is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=total, completed=done, unit=unit, note="")
        yield Meter(progress, task)


def say(text: str) -> None:
    """Print a line about the work on the error stream, where it does not disturb results."""
    console.print(text, soft_wrap=True, markup=False)
