"""From recordings to a prepared set: every frame decoded once, its face found, cut out and written, on all cores.

A sequence is written whole or not at all, and its record (`records/<sequence>.json`) last; a run that was stopped goes
on with the sequences that have no record. Sources are only ever read.
"""

import hashlib
import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tfen.data.folds import COLUMNS, OFFICIAL
from tfen.data.prepared import SYNTHETIC_MARK, SequenceRecord, write_set
from tfen.data.settings import PrepareSettings
from tfen.data.sources.recordings import Findings, Published, Recording, inside
from tfen.errors import InputError
from tfen.faces.align import Place, cut, place_from_landmarks
from tfen.faces.detection import FaceDetector
from tfen.faces.detectors import make_detector
from tfen.faces.landmarks import confirmed, packaged_landmarker, upright
from tfen.files import clear_errors, read_json, whole_folder, write_csv, write_json
from tfen.folders import Format, claim
from tfen.labels import in_order
from tfen.progress import meter, say
from tfen.spread import use_threads
from tfen.stopping import end_with_parent
from tfen.video.photographs import read_image
from tfen.video.reading import read_frames

Array = np.ndarray
PREPARED_SET = Format("a prepared set", "prepare.json")
QUALITY = 95
WIDE = 1.55
"""A film wider than this, once upright, may show two views side by side."""
LOOKED_AT = 5
"""Frames from the beginning of a film in which the upright view is looked for."""


@dataclass
class _Record:
    """What became of one recording."""

    frames: int = 0
    marked: list[int] = field(default_factory=list)
    """Frames without a face, cut out where the nearest good frame has one; counted from 0."""
    places: list[list[float]] = field(default_factory=list)
    view: str = "whole"
    left_out: str | None = None


def prepare(
    source: Path,
    out: Path,
    set_name: str,
    findings: Findings,
    settings: PrepareSettings,
    published: Published | None = None,
    jobs: int | None = None,
    subjects_named: bool = True,
) -> dict[str, Any]:
    """Prepare recordings in `out` and return the counts.

    Raises:
        InputError: nothing to prepare, or `out` holds something else.
    """
    if settings.detector != "none":
        make_detector(settings.detector, settings.detector_model)
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise InputError(f"{out} lies inside the source {source}, which is never changed; choose a place outside it")
    recordings = _usable(source, findings)
    in_order(one.expression for one in recordings)
    description = {
        "set": set_name,
        "settings": {**asdict(settings), "detector_model": _fingerprint(settings.detector_model)},
    }
    claim(out, PREPARED_SET, description, {"settings": asdict(PrepareSettings())})
    missing = [one for one in recordings if not _record_path(out, one.name).exists()]
    with meter("preparing", len(recordings), "sequences", len(recordings) - len(missing)) as progress:
        for name, reason in _run(missing, out, settings, jobs or os.cpu_count() or 1):
            progress.advance()
            if reason:
                say(f"left out {name}: {reason}")
    return _conclude(source, out, recordings, findings, description, published, subjects_named)


def _conclude(
    source: Path,
    out: Path,
    recordings: list[Recording],
    findings: Findings,
    description: dict[str, Any],
    published: Published | None,
    subjects_named: bool,
) -> dict[str, Any]:
    """Write the tables of a set whose recordings are done, say what was left out, and return the counts."""
    set_name = description["set"]
    records = {one.name: _Record(**read_json(_record_path(out, one.name), "a sequence's record")) for one in recordings}
    kept = [one for one in recordings if records[one.name].left_out is None]
    left_out = dict(findings.left_out)
    left_out.update({name: record.left_out for name, record in records.items() if record.left_out is not None})
    if not kept:
        shutil.rmtree(out)
        first = next(record.left_out for record in records.values())
        raise InputError(f"{source}: none of its {len(recordings)} sequences could be prepared; the first: {first}")
    notes = [*findings.notes, *(published.differences(kept) if published is not None else [])]
    for note in notes:
        say(f"{set_name}: {note}")
    marked = {one.name: records[one.name].marked for one in kept if records[one.name].marked}
    sequences = [
        SequenceRecord(one.name, one.subject, one.expression, records[one.name].frames, _source(one, source))
        for one in kept
    ]
    if findings.folds:
        names = {one.name for one in kept}
        write_csv(out / OFFICIAL, COLUMNS, [row for row in findings.folds if row["sequence"] in names])
    about = {
        **description,
        "synthetic": (source / SYNTHETIC_MARK).is_dir(),
        "subjects_named": subjects_named,
        "left_out": left_out,
        "unlabelled": findings.unlabelled,
        "notes": notes,
        "frames_without_a_face": marked,
        "views": dict(Counter(records[one.name].view for one in kept)),
    }
    write_set(out, sequences, about)
    return {
        "sequences": len(sequences),
        "subjects": len({one.subject for one in sequences}),
        "left_out": len(left_out),
        "marked": sum(map(len, marked.values())),
    }


def _usable(source: Path, findings: Findings) -> list[Recording]:
    """Leave out recordings that lead outside the source, and names that come twice."""
    root, seen, usable = source if source.is_dir() else source.parent, set(), []
    for one in findings.recordings:
        safe = replace(one, name=safe_name(one.name))
        places = [*one.files, *([one.video] if one.video else [])]
        outside = next((path for path in places if source.is_dir() and not inside(path, root)), None)
        if outside is not None:
            findings.left_out[safe.name] = f"{outside} is a link that leads out of {root}"
        elif safe.name in seen:
            findings.left_out[f"{safe.name} (again)"] = f"two recordings are called {safe.name}; rename one"
        else:
            seen.add(safe.name)
            usable.append(safe)
    if not usable:
        first = next(iter(findings.left_out.values()), "nothing was found")
        raise InputError(f"{source} holds no recording that can be prepared: {first}")
    return usable


def safe_name(name: str) -> str:
    """Return a name that is one folder's name on every system; letters of all alphabets stay."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).lstrip(".") or "_"


def _fingerprint(model: Path | None) -> str | None:
    """Return the model file's name and SHA-256, so that a set says what found its faces."""
    if model is None:
        return None
    return f"{model.name} sha256:{hashlib.sha256(model.read_bytes()).hexdigest()}"


def _record_path(out: Path, name: str) -> Path:
    return out / "records" / f"{name}.json"


def _source(one: Recording, source: Path) -> str:
    place = one.video or (one.files[0] if len(one.files) == 1 else one.files[0].parent)
    root = source if source.is_dir() else source.parent
    return str(place.relative_to(root)) if place.is_relative_to(root) else place.name


def _run(
    recordings: list[Recording], out: Path, settings: PrepareSettings, jobs: int
) -> Iterator[tuple[str, str | None]]:
    """Prepare recordings in this process or in several; few are handed out ahead, so that memory does not grow."""
    if jobs == 1 or len(recordings) < 4:
        for one in recordings:
            yield _prepare_one(one, out, settings)
        return
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_begin_worker)
    try:
        waiting: list[Any] = []
        for one in recordings:
            waiting.append(pool.submit(_prepare_one, one, out, settings))
            if len(waiting) > 4 * jobs:
                yield waiting.pop(0).result()
        for done in waiting:
            yield done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    end_with_parent()
    use_threads(1)


def _prepare_one(one: Recording, out: Path, settings: PrepareSettings) -> tuple[str, str | None]:
    """Write one sequence's crops and its record; return its name and, if it was left out, why."""
    record = _Record()
    try:
        with whole_folder(out / "frames" / one.name) as folder:
            for crop in _crops(one, settings, record):
                coded = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
                record.frames += 1
                with clear_errors(out):
                    (folder / f"{record.frames:05d}.jpg").write_bytes(coded.tobytes())
            if record.frames == 0:
                raise InputError(f"{one.video or one.files[0].parent}: no face was found in any frame")
    except InputError as error:
        record = _Record(left_out=str(error))
    except (cv2.error, MemoryError) as error:
        record = _Record(left_out=f"{one.video or one.files[0]} cannot be prepared: {str(error).splitlines()[0]}")
    write_json(_record_path(out, one.name), asdict(record))
    return one.name, record.left_out


def _crops(one: Recording, settings: PrepareSettings, record: _Record) -> Iterator[Array]:
    """Yield a recording's crops in order. A frame without a face waits for the nearest good place."""
    waiting: list[tuple[int, Array]] = []
    last: tuple[int, Place] | None = None
    for number, image in enumerate(_frames(one, settings, record)):
        place = _place(one, number, image, settings)
        if place is None:
            record.marked.append(number)
            waiting.append((number, image))
            if last is not None and len(waiting) > 64:  # the place before is nearer to half of them, whatever comes
                record.places.append(_plain(last[1]))
                yield _finish(waiting.pop(0)[1], last[1], settings)
            continue
        for earlier, picture in waiting:
            before = last is not None and earlier - last[0] <= number - earlier
            near = last[1] if before and last is not None else place
            record.places.append(_plain(near))
            yield _finish(picture, near, settings)
        waiting.clear()
        last = (number, place)
        record.places.append(_plain(place))
        yield _finish(image, place, settings)
    if last is not None:
        for _, picture in waiting:
            record.places.append(_plain(last[1]))
            yield _finish(picture, last[1], settings)


def _plain(place: Place) -> list[float]:
    return [round(value, 2) for value in (place.x, place.y, place.side, place.angle)]


def _finish(image: Array, place: Place, settings: PrepareSettings) -> Array:
    crop = cut(image, place, settings.size)
    if settings.grey:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return crop


def _frames(one: Recording, settings: PrepareSettings, record: _Record) -> Iterator[Array]:
    """Yield a recording's pictures; a film is turned upright and reduced to the view that shows a face."""
    if one.video is None:
        for path in one.files:
            yield read_image(path)
        return
    images = (frame.image for frame in read_frames(one.video))
    if one.cropped or settings.box is not None or settings.detector == "none":
        yield from images
        return
    first = [image for _, image in zip(range(LOOKED_AT), images)]
    view = _find_view(first, one.both_views, _detector(settings.detector, settings.detector_model))
    record.view = view
    for image in first:
        yield _seen(image, view)
    for image in images:
        yield _seen(image, view)


def _find_view(images: list[Array], both_views: bool, detector: FaceDetector) -> str:
    """Return which view of a film shows an upright face best: "whole", or a turn and a half such as "90 left"."""
    best, best_score = "whole", 0.0
    for turn in ("0", "90", "270", "180"):
        for half in ("whole", "left", "right"):
            view = f"{turn} {half}"
            sample = _seen(images[0], f"{turn} whole")
            if half != "whole" and not both_views and sample.shape[1] < WIDE * sample.shape[0]:
                continue
            if half == "whole" and both_views:
                continue
            seen = [_seen(image, view) for image in images]
            faces = [next(upright(image, detector.detect(image), packaged_landmarker()), None) for image in seen]
            score = sum(own[0].score for own in faces if own is not None) / len(images)
            if score > 1.25 * best_score:  # the earlier, simpler view stays unless another is clearly better
                best, best_score = view, score
        if best_score > 0 and turn == "0" and not both_views:
            break
    return "whole" if best == "0 whole" else best


def _seen(image: Array, view: str) -> Array:
    if view == "whole":
        return image
    turn, half = view.split()
    image = np.rot90(image, {"0": 0, "90": 3, "270": 1, "180": 2}[turn])
    middle = image.shape[1] // 2
    part = {"whole": image, "left": image[:, :middle], "right": image[:, middle:]}[half]
    return np.ascontiguousarray(part)


def _place(one: Recording, number: int, image: Array, settings: PrepareSettings) -> Place | None:
    """Return the square of the face in a picture, None if no face is found."""
    height, width = image.shape[:2]
    if settings.box is not None:
        box = settings.box
        if box.left + box.side > width or box.top + box.side > height:
            path = one.video or one.files[number]
            raise InputError(f"{path} is {width}x{height}: the box {box.left},{box.top},{box.side} does not fit inside")
        return Place(box.left + (box.side - 1) / 2, box.top + (box.side - 1) / 2, box.side)
    if one.cropped or settings.detector == "none":
        return Place((width - 1) / 2, (height - 1) / 2, min(width, height))
    if one.landmarks:
        return place_from_landmarks(read_landmarks(one.landmarks[number]), settings.align)
    faces = _detector(settings.detector, settings.detector_model).detect(image)
    face = next(confirmed(image, faces, packaged_landmarker()), None)
    return None if face is None else place_from_landmarks(face[1], settings.align)


def read_landmarks(path: Path) -> Array:
    """Read CK+'s landmarks: 68 lines of x and y, pixels."""
    try:
        points = np.array(
            [[float(word) for word in line.split()] for line in path.read_text().splitlines() if line.strip()]
        )
    except (ValueError, UnicodeDecodeError, OSError):
        points = np.zeros(0)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise InputError(f"{path} holds no 68 landmarks: expected 68 lines with x and y")
    return points


@cache
def _detector(name: str, model: str | None) -> FaceDetector:
    return make_detector(name, None if model is None else Path(model))
