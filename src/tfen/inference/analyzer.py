"""Expressions in films, streams and photographs: who shows what, when, and how sure that is."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfen.config import Looks
from tfen.data.prepared import IMAGES, read_image
from tfen.errors import InputError
from tfen.faces.detection import FaceDetector, make_detector
from tfen.inference.engine import Engine
from tfen.inference.export import load_for
from tfen.inference.finding import FaceFinder, Seen, Step, on_grid
from tfen.inference.stages import ahead
from tfen.inference.tracking import Box
from tfen.video.reading import Frame, camera_frames, read_frames

Array = np.ndarray
Source = Path | str | int | np.ndarray | Iterable[Frame]


@dataclass(frozen=True)
class Result:
    """What a face shows at a time; `face` and all after it are None where no face is seen."""

    time: float
    """Seconds from the beginning, of the frame."""
    frame: int
    """Number of the frame, from 0."""
    face: int | None = None
    """Number of the person, from 0 in the order of appearance."""
    box: Box | None = None
    """Left, top, width, height in pixels."""
    score: float | None = None
    """How sure the detector was, on its own scale; 0 where the face was followed by its landmarks."""
    size: float | None = None
    """Side of the face, pixels; below 40 little can be told."""
    sharpness: float | None = None
    """Deviation of the face's Laplacian over that of its grey values, at 64 pixels; below 0.3 it is blurred."""
    yaw: float | None = None
    """Turn of the head, degrees; above 0 to the image's right."""
    pitch: float | None = None
    """Nod, degrees; above 0 up."""
    roll: float | None = None
    """Tilt, degrees; above 0 clockwise."""
    window: tuple[float, float] | None = None
    """Times of the first and the last frame that the probabilities rest on, seconds."""
    probabilities: dict[str, float] | None = None
    """Of each expression, smoothed; they sum to 1."""
    label: str | None = None
    """The likeliest expression, or None where the confidence is below the least that was asked for."""
    confidence: float | None = None
    """Its probability, calibrated on people whom the weights had never seen."""


@dataclass
class _Track:
    """What is remembered of a face: by step, what was seen, its code for T, and the raw probabilities."""

    seen: dict[int, tuple[Seen, Frame]] = field(default_factory=dict)
    codes: dict[int, Any] = field(default_factory=dict)
    raw: dict[int, Array] = field(default_factory=dict)
    frames: int = 0

    def forget(self, before: int) -> None:
        for table in (self.seen, self.codes, self.raw):
            for step in [step for step in table if step < before]:
                del table[step]


class Analyzer:
    """Finds the faces of a film and tells their expressions over time: `for result in Analyzer()("film.mp4"): ...`

    The film is looked at on a grid of `frames` steps to a window. The probabilities at a step rest on the window around
    it; where a face was not seen all along, the nearest step at which it was stands in. Memory does not grow with the
    film, and the results come a little more than half a window late.

    Args:
        weights: what `tfen.load` takes, or what it returned.
        detector: finds the faces: "haar", "yunet", "mediapipe", or an object with `name` and `detect`.
        detector_model: the detector's model file, where it needs one.
        window: seconds.
        smoothing: seconds over which neighbouring probabilities are averaged, with triangular weights; 0 for none.
        min_confidence: results below it get no label.
        engine: "torch", "onnxruntime" or "openvino"; the others need the extra `export`.
        live: rest each result on the window before it, not around it: no waiting, and changes show half a window late.
        looks: how often each face is looked at: 6, as it is, a little nearer and farther, and all mirrored; or 1.

    Raises:
        InputError: unknown weights or detector, or a value out of range.
    """

    def __init__(
        self,
        weights: Any = "packaged",
        *,
        detector: str | FaceDetector = "haar",
        detector_model: Path | None = None,
        window: float = 1.0,
        smoothing: float = 0.2,
        min_confidence: float = 0.0,
        engine: str = "torch",
        live: bool = False,
        looks: Looks = 6,
    ) -> None:
        if not 0.1 <= window <= 60:
            raise InputError(f"window is {window}, expected 0.1 to 60 seconds")
        if not 0 <= smoothing <= 10:
            raise InputError(f"smoothing is {smoothing}, expected 0 to 10 seconds")
        if not 0 <= min_confidence <= 1:
            raise InputError(f"min-confidence is {min_confidence}, expected 0 to 1")
        self.engine = Engine(load_for(weights, engine), looks)
        self.expressions = self.engine.expressions
        self.step = window / self.engine.frames
        """Seconds between two results of a face."""
        self._detector, self._detector_model = detector, detector_model
        self._make_detector()  # an unfit one is told of now
        self._smooth = round(smoothing / self.step)
        self._least = min_confidence
        self._back = self.engine.frames - 1 if live else self.engine.frames // 2
        self._ahead = self.engine.frames - 1 - self._back
        self._wait = 0 if live else self._smooth
        """Steps that a result waits for neighbours to be averaged with."""

    def _make_detector(self) -> FaceDetector:
        """Return a detector; one for each source, since OpenCV's cannot work for two threads at a time."""
        if isinstance(self._detector, str):
            return make_detector(self._detector, self._detector_model)
        return self._detector

    def __call__(
        self,
        source: Source,
        watch: Callable[[Frame], None] | None = None,
        broke: Callable[[str], None] | None = None,
    ) -> Iterator[Result]:
        """Yield the results of a source, ordered by time and face.

        A face that is seen in one frame alone of a longer film is taken for a false alarm.

        Args:
            source: a film's or photograph's file, an address, "-" (standard input), a camera's number, an image
                (height, width, 3) uint8 RGB, or frames.
            watch: is shown every frame, before the results of its time.
            broke: is told why, if a film breaks off.

        Raises:
            InputError: the source cannot be read.
        """
        frames = ahead(open_source(source, broke), 8)
        if watch is not None:
            frames = _watched(frames, watch)
        finder = FaceFinder(self._make_detector(), self.engine.size, 1 / self.step)
        steps = finder.steps(on_grid(frames, self.step, self.engine.frames))
        return self._results(ahead(steps, 4))

    def _results(self, steps: Iterable[Step]) -> Iterator[Result]:
        tracks: dict[int, _Track] = {}
        shown: dict[int, Frame] = {}
        last, distinct = -1, 0
        for step in steps:
            if step.number > last + 1:  # nothing was shown for a while
                yield from self._finish(tracks, shown, last, distinct)
                tracks, shown = {}, {}
                last = step.number - 1
            distinct += step.new
            if step.new:
                shown[step.number] = step.frame
                codes = self.engine.encode([face.crop for face in step.faces])
            for face, code in zip(step.faces, codes):
                track = tracks.setdefault(face.face, _Track())
                track.codes[step.number] = code
                if step.new:
                    track.seen[step.number] = (face, step.frame)
                    track.frames += 1
            yield from self._advance(tracks, shown, step.number, distinct)
            last = step.number
        yield from self._finish(tracks, shown, last, distinct)

    def _finish(self, tracks: dict[int, _Track], shown: dict[int, Frame], last: int, distinct: int) -> Iterator[Result]:
        for number in range(last + 1, last + 1 + self._ahead + self._wait):
            yield from self._advance(tracks, shown, number, distinct)

    def _advance(
        self, tracks: dict[int, _Track], shown: dict[int, Frame], number: int, distinct: int
    ) -> Iterator[Result]:
        """Run T for the step whose window is complete now, and yield the results of the one that can be smoothed."""
        middle = number - self._ahead
        due = [track for track in tracks.values() if middle in track.seen]
        if due:
            scores = self.engine.scores([self._window(track, middle) for track in due])
            for track, own in zip(due, scores):
                track.raw[middle] = own
        ready = middle - self._wait
        frame = shown.pop(ready, None)
        if frame is not None:
            own = [
                self._result(face, track, ready)
                for face, track in sorted(tracks.items())
                if ready in track.seen and (track.frames > 1 or distinct <= 1 or self._ahead == 0)
            ]
            yield from own or [Result(frame.time, frame.number)]
        for face in list(tracks):
            tracks[face].forget(ready - self._back - self._smooth)
            if not tracks[face].codes:
                del tracks[face]

    def _window(self, track: _Track, middle: int) -> list[Any]:
        wanted = range(middle - self._back, middle + self._ahead + 1)
        there = [step for step in wanted if step in track.codes]
        return [track.codes[min(there, key=lambda step: (abs(step - k), step))] for k in wanted]

    def _result(self, face: int, track: _Track, step: int) -> Result:
        near = {
            k: self._smooth + 1 - abs(k - step)
            for k in range(step - self._smooth, step + self._wait + 1)
            if k in track.raw
        }
        scores = np.average([track.raw[k] for k in near], axis=0, weights=list(near.values()))
        seen, frame = track.seen[step]
        inside = [track.seen[k][1].time for k in range(step - self._back, step + self._ahead + 1) if k in track.seen]
        best = int(np.argmax(scores))
        sure = float(scores[best])
        return Result(
            time=frame.time,
            frame=frame.number,
            face=face,
            box=seen.box,
            score=seen.score,
            size=seen.box[2],
            sharpness=seen.sharpness,
            yaw=seen.yaw,
            pitch=seen.pitch,
            roll=seen.roll,
            window=(min(inside), max(inside)),
            probabilities=dict(zip(self.expressions, (float(value) for value in scores))),
            label=self.expressions[best] if sure >= self._least else None,
            confidence=sure,
        )


def open_source(source: Source, broke: Callable[[str], None] | None = None) -> Iterator[Frame]:
    """Return the frames of whatever `Analyzer` takes.

    Raises:
        InputError: a file that is missing or unreadable.
    """
    if isinstance(source, np.ndarray):
        return iter([Frame(0, 0.0, source)])
    if isinstance(source, int):
        return camera_frames(source)
    if isinstance(source, Path) or (isinstance(source, str) and source != "-" and "://" not in source):
        path = Path(source)
        if not path.is_file():
            raise InputError(f"{path} does not exist; give a film or a photograph")
        if path.suffix.lower() in IMAGES:
            return iter([Frame(0, 0.0, np.ascontiguousarray(read_image(path)))])
        return read_frames(path, broke)
    if isinstance(source, str):
        return read_frames(source, broke)
    return iter(source)


def _watched(frames: Iterable[Frame], watch: Callable[[Frame], None]) -> Iterator[Frame]:
    for frame in frames:
        watch(frame)
        yield frame
