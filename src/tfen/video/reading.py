"""Frames of a film, one at a time, upright and in time; nothing is kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from tfen.errors import InputError

MOST_PIXELS = 64 * 2**20
"""Frames with more pixels than this are refused: no camera makes them, and they would fill the memory."""


@dataclass(frozen=True)
class Frame:
    """A frame: `image` (height, width, 3) uint8 RGB, `time` in seconds from the film's beginning."""

    image: np.ndarray
    time: float


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of a film, turned as its metadata say.

    A film that breaks off yields what could be read.

    Raises:
        InputError: the file is no film, or none of its frames can be read.
    """
    count = 0
    try:
        with av.open(str(path)) as film:
            if not film.streams.video:
                raise InputError(f"{path} has no video track; give a film")
            stream = film.streams.video[0]
            if stream.codec_context.width * stream.codec_context.height > MOST_PIXELS:
                raise InputError(
                    f"{path} has frames of {stream.codec_context.width}x{stream.codec_context.height}: too large"
                )
            stream.thread_type = "AUTO"
            for frame in film.decode(stream):
                image = frame.to_ndarray(format="rgb24")
                if frame.rotation:
                    image = np.rot90(image, round(frame.rotation / 90) % 4)
                yield Frame(np.ascontiguousarray(image), float(frame.time if frame.time is not None else count / 25))
                count += 1
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        if count == 0:
            raise InputError(f"{path} cannot be read as a film: {_reason(error)}") from None
    if count == 0:
        raise InputError(f"{path} has no frame that can be read")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
