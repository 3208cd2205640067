"""Frames of a film, a stream or a camera, one at a time, upright and in time; nothing is kept."""

import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np

from tfen.errors import InputError, TfenError
from tfen.video.media import IMAGES
from tfen.video.photographs import animation, is_animated, read_image

MOST_PIXELS = 64 * 2**20
"""Frames with more pixels than this are refused: no camera makes them, and they would fill the memory."""
ADDRESS = re.compile(r"^(rtsp|rtmp|https?|udp|srt|tcp)://", re.IGNORECASE)
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,mpegvideo,h264,hevc,ogg,gif,mjpeg,wtv,mxf,dv,nut,ivf"
)
"""FFmpeg's names of the films that are read from files."""
NO_LENGTH, UNREAD = ("ogg", "mpegts", "mpeg", "gif"), 0.3
"""Containers whose header does not say how long they are, and the share of such a file behind its last packet above which it
broke off."""
THREADS = 4
"""Threads of the decoder at most: each of them holds a frame."""
WAIT = 10.0
"""Seconds until a silent address counts as gone."""


class Frame:
    """A frame: `number` from 0, `time` in seconds on the film's clock, `image` (height, width, 3) uint8 RGB.

    The image is made when it is first asked for: frames that are only counted cost little. It is what players show:
    turned and mirrored as the film says, and with square pixels.
    """

    def __init__(
        self,
        number: int,
        time: float,
        source: "av.VideoFrame | np.ndarray",
        aspect: float = 1.0,
        matrix: tuple[int, int, int, int] | None = None,
    ) -> None:
        self.number, self.time, self._source = number, time, source
        self._aspect, self._matrix = aspect, matrix

    @cached_property
    def image(self) -> np.ndarray:
        if isinstance(self._source, np.ndarray):
            return self._source
        image = _turned(_with_square_pixels(self._source.to_ndarray(format="rgb24"), self._aspect), self._matrix)
        return np.ascontiguousarray(image)

    @property
    def bytes(self) -> int:
        """How much memory it holds, once its image was asked for."""
        if isinstance(self._source, np.ndarray):
            return self._source.nbytes
        return sum(plane.buffer_size for plane in self._source.planes) + 3 * self._source.width * self._source.height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, pixels."""
        if isinstance(self._source, np.ndarray):
            return self._source.shape[1], self._source.shape[0]
        width, height = _square_size(self._source.width, self._source.height, self._aspect)
        return (height, width) if _lies_down(self._matrix) else (width, height)

    def scaled(self, width: int, height: int) -> np.ndarray:
        """Return the image at another, smaller size, (height, width, 3), without making the whole one."""
        image = vars(self).get("image", self._source)
        if not isinstance(image, np.ndarray):
            share = width / self.size[0]
            small = image.reformat(
                max(1, round(image.width * share)), max(1, round(image.height * share)), "rgb24", interpolation="AREA"
            )
            image = _turned(_with_square_pixels(small.to_ndarray(), self._aspect), self._matrix)
        if (image.shape[1], image.shape[0]) != (width, height):
            image = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(image)


def _square_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Return width and height with square pixels of an image whose pixels are `aspect` times as wide as high."""
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))


def _with_square_pixels(image: np.ndarray, aspect: float) -> np.ndarray:
    """Return an image whose pixels are `aspect` times as wide as high with square ones; nothing gets smaller."""
    if aspect == 1.0:
        return image
    size = _square_size(image.shape[1], image.shape[0], aspect)
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def _turned(image: np.ndarray, matrix: tuple[int, int, int, int] | None) -> np.ndarray:
    """Return an image turned and mirrored by its film's display matrix, to the nearest right angle."""
    if matrix is None:
        return image
    a, b, c, d = matrix
    if _lies_down(matrix):
        image, down, across = image.transpose(1, 0, 2), b, c
    else:
        down, across = d, a
    return image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def _display_matrix(frame: Any) -> tuple[int, int, int, int] | None:
    """Return a, b, c and d of x' = a x + c y, y' = b x + d y, which a frame carries; None where it is shown as it is.

    Asked of a film's first frame alone: a frame that was asked for its side data is freed late.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    return a, b, c, d


def _lies_down(matrix: tuple[int, int, int, int] | None) -> bool:
    """Tell whether width and height are exchanged."""
    return matrix is not None and abs(matrix[1]) + abs(matrix[2]) > abs(matrix[0]) + abs(matrix[3])


class Moment(NamedTuple):
    """Which frame it was, without its image: `number` from 0, `time` in seconds on the film's clock."""

    number: int
    time: float


@dataclass(frozen=True)
class Film:
    """What is known of a film before it is decoded; 0 where it is not."""

    frames: int
    seconds: float
    rate: float
    """Frames a second, on average."""
    has_sound: bool
    width: int
    height: int


def look_at(path: Path) -> Film:
    """Return what a film's header says.

    Raises:
        InputError: the file is no film.
    """
    with _opened(str(path), str(path)) as film:
        stream = film.streams.video[0]
        seconds = float(film.duration / av.time_base) if film.duration else 0.0
        rate = float(stream.average_rate or 0)
        return Film(
            stream.frames or round(seconds * rate), seconds, rate, bool(film.streams.audio), stream.width, stream.height
        )


@dataclass
class ReadReport:
    """What became of a film while it was read."""

    lost: int = 0
    """Frames that are damaged and cannot be decoded."""
    broke_off: str = ""
    """Why it broke off before its end; empty where it did not."""


def read_file(path: Path, report: ReadReport | None = None) -> Iterator[Frame]:
    """Return the frames of a film, the pictures of an animated one, or the one frame of a photograph.

    Raises:
        InputError: the file is missing, or can be read as none of them.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a film or a photograph")
    if path.suffix.lower() not in IMAGES:
        return read_frames(path, report)
    if is_animated(path):
        return (Frame(number, time, image) for number, (time, image) in enumerate(animation(path)))
    return iter([Frame(0, 0.0, np.ascontiguousarray(read_image(path)))])


def read_frames(source: Path | str, report: ReadReport | None = None) -> Iterator[Frame]:
    """Yield the frames of a film as players show them, at the times that players show.

    Time 0 is where the first of the film's tracks begins, as in players: where the sound begins first, the first frame
    comes later. What cannot be decoded is left out; a film that breaks off yields what could be read.

    Args:
        source: a file, an address (rtsp://, http:// ...), or "-" for standard input.
        report: is filled in on the way.

    Raises:
        InputError: the source is no film, or none of its frames can be read.
    """
    name = "standard input" if source == "-" else str(source)
    report = ReadReport() if report is None else report
    with _opened(sys.stdin.buffer if source == "-" else str(source), name) as film:
        reader = _FilmReader(film, report)
        begin = None if film.start_time is None else max(0.0, film.start_time / av.time_base)
        count, last = 0, 0.0
        aspect, matrix = _pixel_aspect(film.streams.video[0]), None
        for frame in reader.frames():
            given = count / 25 if frame.pts is None else float(frame.pts * reader.time_base)
            begin = given if begin is None else begin
            last = max(last, float(given - begin))  # time does not run backwards, whatever the stamps say
            matrix = _display_matrix(frame) if count == 0 else matrix
            yield Frame(count, last, frame, aspect, matrix)
            count += 1
        if isinstance(source, Path) and not report.broke_off:
            report.broke_off = reader.missing_end()
    if count == 0:
        raise InputError(f"{name} cannot be read as a film: {report.broke_off or 'none of its frames can be decoded'}")


class _FilmReader:
    """Decodes a film's video track and goes on behind what is damaged."""

    MOST_ERRORS = 200
    """Errors of the container one after the other, after which nothing more is expected."""
    ONE_EACH = ("h264", "hevc", "mjpeg", "mpeg4")
    """Codecs that give a frame for each packet: one that gives none is lost, though the decoder does not say so."""

    def __init__(self, film: Any, report: ReadReport) -> None:
        self._film, self._report = film, report
        self._stream = film.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = min(THREADS, os.cpu_count() or 1)
        self.time_base = self._stream.time_base
        self._reached, self._bytes = 0.0, 0
        """Latest end of a packet of any track, in seconds and as a place in the file."""

    def frames(self) -> Iterator[Any]:
        """Yield all frames that can be decoded, in order; note what is lost and why it broke off."""
        packets = decoded = errors = 0
        first: int | None = None
        single = True
        for packet in self._packets():
            try:
                frames = self._stream.codec_context.decode(packet)
            except (av.FFmpegError, ValueError, MemoryError):
                errors += 1
                continue
            if packet is not None and not packet.is_discard and packet.pts is not None:
                packets += first is None or packet.pts >= first
            for frame in frames:
                first = frame.pts if first is None else first
                single = single and not frame.interlaced_frame
                decoded += 1
                yield frame
        silent = packets - decoded if single and self._stream.codec_context.name in self.ONE_EACH else 0
        self._report.lost = max(errors, silent)

    def _packets(self) -> Iterator[Any]:
        """Yield the video's packets, and None at the end: what waits in the decoder comes then."""
        errors = 0
        while True:
            try:
                for packet in self._film.demux():
                    errors = 0
                    if packet.size == 0 and packet.dts is None:
                        continue
                    self._note(packet)
                    if packet.stream_index == self._stream.index:
                        yield packet
                break
            except av.InvalidDataError as error:
                errors += 1
                if errors >= self.MOST_ERRORS:
                    self._report.broke_off = self._sentence(error)
                    break
            except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
                self._report.broke_off = self._sentence(error)
                break
        yield None

    def _note(self, packet: Any) -> None:
        if packet.pts is not None and packet.time_base:
            self._reached = max(self._reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.pos is not None and packet.pos >= 0:
            self._bytes = max(self._bytes, packet.pos + packet.size)

    def _sentence(self, error: Exception) -> str:
        return f"it breaks off after {self._since_begin():.1f} s: {_reason(error)}"

    def _since_begin(self) -> float:
        return max(0.0, self._reached - max(0, self._film.start_time or 0) / av.time_base)

    def missing_end(self) -> str:
        """Return what is wrong where the tracks end long before the film does as its header says, or nothing.

        Some containers count the length from the first stamp and some from 0: the more lenient reading counts. A film
        whose header does not say how long it is ends too early where much of the file was not reached.
        """
        seconds = (self._film.duration or 0) / av.time_base
        size = self._film.size or 0
        if seconds - max(self._reached, self._since_begin()) > max(1.0, 0.1 * seconds):
            return f"it ends at {self._since_begin():.1f} s of {seconds:.1f} s"
        if self._film.format.name in NO_LENGTH and self._bytes and size - self._bytes > UNREAD * size:
            return f"it ends at {self._since_begin():.1f} s; {100 * (1 - self._bytes / size):.0f} % of the file cannot be read"
        return ""


def _pixel_aspect(stream: Any) -> float:
    """Return how many times as wide as high a film's pixels are; 1 where nothing sensible is said."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 1 / 8 <= ratio <= 8 else 1.0


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
