"""A camera in the browser: pictures come in, what the faces show goes out, a moment later."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from tfen.inference.analyzer import Analyzer
from tfen.inference.rows import row
from tfen.progress import say
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
    """One camera's session: `show` takes pictures, `on_rows` is called with the rows of a step, from a thread.

    A picture waits in one place alone: a newer one takes its place, so that what is looked at is never old.

    Args:
        analyzer: a live one.
        on_rows: is given the rows of all faces of a step at once; None if the session failed and ended.
    """

    def __init__(self, analyzer: Analyzer, on_rows: Callable[[list[dict[str, Any]] | None], None]) -> None:
        self._analyzer, self._on_rows = analyzer, on_rows
        self._newest: tuple[bytes, float] | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._last = -1.0
        self._rows: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def show(self, jpeg: bytes, time: float) -> None:
        """Take a picture that was taken at `time` seconds; times that run backwards are left out."""
        if not time > self._last:
            return
        self._last = time
        with self._changed:
            self._newest = jpeg, time
            self._changed.notify()

    def close(self) -> None:
        """End the session and wait for its thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(10)

    def _frames(self) -> Iterator[Frame]:
        count = 0
        while True:
            if self._rows:  # whoever asks for the next picture is done with the one before
                self._on_rows(self._rows)
                self._rows = []
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._closed)
                if self._closed or self._newest is None:
                    return
                (jpeg, time), self._newest = self._newest, None
            image = decode(jpeg)
            if image is not None:
                yield Frame(count, time, image)
                count += 1

    def _work(self) -> None:
        try:
            for result in self._analyzer(self._frames()):
                self._rows.append(row("camera", result, self._analyzer.expressions))
        except Exception as error:
            say(f"camera: {error!r}")
            self._on_rows(None)
