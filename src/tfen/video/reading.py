"""Frames of a film, a stream or a camera, one at a time, upright and in time; nothing is kept."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from tfen.errors import InputError, TfenError

MOST_PIXELS = 64 * 2**20
"""Frames with more pixels than this are refused: no camera makes them, and they would fill the memory."""
ADDRESS = re.compile(r"^(rtsp|rtmp|https?|udp|srt|tcp)://", re.IGNORECASE)
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,mpegvideo,h264,hevc,ogg,gif,mjpeg,wtv,mxf,dv,nut,ivf"
)
"""FFmpeg's names of the films that are read from files."""
WAIT = 10.0
"""Seconds until a silent address counts as gone."""


class Frame:
    """A frame: `number` from 0, `time` in seconds from the film's beginning, `image` (height, width, 3) uint8 RGB.

    The image is made when it is first asked for: frames that are only counted cost little.
    """

    def __init__(self, number: int, time: float, source: "av.VideoFrame | np.ndarray") -> None:
        self.number, self.time, self._source = number, time, source

    @cached_property
    def image(self) -> np.ndarray:
        if isinstance(self._source, np.ndarray):
            return self._source
        image = self._source.to_ndarray(format="rgb24")
        if self._source.rotation:
            image = np.rot90(image, round(self._source.rotation / 90) % 4)
        return np.ascontiguousarray(image)


@dataclass(frozen=True)
class Film:
    """What is known of a film before it is decoded; 0 where it is not."""

    frames: int
    seconds: float


def look_at(path: Path) -> Film:
    """Return what a film's header says.

    Raises:
        InputError: the file is no film.
    """
    with _opened(str(path), str(path)) as film:
        stream = film.streams.video[0]
        seconds = float(film.duration / av.time_base) if film.duration else 0.0
        rate = float(stream.average_rate or 0)
        return Film(stream.frames or round(seconds * rate), seconds)


def read_frames(source: Path | str, broke: Callable[[str], None] | None = None) -> Iterator[Frame]:
    """Yield the frames of a film, turned as its metadata say.

    A film that breaks off yields what could be read.

    Args:
        source: a file, an address (rtsp://, http:// ...), or "-" for standard input.
        broke: is told why, if the film breaks off before its end.

    Raises:
        InputError: the source is no film, or none of its frames can be read.
    """
    name = "standard input" if source == "-" else str(source)
    count, last = 0, 0.0
    try:
        with _opened(sys.stdin.buffer if source == "-" else str(source), name) as film:
            stream = film.streams.video[0]
            seconds = float(film.duration / av.time_base) if film.duration and isinstance(source, Path) else 0.0
            stream.thread_type = "AUTO"
            first = None
            for frame in _decoded(film, stream):
                given = frame.time if frame.time is not None else count / 25
                first = given if first is None else first
                last = max(last, float(given - first))  # time does not run backwards, whatever the stamps say
                yield Frame(count, last, frame)
                count += 1
        if broke is not None and count and seconds - last > max(1.0, 0.1 * seconds):
            broke(f"it ends at {last:.1f} s of {seconds:.1f} s")
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        if count == 0:
            raise InputError(f"{name} cannot be read as a film: {_reason(error)}") from None
        if broke is not None:
            broke(f"it breaks off after {last:.1f} s: {_reason(error)}")
    if count == 0:
        raise InputError(f"{name} has no frame that can be read")


def camera_frames(index: int) -> Iterator[Frame]:
    """Yield a camera's frames as they come, their times by the clock, until it goes away.

    Raises:
        TfenError: there is no such camera.
    """
    camera = cv2.VideoCapture(index)
    try:
        if not camera.isOpened():
            raise TfenError(f"camera {index} cannot be opened; check that it is plugged in and not in use elsewhere")
        begin, count = time.monotonic(), 0
        while True:
            good, picture = camera.read()
            if not good:
                return
            yield Frame(count, time.monotonic() - begin, np.ascontiguousarray(picture[..., ::-1]))
            count += 1
    finally:
        camera.release()


def _decoded(film: Any, stream: Any) -> Iterator[Any]:
    """Yield a track's frames; where the film breaks off, those that wait in the decoder come before the error."""
    broken: Exception | None = None
    try:
        for packet in film.demux(stream):
            yield from packet.decode()
    except av.FFmpegError as error:
        broken = error
    if broken is not None:
        with suppress(av.FFmpegError):
            yield from stream.codec_context.decode(None)
        raise broken


def _opened(source: Any, name: str) -> Any:
    """Open a film that has a video track whose frames are not too large."""
    try:
        # a file may not make the reader open other files or addresses, as playlists do
        safe = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        network = isinstance(source, str) and ADDRESS.match(source)
        film = av.open(source, timeout=WAIT) if network else av.open(source, options=safe)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        hint = "; films whose index is at the end must be given as a file" if name == "standard input" else ""
        raise InputError(f"{name} cannot be read as a film: {_reason(error)}{hint}") from None
    if not film.streams.video:
        film.close()
        raise InputError(f"{name} has no video track; give a film")
    size = film.streams.video[0].codec_context
    if size.width * size.height > MOST_PIXELS:
        film.close()
        raise InputError(f"{name} has frames of {size.width}x{size.height}: too large")
    return film


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
