"""One picture of a film: who showed what, when."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfen.evaluation.drawing import plt, save_figure
from tfen.inference.analyzer import Result
from tfen.inference.colours import colour_of
from tfen.inference.finding import Array

POINTS = 600
"""Points of a curve at most; then neighbours are averaged, so memory does not grow with the film."""
MOST_FACES = 12
"""Faces that are drawn, those seen longest."""


@dataclass
class _Curve:
    """A face's probabilities over time, in pieces of `each` seconds."""

    each: float
    sums: dict[int, Array] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, time: float, probabilities: Array) -> None:
        piece = round(time / self.each)
        self.sums[piece] = self.sums.get(piece, np.zeros(len(probabilities))) + probabilities
        self.counts[piece] = self.counts.get(piece, 0) + 1
        if len(self.sums) > POINTS:
            self.each *= 2
            sums, counts = self.sums, self.counts
            self.sums, self.counts = {}, {}
            for piece, own in sums.items():
                self.sums[piece // 2] = self.sums.get(piece // 2, np.zeros(len(probabilities))) + own
                self.counts[piece // 2] = self.counts.get(piece // 2, 0) + counts[piece]

    @property
    def seconds(self) -> float:
        return len(self.sums) * self.each


class SummaryPicture:
    """Collects results and draws them: for each face the shares of the expressions over time.

    Args:
        expressions: in canonical order.
        step: seconds between results.
    """

    def __init__(self, expressions: Sequence[str], step: float) -> None:
        self._expressions, self._step = tuple(expressions), step
        self._curves: dict[int, _Curve] = {}
        self._end = 0.0

    def add(self, result: Result) -> None:
        self._end = max(self._end, result.time)
        if result.face is None or result.probabilities is None:
            return
        curve = self._curves.setdefault(result.face, _Curve(self._step))
        curve.add(result.time, np.array([result.probabilities[name] for name in self._expressions]))
        if len(self._curves) > 8 * MOST_FACES:  # passers-by go first
            shortest = min(self._curves, key=lambda face: (self._curves[face].seconds, -face))
            if shortest != result.face:
                del self._curves[shortest]

    def draw(self, path: Path, title: str) -> None:
        """Write the picture as PNG, with a PDF beside it."""
        chosen = sorted(sorted(self._curves, key=lambda face: -self._curves[face].seconds)[:MOST_FACES])
        rows = max(1, len(chosen))
        figure, axes = plt.subplots(rows, 1, figsize=(8, 1.1 + 0.85 * rows), sharex=True, squeeze=False)
        end = max(self._end + self._step, self._step)
        for axis, face in zip(axes[:, 0], chosen):
            self._draw_face(axis, self._curves[face])
            axis.set_ylabel(f"face {face}", rotation=0, ha="right", va="center")
        for axis in axes[:, 0]:
            axis.set(xlim=(0, end), ylim=(0, 1), yticks=[])
            axis.spines["left"].set_visible(False)
        if not chosen:
            axes[0, 0].text(0.5, 0.5, "no face was seen", ha="center", va="center", transform=axes[0, 0].transAxes)
        axes[-1, 0].set_xlabel("seconds")
        handles = [plt.Rectangle((0, 0), 1, 1, color=colour_of(name, self._expressions)) for name in self._expressions]
        figure.legend(
            handles, self._expressions, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=8, frameon=False,
            columnspacing=1.0, handlelength=0.9, handletextpad=0.4, fontsize=8,
        )  # fmt: skip
        figure.suptitle(title, y=1.0, fontsize=9, va="top")
        figure.tight_layout()
        save_figure(figure, path)

    def _draw_face(self, axis: "plt.Axes", curve: _Curve) -> None:
        pieces = sorted(curve.sums)
        groups = np.split(pieces, np.flatnonzero(np.diff(pieces) > 2) + 1)
        for group in groups:
            shares = np.stack([curve.sums[k] / curve.counts[k] for k in group])
            times = np.append(group, group[-1] + 1) * curve.each
            lower = np.zeros(len(group) + 1)
            for k, name in enumerate(self._expressions):
                upper = lower + np.append(shares[:, k], shares[-1, k])
                axis.fill_between(times, lower, upper, step="post", color=colour_of(name, self._expressions), lw=0)
                lower = upper
