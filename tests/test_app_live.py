"""The camera's answers are never old."""

import json
import struct
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from films import still
from serving import SlowDetector, serving
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tfen.app.wishes import Analyzers
from tfen.faces.detection import HaarDetector
from tfen.inference.analyzer import Analyzer
from tfen.inference.finding import newest_on_grid
from tfen.video.reading import Frame

STEP = 0.8 / 5
"""Seconds between two answers."""


def _watch(address: str, picture: bytes, rate: float, seconds: float, answers: list[tuple[float, float]]) -> None:
    """Send pictures as a camera does and note when answers come, and how old they are."""
    with connect(address) as socket:
        begin = time.monotonic()

        def listen() -> None:
            try:
                for message in socket:
                    rows = json.loads(message)["rows"]
                    if rows and rows[0]["face"] is not None:
                        came = time.monotonic() - begin
                        answers.append((came, came - rows[0]["time"]))
            except ConnectionClosed:
                pass

        listening = threading.Thread(target=listen)
        listening.start()
        while (now := time.monotonic() - begin) < seconds:
            socket.send(struct.pack(">d", now) + picture)
            time.sleep(max(0.0, 1 / rate - (time.monotonic() - begin - now)))
    listening.join()


@pytest.mark.parametrize("rate", [5, 15, 30])
def test_answers_are_less_than_two_steps_old_with_two_viewers_and_a_slow_detector(
    weights: Path, actors: Path, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    image = cv2.resize(still(actors, 0.1)[0][0], (480, 270))
    picture = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
    faces = HaarDetector().detect(image)

    def live(self: Analyzers) -> Analyzer:
        return Analyzer(
            self.loaded[self.weights[0]], live=True, window=0.8, smoothing=0.4, detector=SlowDetector(0.1, faces),
            test_time_augmentation=1,
        )  # fmt: skip

    monkeypatch.setattr(Analyzers, "live", live)
    with serving(weights) as one:
        answers: list[list[tuple[float, float]]] = [[], []]
        address = f"ws://127.0.0.1:{one.port}/api/live"
        viewers = [threading.Thread(target=_watch, args=(address, picture, rate, 3.0, own)) for own in answers]
        for viewer in viewers:
            viewer.start()
        for viewer in viewers:
            viewer.join()
    for own in answers:
        assert len(own) >= 6
        came, late = np.array(own[2:]).T
        step = max(STEP, np.median(np.diff(came)))  # a machine under load manages fewer
        assert np.median(late) < 2 * step, own


def test_the_first_frame_of_a_step_is_looked_at_at_once() -> None:
    """Frames within a step are left out; steps without a frame show the one before."""
    asked: list[int] = []

    def frames() -> Any:
        for k, at in enumerate([0.0, 0.1, 0.21, 0.75, 0.79]):
            asked.append(k)
            yield Frame(k, at, np.zeros((2, 2, 3), np.uint8))

    out = [(number, frame.number, len(asked)) for number, frame in newest_on_grid(frames(), 0.2, 5)]
    assert out == [(0, 0, 1), (1, 2, 3), (2, 2, 4), (3, 3, 4)]
