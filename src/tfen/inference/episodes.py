"""Episodes: when a face began to show an expression, showed it most, and stopped."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tfen.inference.analyzer import Result

KEPT = 0.8
"""An expression begins when it is the label, and ends when its probability falls below this share of the likeliest one's."""
LEAST_STEPS = 2
"""Results that an episode has at least; a single one is a flicker."""
GONE = 1.0
"""Seconds without a result after which an episode ends."""


@dataclass(frozen=True)
class Episode:
    """An expression that a face shows from `onset` to `offset`, most at `apex` (seconds), there with probability `peak`."""

    face: int
    expression: str
    onset: float
    apex: float
    offset: float
    peak: float

    @property
    def duration(self) -> float:
        return self.offset - self.onset


@dataclass
class _Open:
    expression: str
    onset: float
    apex: float
    offset: float
    peak: float
    steps: int = 1

    def closed(self, face: int) -> Iterator[Episode]:
        if self.steps >= LEAST_STEPS:
            yield Episode(face, self.expression, self.onset, self.apex, self.offset, self.peak)


@dataclass
class EpisodeFinder:
    """Turns results, in order of time, into episodes of every expression but neutral."""

    _open: dict[int, _Open] = field(default_factory=dict)

    def add(self, result: Result) -> Iterator[Episode]:
        """Take a result and yield the episodes that ended with it."""
        for face in [face for face, own in self._open.items() if result.time - own.offset > GONE]:
            yield from self._open.pop(face).closed(face)
        if result.face is None or result.probabilities is None:
            return
        own = self._open.get(result.face)
        if own is not None:
            level = result.probabilities[own.expression]
            if level >= KEPT * max(result.probabilities.values()):
                own.offset, own.steps = result.time, own.steps + 1
                if level > own.peak:
                    own.apex, own.peak = result.time, level
                return
            yield from self._open.pop(result.face).closed(result.face)
        if result.label not in (None, "neutral"):
            level = result.probabilities[result.label]
            self._open[result.face] = _Open(result.label, result.time, result.time, result.time, level)

    def finish(self) -> Iterator[Episode]:
        """Yield the episodes that last to the end."""
        for face, own in sorted(self._open.items()):
            yield from own.closed(face)
        self._open.clear()
