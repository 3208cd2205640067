"""Which face is whose: ids that stay the same over time.

Each face is predicted by its velocity and matched with the boxes of the next step so that the overlap is largest in
sum, by the Hungarian algorithm of SciPy. As in OC-SORT (Cao et al. 2023), a velocity is measured over several steps, a
direction that agrees with it counts for a match, and a face that comes back where it was last seen keeps its number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tfen.faces.box import Box

Array = np.ndarray

AROUND = 1.4
"""Boxes are widened by this for the match: between two steps a face may move by half its width."""
LEAST_OVERLAP = 0.1
"""Intersection over union of two widened boxes below which they are two faces."""
DIRECTION = 0.2
"""What a direction of motion that agrees adds to the overlap, at most."""
VELOCITY_STEPS = 3
"""Steps over which a velocity is measured."""
PREDICTED = 1.0
"""Seconds for which an unseen face is expected to go on with its velocity."""


@dataclass(eq=False)
class _Track:
    number: int
    seen: list[tuple[int, Array]] = field(default_factory=list)
    """The latest steps at which it was seen, with its boxes (centre x, centre y, width, height)."""

    def velocity(self) -> Array:
        """Return pixels per step of the centre, (2,)."""
        (first, before), (last, now) = self.seen[0], self.seen[-1]
        return (now[:2] - before[:2]) / max(1, last - first)

    def predicted(self, step: int, most: int) -> Array:
        """Return where it is expected at a step, its velocity followed for `most` steps at most, (4,)."""
        last, box = self.seen[-1]
        return np.concatenate([box[:2] + min(step - last, most) * self.velocity(), box[2:]])


class FaceTracker:
    """Gives faces numbers from 0 on, in the order of their first appearance.

    A face keeps its number while it is gone for less than `gap` seconds and comes back where it was, or where its
    motion led. After `cut` nobody is the same as before.

    Args:
        rate: updates in a second.
        gap: seconds.
    """

    def __init__(self, rate: float, gap: float = 2.0) -> None:
        self._patience, self._predicted = max(1, round(gap * rate)), max(1, round(PREDICTED * rate))
        self._tracks: list[_Track] = []
        self._count = self._step = 0

    def cut(self) -> None:
        """Forget all faces: the picture shows something else now."""
        self._tracks = []

    def update(self, boxes: Sequence[Box]) -> list[int]:
        """Return the number of each box (left, top, width, height in pixels), in order."""
        self._step += 1
        self._tracks = [track for track in self._tracks if self._step - track.seen[-1][0] <= self._patience]
        now = np.array([(x + w / 2, y + h / 2, w, h) for x, y, w, h in boxes], np.float64).reshape(-1, 4)
        owners: dict[int, _Track] = {}
        for expected in (
            lambda track: track.predicted(self._step, self._predicted),
            lambda track: track.seen[-1][1],
        ):
            free = [k for k in range(len(now)) if k not in owners]
            waiting = [track for track in self._tracks if track not in owners.values()]
            for k, track in _matches(now[free], waiting, [expected(track) for track in waiting]):
                owners[free[k]] = track
        for k in range(len(now)):
            if k not in owners:
                owners[k] = _Track(self._count)
                self._tracks.append(owners[k])
                self._count += 1
            owners[k].seen = [*owners[k].seen[-VELOCITY_STEPS:], (self._step, now[k])]
        return [owners[k].number for k in range(len(now))]


def _matches(boxes: Array, tracks: list[_Track], expected: list[Array]) -> list[tuple[int, _Track]]:
    """Return pairs of a box's number and its track: those with the largest sum of overlap and agreement in direction."""
    if not len(boxes) or not tracks:
        return []
    overlap = _overlap(boxes, np.stack(expected))
    last = np.stack([track.seen[-1][1][:2] for track in tracks])
    moved, velocities = boxes[:, None, :2] - last, np.stack([track.velocity() for track in tracks])
    lengths = np.linalg.norm(moved, axis=2) * np.linalg.norm(velocities, axis=1)
    agreement = (moved * velocities).sum(2) / np.maximum(lengths, 1e-9)
    worth = np.where(overlap >= LEAST_OVERLAP, overlap + DIRECTION * agreement * (lengths > 1e-9), -1e3)
    rows, columns = _best_pairs(worth)
    return [(int(row), tracks[column]) for row, column in zip(rows, columns) if overlap[row, column] >= LEAST_OVERLAP]


def _best_pairs(worth: Array) -> tuple[Array, Array]:
    """Return rows and columns of the pairs with the largest sum, each row and column once at most."""
    if 1 in worth.shape:
        best = np.unravel_index(int(worth.argmax()), worth.shape)
        return np.array([best[0]]), np.array([best[1]])
    from scipy.optimize import linear_sum_assignment  # slow to import, and most films show one face

    rows, columns = linear_sum_assignment(worth, maximize=True)
    return rows, columns


def _overlap(a: Array, b: Array) -> Array:
    """Return the intersection over union of each two widened boxes (centre x, centre y, width, height), (A, B)."""
    sizes_a, sizes_b = AROUND * a[:, None, 2:], AROUND * b[None, :, 2:]
    low = np.maximum(a[:, None, :2] - sizes_a / 2, b[None, :, :2] - sizes_b / 2)
    high = np.minimum(a[:, None, :2] + sizes_a / 2, b[None, :, :2] + sizes_b / 2)
    both = np.clip(high - low, 0, None).prod(2)
    return both / np.maximum(sizes_a.prod(2) + sizes_b.prod(2) - both, 1e-9)
