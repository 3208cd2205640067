"""The loop of every training: epochs of steps, shown, measured, and gone on with after any interruption."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from tfen.errors import TfenError
from tfen.progress import meter
from tfen.training.checkpoints import Checkpointer, Part

Given = TypeVar("Given")
Figures = dict[str, Any]
READ_EVERY = 20
"""Steps between two looks at the figures."""


@dataclass(frozen=True)
class Place:
    """Where a step stands: epoch (from 1 on), step within it (from 0 on), iteration over all epochs (from 1 on)."""

    epoch: int
    step: int
    iteration: int


@dataclass(frozen=True)
class Done:
    """What a step did: sums of its figures over `count` items or steps, and how many `items` it took from the epoch.

    Figures may be tensors of one number: they are read a few steps later, so that no step waits for an accelerator.
    """

    sums: Mapping[str, float | Tensor]
    count: int
    items: int


@dataclass
class History:
    """What a training left behind: figures of every epoch, and the weights of the best measured one."""

    epochs: list[Figures] = field(default_factory=list)
    best_epoch: int | None = None
    best: float = -1.0
    best_weights: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Loop(Generic[Given]):
    """A training.

    Args:
        phase: names its checkpoints.
        title: names it in the progress display, which counts in `unit`.
        epochs: how many.
        items: how many an epoch has, `batch_size` in a step.
        batches: what the steps of an epoch (from 1 on) are given, without so many at its beginning.
        step: does one.
        measure: further figures at the end of an epoch.
        parts: what a checkpoint holds: networks and optimisers, by name.
        best_by: the figure by which the best epoch's weights of `best_of` are kept; the later of two that are alike.
        watch: called with every epoch's figures, those from before an interruption first.
        note: an epoch's figures in a line.
        advice: what may help if the loss is no number any more.
        quiet: show no progress.
    """

    phase: str
    title: str
    unit: str
    epochs: int
    items: int
    batch_size: int
    batches: Callable[[int, int], Iterable[Given]]
    step: Callable[[Given, Place], Done]
    measure: Callable[[int], Figures] = lambda epoch: {}
    parts: Mapping[str, Part] = field(default_factory=dict)
    best_by: str | None = None
    best_of: nn.Module | None = None
    watch: Callable[[Figures], None] = lambda figures: None
    note: Callable[[Figures], str] = lambda figures: ""
    advice: str = "a lower learning rate may help"
    quiet: bool = False

    def run(self, checkpointer: Checkpointer | None = None) -> History:
        """Train, from the last checkpoint on if there is one, and return what was measured.

        Args:
            checkpointer: keeps checkpoints, and knows whether somebody asked to stop.

        Raises:
            TfenError: the loss is no number any more.
            Stopped: somebody asked, and where the training stands is saved.
        """
        checkpointer, history = checkpointer or Checkpointer(), History()
        parts = {**self.parts, "best": history.best_weights}
        standing = _Standing(history)
        if (kept := checkpointer.restore(self.phase, parts)) is not None:
            standing.go_on(kept)
            for figures in history.epochs:
                self.watch(figures)
        done = (standing.epoch - 1) * self.items + standing.step * self.batch_size
        with meter(self.title, self.epochs * self.items, self.unit, done, self.quiet) as progress:
            for epoch in range(standing.epoch, self.epochs + 1):
                for step, given in enumerate(self.batches(epoch, standing.step), standing.step):
                    standing.iteration += 1
                    made = self.step(given, Place(epoch, step, standing.iteration))
                    standing.means.add(made)
                    progress.advance(made.items)
                    standing.step = step + 1
                    if standing.step % READ_EVERY == 0:
                        self._check(standing.means, epoch)
                    checkpointer.step_done(self.phase, parts, partial(self._checked, standing))
                self._check(standing.means, epoch)
                figures = {"epoch": epoch, **standing.means.values(), **self.measure(epoch)}
                self._keep_best(history, figures)
                self.watch(figures)
                progress.note(self.note(figures))
                standing.next_epoch(figures)
                checkpointer.step_done(self.phase, parts, standing.plain)
        checkpointer.save(self.phase, parts, standing.plain())
        return history

    def _checked(self, standing: "_Standing") -> dict[str, Any]:
        """Return where the training stands, for a checkpoint: none is kept of a training that diverged."""
        self._check(standing.means, standing.epoch)
        return standing.plain()

    def _check(self, means: "_Means", epoch: int) -> None:
        if not means.finite():
            raise TfenError(f"{self.title} diverged: the loss in epoch {epoch} is no number any more; {self.advice}")

    def _keep_best(self, history: History, figures: Figures) -> None:
        if self.best_by is None or self.best_by not in figures or figures[self.best_by] < history.best:
            return
        assert self.best_of is not None
        history.best, history.best_epoch = figures[self.best_by], figures["epoch"]
        history.best_weights.update({name: value.detach().clone() for name, value in self.best_of.state_dict().items()})


class _Means:
    """Means of figures over the steps, or the items, that had them."""

    def __init__(self, sums: dict[str, list[float]] | None = None) -> None:
        self._read = sums or {}
        self._waiting: list[Done] = []

    @property
    def sums(self) -> dict[str, list[float]]:
        """Sum and count of each figure; reads those that wait on an accelerator, all at once."""
        tensors = [value for done in self._waiting for value in done.sums.values() if isinstance(value, Tensor)]
        numbers = iter(torch.stack([value.detach().double() for value in tensors]).tolist() if tensors else ())
        for done in self._waiting:
            for name, value in done.sums.items():
                total, count = self._read.get(name, (0.0, 0))
                number = next(numbers) if isinstance(value, Tensor) else value
                self._read[name] = [total + number, count + done.count]
        self._waiting.clear()
        return self._read

    def add(self, done: Done) -> None:
        self._waiting.append(done)

    def finite(self) -> bool:
        return all(math.isfinite(total) for total, _ in self.sums.values())

    def values(self) -> dict[str, float]:
        return {name: total / count for name, (total, count) in self.sums.items()}


class _Standing:
    """How far a training is: the step that comes next, and what has been counted so far."""

    def __init__(self, history: History) -> None:
        self.history, self.epoch, self.step, self.iteration, self.means = history, 1, 0, 0, _Means()

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, for a checkpoint."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "iteration": self.iteration,
            "history": self.history.epochs,
            "best_epoch": self.history.best_epoch,
            "best": self.history.best,
            "sums": self.means.sums,
        }

    def go_on(self, kept: dict[str, Any]) -> None:
        """Stand where a checkpoint does."""
        self.epoch, self.step, self.iteration = kept["epoch"], kept["step"], kept["iteration"]
        self.history.epochs, self.history.best_epoch, self.history.best = (
            kept["history"],
            kept["best_epoch"],
            kept["best"],
        )
        self.means = _Means(kept["sums"])

    def next_epoch(self, figures: Figures) -> None:
        self.history.epochs.append(figures)
        self.epoch, self.step, self.means = figures["epoch"] + 1, 0, _Means()
