"""Which frames of a sequence make a clip (Section 4.3): one from each of S segments of equal duration."""

import numpy as np


def middle_frames(count: int, frames: int) -> np.ndarray:
    """Return the middle frame of each of `frames` equal segments of a sequence of `count` frames, for testing.

    A sequence shorter than `frames` repeats its frames evenly.
    """
    return np.floor((np.arange(frames) + 0.5) * count / frames).astype(np.int64)


def random_frames(count: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random frame of each of `frames` equal segments, for training; ascending."""
    places = np.floor((np.arange(frames) + rng.random(frames)) * count / frames).astype(np.int64)
    return np.minimum(places, count - 1)
