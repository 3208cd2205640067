"""Which face is whose: ids that stay the same over time, by OC-SORT (Cao et al. 2023) of the package `trackers`."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from supervision import Detections
from trackers import OCSORTTracker

Box = tuple[float, float, float, float]
AROUND = 1.4
"""Boxes are widened by this for the association: between two steps a face may move by half its width."""


class FaceTracker:
    """Gives faces numbers from 0 on, in the order of their first appearance.

    A face keeps its number while it is gone for less than `gap` seconds and comes back where it was, or where its
    motion led. After `cut` nobody is the same as before.

    Args:
        rate: updates in a second.
        gap: seconds.
    """

    def __init__(self, rate: float, gap: float = 2.0) -> None:
        self._rate, self._gap, self._count = rate, gap, 0
        self.cut()

    def cut(self) -> None:
        """Forget all faces: the picture shows something else now."""
        self._tracker = OCSORTTracker(
            lost_track_buffer=round(30 * self._gap),
            frame_rate=self._rate,
            minimum_consecutive_frames=1,
            minimum_iou_threshold=0.1,
        )
        self._numbers: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    def update(self, boxes: Sequence[Box]) -> list[int]:
        """Return the number of each box (left, top, width, height in pixels), in order."""
        wide = [
            (x + (1 - AROUND) * w / 2, y + (1 - AROUND) * h / 2, x + (1 + AROUND) * w / 2, y + (1 + AROUND) * h / 2)
            for x, y, w, h in boxes
        ]
        self._tracker.update(Detections(xyxy=np.array(wide, np.float64).reshape(-1, 4)))
        numbers = []
        for box in wide:  # the tracker's own ids start one update late
            own = next(
                track
                for track in self._tracker.tracks
                if track.time_since_update == 0 and np.allclose(track.last_observation, box)
            )
            if own not in self._numbers:
                self._numbers[own] = self._count
                self._count += 1
            numbers.append(self._numbers[own])
        return numbers
