"""A camera in the browser: pictures come in, what the faces show goes out, a moment later."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any

import cv2
import numpy as np

from tfen.inference.analyzer import Analyzer
from tfen.inference.rows import row
from tfen.video.reading import Frame

MOST_BYTES, MOST_SIDE = 2**20, 1920
"""Of a picture."""


def _side(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG from its header, or None."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 < len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + length
    return None


def decode(data: bytes) -> np.ndarray | None:
    """Return a JPEG as RGB, or None where it is none or too large."""
    side = _side(data) if len(data) <= MOST_BYTES else None
    if side is None or not 0 < max(side) <= MOST_SIDE or min(side) < 16:
        return None
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if picture is None else np.ascontiguousarray(picture[..., ::-1])


class Live:
    """One camera's session: `show` takes pictures, `on_rows` is called with the rows of the latest step, from a
    thread, once for each face as it becomes known.

    Pictures that come faster than they can be looked at are dropped, so that what is shown is never old.
    """

    def __init__(self, analyzer: Analyzer, on_rows: Callable[[list[dict[str, Any]]], None]) -> None:
        self._waiting: Queue[Frame | None] = Queue(2)
        self._analyzer, self._on_rows = analyzer, on_rows
        self._count, self._last = 0, -1.0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def show(self, image: np.ndarray, time: float) -> None:
        """Take a picture that was taken at `time` seconds; times that run backwards are left out."""
        if not time > self._last:
            return
        self._last = time
        frame = Frame(self._count, time, image)
        self._count += 1
        try:
            self._waiting.put_nowait(frame)
        except Full:
            with suppress(Empty):
                self._waiting.get_nowait()
            self._waiting.put_nowait(frame)

    def close(self) -> None:
        """End the session and wait for its thread."""
        while self._thread.is_alive():
            try:
                self._waiting.put(None, timeout=0.1)
                break
            except Full:
                continue
        self._thread.join(10)

    def _frames(self) -> Iterator[Frame]:
        while (frame := self._waiting.get()) is not None:
            yield frame

    def _work(self) -> None:
        rows: list[dict[str, Any]] = []
        for result in self._analyzer(self._frames()):
            if rows and rows[-1]["frame"] != result.frame:
                rows = []
            rows.append(row("camera", result, self._analyzer.expressions))
            self._on_rows([*rows])
