"""The film again, with boxes and labels on the faces and a timeline below."""

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfen.inference.analyzer import Result
from tfen.inference.colours import UNCLEAR, colour_of, ink_on, rgb
from tfen.inference.sound import add_sound
from tfen.inference.trust import View, percent
from tfen.video.reading import Frame

Array = np.ndarray
CLOCK = 90000
"""Ticks of the film's clock in a second."""
TIMELINE = 10.0
"""Seconds that the timeline shows."""
LARGEST = 1280
"""Longer side of the annotated film at most, pixels."""
MOST_RATE = 30.0
"""Frames in a second of the annotated film at most: frames that wait for their results take memory."""
INK = (24, 28, 34)
SMALLEST_TEXT = 9
"""Pixels."""


class AnnotatedFilm:
    """Writes an annotated film while its frames and results come in.

    Frames wait until the results of the step after them are known, so that boxes move smoothly between steps.

    Args:
        path: the .mp4 file.
        expressions: in canonical order.
        step: seconds between results.
        sound: the file whose sound it gets.
    """

    def __init__(self, path: Path, expressions: Sequence[str], step: float, sound: Path | None = None) -> None:
        self._path, self._expressions, self._step, self._sound = path, tuple(expressions), step, sound
        self._frames: deque[tuple[float, float, Array]] = deque()
        """Time, scale and picture of the frames that wait."""
        self._taken = -1.0
        self._steps: list[tuple[float, dict[int, Result]]] = []
        self._history: deque[tuple[float, Array, bool]] = deque()
        """Time, probabilities, and whether anything can be told of the face."""
        self._output: Any = None
        self._stream: Any = None
        self._last = -1

    def frame(self, frame: Frame) -> None:
        """Take a frame of the film; every frame, in order, before the results of its time."""
        if self._taken >= 0 and frame.time - self._taken < 0.9 / MOST_RATE:
            return
        self._taken = frame.time
        width, height = frame.size
        scale = min(1.0, LARGEST / max(height, width))
        size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
        self._frames.append((frame.time, scale, frame.scaled(*size)))

    def discard(self) -> None:
        """Forget the frames that wait: nobody wants the film any more."""
        self._frames.clear()
        self._sound = None

    def add(self, result: Result) -> None:
        """Take a result, in order of time."""
        if not self._steps or self._steps[-1][0] != result.time:
            if len(self._steps) == 2:
                self._draw_until(self._steps[1][0])
                self._steps.pop(0)
            self._steps.append((result.time, {}))
        if result.face is not None:
            self._steps[-1][1][result.face] = result

    def close(self) -> None:
        """Draw what is left and finish the file."""
        if len(self._steps) == 2:
            self._draw_until(self._steps[1][0])
            self._steps.pop(0)
        self._draw_until(float("inf"))
        if self._output is not None:
            for packet in self._stream.encode(None):
                self._output.mux(packet)
            self._output.close()
            self._output = None
            if self._sound is not None:
                add_sound(self._path, self._sound)

    def _draw_until(self, time: float) -> None:
        while self._frames and self._frames[0][0] < time:
            at, scale, picture = self._frames.popleft()
            drawn = self._drawn(at, scale, picture, self._faces_at(at))
            if self._output is None and at > 0:
                self._encode(drawn, 0.0)  # where the sound begins first, the first picture waits
            self._encode(drawn, at)

    def _faces_at(self, time: float) -> list[Result]:
        """Return what the faces show at a time, boxes and probabilities half-way between two steps."""
        if not self._steps or time < self._steps[0][0] - 1e-6:
            return []
        begin, before = self._steps[0]
        end, after = self._steps[-1]
        if time - begin > 2 * self._step + (end - begin):
            return []
        share = 0.0 if end == begin else min(1.0, (time - begin) / (end - begin))
        between = []
        for face, one in before.items():
            other = after.get(face, one)
            assert one.box is not None and other.box is not None
            assert one.probabilities is not None and other.probabilities is not None
            box = tuple((1 - share) * a + share * b for a, b in zip(one.box, other.box))
            probabilities = {
                name: (1 - share) * one.probabilities[name] + share * other.probabilities[name]
                for name in self._expressions
            }
            near = one if share < 0.5 else other
            between.append(
                Result(
                    time,
                    one.frame,
                    face,
                    box,  # type: ignore[arg-type]
                    size=near.size,
                    sharpness=near.sharpness,
                    yaw=near.yaw,
                    pitch=near.pitch,
                    probabilities=probabilities,
                    label=near.label,
                    confidence=near.confidence,
                )
            )
        return between

    def _drawn(self, time: float, scale: float, picture: Array, faces: list[Result]) -> Array:
        size = picture.shape[1], picture.shape[0]
        band = max(56, size[1] // 6 // 2 * 2)
        out = np.full((size[1] + band, size[0], 3), INK, np.uint8)
        out[: size[1]] = picture
        text = max(12, round(min(size) / 26))
        line = max(1, round(min(size) / 240))
        boxes = [tuple(value * scale for value in face.box or ()) for face in faces]
        colours = [rgb(_colour(face, self._expressions)) for face in faces]
        for (left, top, wide, high), colour in zip(boxes, colours):
            corner = (round(left), round(top)), (round(left + wide), round(top + high))
            cv2.rectangle(out[: size[1]], *corner, colour, line, cv2.LINE_AA)
        for (x, y, words), colour in zip(place_labels([_label(face) for face in faces], boxes, size, text), colours):
            _plate(out[: size[1]], x, y, words, colour)
        self._timeline(out[size[1] :], time, faces, max(10, text - 2))
        return out

    def _timeline(self, band: Array, time: float, faces: list[Result], text: int) -> None:
        """Draw the probabilities of the largest face over the last seconds, now at the right edge, names below."""
        height, width = band.shape[:2]
        largest = max(faces, key=lambda face: face.box[2] if face.box else 0, default=None)
        if largest is not None and largest.probabilities is not None:
            levels = np.array([largest.probabilities[name] for name in self._expressions])
            self._history.append((time, levels, bool(largest.label) and not _doubts(largest)))
        while self._history and self._history[0][0] < time - TIMELINE:
            self._history.popleft()
        names = [_words(name, text) for name in self._expressions]
        gap = 2 * text  # room for a square of the colour
        needed = sum(own.shape[1] + gap for own in names)
        if needed > width:  # the names must fit
            names = [cv2.resize(own, None, fx=width / needed, fy=width / needed) for own in names]
            gap = int(gap * width / needed)
        legend = max(own.shape[0] for own in names) + 6
        plot = height - legend
        if self._history:
            times = np.array([item[0] for item in self._history])
            levels = np.cumsum(np.array([item[1] for item in self._history]), 1)
            places = np.round((times - time + TIMELINE) / TIMELINE * (width - 1)).astype(int)
            grid = np.arange(places[0], width)
            at = np.clip(np.searchsorted(places, grid, side="right") - 1, 0, len(places) - 1)
            fresh = grid - places[at] <= max(3, round(3 * self._step / TIMELINE * width))
            rows = (np.arange(plot)[::-1, None] + 0.5) / plot
            kind = (rows[..., None] > levels[at][None]).sum(2).clip(0, len(self._expressions) - 1)
            kind[:, ~np.array([item[2] for item in self._history])[at]] = -1
            names_and_none = [*(colour_of(name, self._expressions) for name in self._expressions), UNCLEAR]
            colours = np.array([rgb(colour) for colour in names_and_none], np.uint8)
            band[:plot, grid[fresh]] = colours[kind][:, fresh]
        x = side = gap // 3
        for name, own in zip(self._expressions, names):
            top = plot + 3 + (own.shape[0] - side) // 2
            band[top : top + side, x : x + side] = rgb(colour_of(name, self._expressions))
            _blend(band, x + side + side // 2, plot + 3, own, (225, 228, 232))
            x += own.shape[1] + gap

    def _encode(self, picture: Array, time: float) -> None:
        if self._output is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # pieces that stand by themselves: a film that is cut short can be played
            self._output = av.open(str(self._path), "w", options={"movflags": "frag_keyframe+empty_moov"})
            codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
            self._stream = self._output.add_stream(codec, rate=30)
            self._stream.height, self._stream.width = picture.shape[0] // 2 * 2, picture.shape[1]
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = Fraction(1, CLOCK)
            self._stream.codec_context.time_base = Fraction(1, CLOCK)
            if codec == "libx264":
                # no picture waits for later ones: players that ignore edit lists keep sound and pictures together
                self._stream.options = {"preset": "veryfast", "crf": "22", "bf": "0"}
        image = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(picture[: self._stream.height, : self._stream.width]), format="rgb24"
        )
        image.time_base = Fraction(1, CLOCK)
        image.pts = self._last = max(self._last + 1, round(time * CLOCK))
        for packet in self._stream.encode(image):
            self._output.mux(packet)


def _doubts(face: Result) -> list[str]:
    return View(face.size, face.sharpness, face.yaw, face.pitch).doubts()


def _colour(face: Result, expressions: Sequence[str]) -> str:
    return colour_of(face.label, expressions) if face.label and not _doubts(face) else UNCLEAR


def _label(face: Result) -> tuple[str, ...]:
    """Return what is written beside a face, from the longest to the shortest form."""
    doubts = _doubts(face)
    if doubts or not face.label:
        return f"{face.face}  {', '.join(doubts) or 'not sure'}", f"{face.face} ?", f"{face.face}"
    sure = percent(face.confidence or 0)
    return (
        f"{face.face}  {face.label} {sure}",
        f"{face.face} {face.label[:3]} {sure.removesuffix(' %')}",
        f"{face.face}",
    )


def place_labels(
    labels: Sequence[tuple[str, ...]], boxes: Sequence[tuple[float, ...]], size: tuple[int, int], text: int
) -> list[tuple[int, int, Array]]:
    """Return where each label goes, so that it covers no face and no other label: left, top, and its words.

    A label goes above, below or beside its face; where there is no room it gets smaller, and shorter. Where there is still
    none, the face's number stands in the lower corner of its own box.

    Args:
        labels: the forms of each, the longest first.
        boxes: of the faces: left, top, width, height in pixels.
        size: width and height of the picture.
        text: pixels of the largest letters.
    """
    taken = [(left, top, left + wide, top + high) for left, top, wide, high in boxes]
    out = []
    for forms, (left, top, wide, high) in zip(labels, boxes):
        for form, height in [(form, height) for form in forms for height in (text, max(SMALLEST_TEXT, 2 * text // 3))]:
            words = _words(form, height)
            w, h = words.shape[1] + 8, words.shape[0] + 4
            spots = [
                (x, y) for y in (top - h - 1, top + high + 1) for x in (left, left + wide - w, left + (wide - w) / 2)
            ] + [(x, y) for x in (left + wide + 1, left - w - 1) for y in (top, top + high - h)]
            free = next((spot for spot in spots if _fits(spot, (w, h), size, taken)), None)
            if free is not None:
                break
        else:
            free = (left, min(top + high, size[1]) - h)
        x, y = round(free[0]), round(free[1])
        taken.append((x, y, x + w, y + h))
        out.append((x, y, words))
    return out


def _fits(
    spot: tuple[float, float], plate: tuple[int, int], size: tuple[int, int], taken: Sequence[tuple[float, ...]]
) -> bool:
    (x, y), (w, h) = spot, plate
    inside = x >= 0 and y >= 0 and x + w <= size[0] and y + h <= size[1]
    return inside and not any(x < right and left < x + w and y < low and top < y + h for left, top, right, low in taken)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


@cache
def _words(text: str, size: int) -> Array:
    """Return written words as opacity, (height, width) float32 in [0, 1]."""
    font = _font(size)
    _, top, _, bottom = font.getbbox("Hg" + text)
    image = Image.new("L", (round(font.getlength(text)) + 2, round(bottom - top) + 2))
    ImageDraw.Draw(image).text((1, 1 - top), text, fill=255, font=font)
    return np.asarray(image, np.float32) / 255


def _blend(out: Array, x: int, y: int, words: Array, colour: tuple[int, int, int]) -> None:
    part = out[max(y, 0) : y + words.shape[0], max(x, 0) : x + words.shape[1]]
    words = words[max(-y, 0) :, max(-x, 0) :][: part.shape[0], : part.shape[1], None]
    part[:] = np.round(part * (1 - words) + np.array(colour, np.float32) * words).astype(np.uint8)


def _plate(out: Array, x: int, y: int, words: Array, colour: tuple[int, int, int]) -> None:
    """Write words on a plate of the given colour, in ink that can be read on it."""
    x = max(0, min(x, out.shape[1] - words.shape[1] - 8))
    y = max(0, min(y, out.shape[0] - words.shape[0] - 4))
    out[y : y + words.shape[0] + 4, x : x + words.shape[1] + 8] = colour
    _blend(out, x + 4, y + 2, words, rgb(ink_on("#{:02x}{:02x}{:02x}".format(*colour))))
