"""Expressions in films, streams and photographs: who shows what, when, and how sure that is."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tfen.errors import InputError
from tfen.faces.box import Box
from tfen.faces.detection import FaceDetector
from tfen.faces.detectors import lent_detector
from tfen.inference.engine import Engine
from tfen.inference.export import load_for
from tfen.inference.finding import FaceFinder, Seen, Step, faces_of_photograph, newest_on_grid, on_grid
from tfen.inference.settings import AnalyzerSettings
from tfen.inference.stages import ahead
from tfen.video.media import IMAGES
from tfen.video.photographs import is_animated
from tfen.video.reading import Frame, Moment, ReadReport, camera_frames, read_file, read_frames

Array = np.ndarray
Source = Path | str | int | np.ndarray | Iterable[Frame]
"""A film or photograph as its file, an address, "-" (standard input), a camera's number, a picture, or frames."""
AHEAD = 96 * 2**20
"""Bytes of decoded frames that may wait for the detector."""
PICTURES_AT_ONCE = 16
"""Photographs whose faces go through the network together."""
SMALL, TURNED = 32, 45
"""Side in pixels below which, and turn in degrees above which, a face is hard to judge."""
CALM = 0.5
"""Probability of neutral from which a frame may be the person's reference."""
NEAR = 2
"""Steps: a face that is seen once is a false alarm where the film was looked at again this near."""


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
    """How sure the detector was when it looked last, on its own scale; 0 where it did not see the face then."""
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
    """Its probability, at the temperature that the weights were calibrated to; 1 if they were not."""


@dataclass
class _Track:
    """What is remembered of a face: by step, what was seen, its code for T, and the raw probabilities."""

    seen: dict[int, tuple[Seen, Moment]] = field(default_factory=dict)
    codes: dict[int, Any] = field(default_factory=dict)
    raw: dict[int, Array] = field(default_factory=dict)
    frames: int = 0
    reference: Any = None
    """Code of the calmest frame so far, where one was calm."""
    calmness: float = CALM
    """Probability of neutral there."""

    def forget(self, before: int) -> None:
        for table in (self.seen, self.codes, self.raw):
            for step in [step for step in table if step < before]:
                del table[step]


class Analyzer:
    """Finds the faces of a film and measures their expressions over time: `for result in Analyzer()("film.mp4"): ...`

    The film is looked at on a grid of `frames` steps to a window. The probabilities at a step rest on the window around
    it; where a face was not seen all along, the nearest step at which it was stands in. Memory does not grow with the
    film, and the results come a little more than half a window late.

    Args:
        weights: what `tfen.load` takes, or what it returned.
        settings: how; the packaged way if not given.
        live: rest each result on the window before it, not around it: no waiting, and changes show half a window late.
        changes: single settings by name, such as `min_confidence=0.5`; see `AnalyzerSettings`. `detector` may also be an
            object of your own with `name` and `detect`.

    Raises:
        InputError: unknown weights or detector, or a value out of range.
    """

    def __init__(
        self,
        weights: Any = "packaged",
        *,
        settings: AnalyzerSettings | None = None,
        live: bool = False,
        **changes: Any,
    ) -> None:
        self._own_detector: FaceDetector | None = None
        if not isinstance(changes.get("detector", ""), str):
            self._own_detector = changes.pop("detector")
        self.settings = replace(settings or AnalyzerSettings(), **changes)
        own = self.settings
        self.engine = Engine(load_for(weights, own.engine), own.test_time_augmentation, own.device)
        self.expressions = self.engine.expressions
        self.least_confidence = self.engine.least_confidence if own.min_confidence is None else own.min_confidence
        self.step = self.settings.window / self.engine.frames
        """Seconds between two results of a face."""
        with self._detector():  # an unfit one is reported now
            pass
        learned = self.engine.references and "neutral" in self.expressions
        self.refers = own.reference and learned
        """Whether the calmest frame of each face so far stands at the beginning of its windows."""
        self._neutral = self.expressions.index("neutral") if self.refers else -1
        self._smooth = round(self.settings.smoothing / self.step)
        self._live = live
        self._back = self.engine.frames - 1 if live else self.engine.frames // 2
        self._ahead = self.engine.frames - 1 - self._back
        self._wait = 0 if live else self._smooth
        """Steps that a result waits for neighbours to be averaged with."""

    def _detector(self) -> AbstractContextManager[FaceDetector]:
        if self._own_detector is not None:
            return nullcontext(self._own_detector)
        return lent_detector(self.settings.detector, self.settings.detector_model)

    def __call__(
        self,
        source: Source,
        watch: Callable[[Frame], None] | None = None,
        report: ReadReport | None = None,
    ) -> Iterator[Result]:
        """Yield the results of a source, ordered by time and face.

        A face that is seen at one step alone of a film that was looked at again right before or after it is taken for a
        false alarm.

        Args:
            source: a film's or photograph's file, an address, "-" (standard input), a camera's number, a picture (height,
                width, 3) or (height, width), uint8 or float in [0, 1], RGB or grey; or frames.
            watch: is shown every frame, before the results of its time.
            report: is filled in with what is damaged and whether a film breaks off.

        Raises:
            InputError: the source cannot be read.
        """
        if isinstance(source, np.ndarray) or _is_photograph(source):
            return self._photograph(source, watch)
        frames = open_source(source, report)
        if not self._live:
            frames = ahead(frames, 8, lambda frame: frame.bytes, AHEAD)
        if watch is not None:
            frames = _watched(frames, watch)
        if self._live:  # a frame that waits is old when its turn comes: each is asked for when it can be looked at
            return self._results(self._steps(frames))
        return self._results(ahead(self._steps(frames), 4))

    def _steps(self, frames: Iterable[Frame]) -> Iterator[Step]:
        with self._detector() as detector:
            finder = FaceFinder(detector, self.engine.size, 1 / self.step, self.engine.device)
            grid = newest_on_grid if self._live else on_grid
            yield from finder.steps(grid(frames, self.step, self.engine.frames))

    def _photograph(self, picture: Any, watch: Callable[[Frame], None] | None) -> Iterator[Result]:
        image = as_image(picture)
        if watch is not None:
            watch(Frame(0, 0.0, image))
        yield from self.images([image])[0]

    def images(self, pictures: Sequence[Array | Path | str]) -> list[list[Result]]:
        """Return what the faces of each photograph show; quicker than one call for each.

        A photograph without a face is looked at once more with a border: faces that fill it are found then.

        Args:
            pictures: files, or pictures as in a call.

        Returns:
            for each photograph its results; one whose `face` is None where no face is seen.

        Raises:
            InputError: a picture cannot be read.
        """
        out: list[list[Result]] = []
        left = iter(pictures)
        while batch := list(islice(left, PICTURES_AT_ONCE)):
            out += self._batch([as_image(one) for one in batch])
        return out

    def _batch(self, images: list[Array]) -> list[list[Result]]:
        with self._detector() as detector:
            seen = [faces_of_photograph(detector, image, self.engine.size, self.engine.device) for image in images]
        everyone = [face for faces in seen for face in faces]
        if not everyone:
            return [[Result(0.0, 0)] for _ in images]
        codes = self.engine.encode([face.crop for face in everyone])
        scores = iter(self.engine.scores([[code] * self.engine.frames for code in codes]))
        return [
            [self._result(face, 0.0, 0, (0.0, 0.0), next(scores)) for face in faces] or [Result(0.0, 0)]
            for faces in seen
        ]

    def dataframe(self, source: Source) -> Any:
        """Return the results of a source as a pandas DataFrame, with the columns of results.csv.

        Raises:
            InputError: pandas is not installed, or the source cannot be read.
        """
        try:
            import pandas
        except ImportError:
            raise InputError("a DataFrame needs pandas: pip install pandas") from None
        from tfen.inference.rows import columns, row

        name = str(source) if isinstance(source, (Path, str, int)) else "frames"
        rows = [row(name, result, self.expressions) for result in self(source)]
        return pandas.DataFrame(rows, columns=list(columns(self.expressions)))

    def _results(self, steps: Iterable[Step]) -> Iterator[Result]:
        tracks: dict[int, _Track] = {}
        shown: dict[int, Moment] = {}
        looked: deque[int] = deque(maxlen=4 * self.engine.frames)
        """Numbers of the latest steps at which a new frame was looked at."""
        last = -1
        for step in steps:
            if step.number > last + 1:  # nothing was shown for a while
                yield from self._finish(tracks, shown, last, looked)
                tracks, shown = {}, {}
                last = step.number - 1
            if step.new:
                looked.append(step.number)
                shown[step.number] = step.frame
                codes = self.engine.encode([face.crop for face in step.faces])
            for face, code in zip(step.faces, codes):
                track = tracks.setdefault(face.face, _Track())
                track.codes[step.number] = code
                if step.new:
                    track.seen[step.number] = (face, step.frame)
                    track.frames += 1
            yield from self._advance(tracks, shown, step.number, looked)
            last = step.number
        yield from self._finish(tracks, shown, last, looked)

    def _finish(
        self, tracks: dict[int, _Track], shown: dict[int, Moment], last: int, looked: Sequence[int]
    ) -> Iterator[Result]:
        for number in range(last + 1, last + 1 + self._ahead + self._wait):
            yield from self._advance(tracks, shown, number, looked)

    def _advance(
        self, tracks: dict[int, _Track], shown: dict[int, Moment], number: int, looked: Sequence[int]
    ) -> Iterator[Result]:
        """Run T for the step whose window is complete now, and yield the results of the one that can be smoothed."""
        middle = number - self._ahead
        due = [track for track in tracks.values() if middle in track.seen]
        if due:
            scores = self.engine.scores([self._window(track, middle) for track in due])
            for track, own in zip(due, scores):
                track.raw[middle] = own
                if self.refers and own[self._neutral] >= track.calmness:
                    track.reference, track.calmness = track.codes[middle], float(own[self._neutral])
        ready = middle - self._wait
        frame = shown.pop(ready, None)
        if frame is not None:
            alone = self._ahead > 0 and any(0 < abs(step - ready) <= NEAR for step in looked)
            own = [
                self._smoothed(track, ready)
                for _, track in sorted(tracks.items())
                if ready in track.seen and (track.frames > 1 or not alone)
            ]
            yield from own or [Result(frame.time, frame.number)]
        for face in list(tracks):
            tracks[face].forget(ready - self._back - self._smooth)
            if not tracks[face].codes:
                del tracks[face]

    def _window(self, track: _Track, middle: int) -> list[Any]:
        wanted = range(middle - self._back, middle + self._ahead + 1)
        there = [step for step in wanted if step in track.codes]
        own = [track.codes[min(there, key=lambda step: (abs(step - k), step))] for k in wanted]
        return own if track.reference is None else [track.reference, *own[1:]]

    def _smoothed(self, track: _Track, step: int) -> Result:
        """Return a face's result at a step, its probabilities averaged with those of neighbouring steps."""
        near = {
            k: self._smooth + 1 - abs(k - step)
            for k in range(step - self._smooth, step + self._wait + 1)
            if k in track.raw
        }
        scores = np.average([track.raw[k] for k in near], axis=0, weights=list(near.values()))
        face, frame = track.seen[step]
        inside = [track.seen[k][1].time for k in range(step - self._back, step + self._ahead + 1) if k in track.seen]
        return self._result(face, frame.time, frame.number, (min(inside), max(inside)), scores)

    def _least_confidence(self, face: Seen) -> float:
        hard = face.box[2] < SMALL or abs(face.yaw) > TURNED
        return max(self.least_confidence, self.settings.min_confidence_hard if hard else 0.0)

    def _result(self, face: Seen, time: float, number: int, window: tuple[float, float], scores: Array) -> Result:
        best = int(np.argmax(scores))
        sure = float(scores[best])
        return Result(
            time=time,
            frame=number,
            face=face.face,
            box=face.box,
            score=face.score,
            size=face.box[2],
            sharpness=face.sharpness,
            yaw=face.yaw,
            pitch=face.pitch,
            roll=face.roll,
            window=window,
            probabilities=dict(zip(self.expressions, (float(value) for value in scores))),
            label=self.expressions[best] if sure >= self._least_confidence(face) else None,
            confidence=sure,
        )


def as_image(picture: Array | Path | str) -> Array:
    """Return a photograph as (height, width, 3) uint8 RGB.

    Args:
        picture: its file; or (height, width), (height, width, 1), (height, width, 3) or (height, width, 4) numbers: uint8,
            or float from 0 to 1. A fourth channel is left out.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(picture, (Path, str)):
        frames = list(islice(read_file(Path(picture)), 1))
        return frames[0].image
    image = np.asarray(picture)
    expected = "expected (height, width, 3) uint8 RGB, or grey, or float from 0 to 1"
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        raise InputError(f"a picture of shape {np.shape(picture)} cannot be analyzed; {expected}")
    if image.dtype.kind == "f":
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
            raise InputError(
                f"a picture of float numbers from {image.min():g} to {image.max():g} is no image; {expected}"
            )
        image = np.round(image * 255).astype(np.uint8)
    elif image.dtype != np.uint8:
        raise InputError(f"a picture of {image.dtype} cannot be analyzed; {expected}")
    return np.ascontiguousarray(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3])


def _is_photograph(source: Any) -> bool:
    if not isinstance(source, (Path, str)) or Path(source).suffix.lower() not in IMAGES or "://" in str(source):
        return False
    return not is_animated(Path(source))


def open_source(source: Source, report: ReadReport | None = None) -> Iterator[Frame]:
    """Return the frames of whatever `Analyzer` takes.

    Raises:
        InputError: a file that is missing or unreadable, or something else.
    """
    if isinstance(source, np.ndarray):
        return iter([Frame(0, 0.0, as_image(source))])
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        return camera_frames(int(source))
    if isinstance(source, Path) or (isinstance(source, str) and source != "-" and "://" not in source):
        path = Path(source)
        if path.is_dir():
            raise InputError(
                f"{path} is a folder; give its files one by one, or run `tfen analyze {path}`, or call "
                "Analyzer().images(files) for photographs"
            )
        return read_file(path, report)
    if isinstance(source, str):
        return read_frames(source, report)
    if not isinstance(source, Iterable):
        raise InputError(f"{type(source).__name__} cannot be analyzed; give a file, an address, a picture or frames")
    return _checked(source)


def _checked(frames: Iterable[Frame]) -> Iterator[Frame]:
    for one in frames:
        if not isinstance(one, Frame):
            raise InputError(
                f"frames are expected, not {type(one).__name__}: give tfen.video.reading.Frame(number, seconds, image) for "
                "those of a film, or call Analyzer().images(pictures) for photographs"
            )
        yield one


def _watched(frames: Iterable[Frame], watch: Callable[[Frame], None]) -> Iterator[Frame]:
    for frame in frames:
        watch(frame)
        yield frame
