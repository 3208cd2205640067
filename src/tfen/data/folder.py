"""`tfen prepare folder`: photographs or clips of one's own as a prepared set.

Understood: `<expression>/<subject>/<sequence>/<frame>.jpg`, `<expression>/<subject>/<frame>.jpg` (one sequence),
`<expression>/<subject>.jpg` (a still is a sequence of one frame), or a CSV with the columns path, subject, expression.
"""

import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tfen import __version__
from tfen.data.prepared import IMAGES, Sequence, natural, read_image, write_set
from tfen.errors import InputError
from tfen.files import read_csv, told, whole_folder
from tfen.labels import canonical, in_order
from tfen.progress import meter, say

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".m4v")


@dataclass(frozen=True)
class Found:
    """A sequence in its source: image files in order."""

    expression: str
    subject: str
    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Box:
    """The part of every image that is taken: left, top and side, in pixels of the source."""

    left: int
    top: int
    side: int

    @staticmethod
    def parse(text: str) -> "Box":
        """Read "left,top,side"."""
        try:
            left, top, side = (int(part) for part in text.split(","))
        except ValueError:
            raise InputError(
                f"the box {text!r} is not understood: expected left,top,side in pixels, such as 110,130,180"
            ) from None
        if side < 8 or left < 0 or top < 0:
            raise InputError(
                f"the box {text!r} is out of range: expected left and top of at least 0 and a side of at least 8"
            )
        return Box(left, top, side)


def prepare_folder(
    source: Path, out: Path, box: Box | None = None, size: int = 244, grey: bool = False, set_name: str = "folder"
) -> dict[str, Any]:
    """Prepare a folder (or CSV) of faces that are already centred and return the counts.

    A sequence with an image that cannot be read is left out and named; sources are never changed.

    Args:
        box: the face's square in every image; None takes the largest centred square.
        size: side of the stored crops, pixels.

    Raises:
        InputError: nothing to prepare, an empty class, or `out` exists.
    """
    if not source.exists():
        raise InputError(
            f"{source} does not exist; give a folder of expressions, or a CSV with path, subject, expression"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not empty; choose a new folder")
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise InputError(f"{out} lies inside the source {source}, which is never changed; choose a place outside it")
    found = _from_csv(source) if source.is_file() else _from_folders(source)
    in_order(one.expression for one in found)
    sequences: list[Sequence] = []
    left_out: dict[str, str] = {}
    root = source if source.is_dir() else source.parent
    try:
        with meter("preparing", len(found), "sequences") as progress:
            for one in found:
                try:
                    _write_frames(one, out, box, size, grey)
                    place = one.files[0] if len(one.files) == 1 else one.files[0].parent
                    sequences.append(
                        Sequence(one.name, one.subject, one.expression, len(one.files), _relative(place, root))
                    )
                except InputError as error:
                    left_out[one.name] = str(error)
                    say(f"left out {one.name}: {error}")
                progress.advance()
        if not sequences:
            raise InputError(f"{source}: none of its {len(found)} sequences could be read")
    except BaseException:
        if not (out / "sequences.csv").exists():
            shutil.rmtree(out, ignore_errors=True)
        raise
    about = {
        "set": set_name,
        "tfen": __version__,
        "box": None if box is None else [box.left, box.top, box.side],
        "size": size,
        "grey": grey,
        "left_out": left_out,
    }
    write_set(out, sequences, about)
    return {"sequences": len(sequences), "subjects": len({one.subject for one in sequences}), "left_out": len(left_out)}


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name


def _from_folders(source: Path) -> list[Found]:
    out: list[Found] = []
    classes = sorted(
        (path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")), key=lambda p: p.name
    )
    if not classes:
        raise InputError(f"{source} has no folders: expected one for each expression, with subjects or images inside")
    for folder in classes:
        expression = canonical(folder.name)
        before = len(out)
        for entry in sorted(folder.iterdir(), key=lambda path: natural(path.name)):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                inner = [path for path in sorted(entry.iterdir(), key=lambda path: natural(path.name)) if path.is_dir()]
                places = inner or [entry]
                for place in places:
                    files = _images(place)
                    if files:
                        name = f"{entry.name}-{expression}" + (f"-{place.name}" if inner else "")
                        out.append(Found(expression, entry.name, _safe(name), files))
            else:
                _refuse_video(entry)
                if entry.suffix.lower() in IMAGES:
                    out.append(Found(expression, entry.stem, _safe(f"{entry.stem}-{expression}"), (entry,)))
        if len(out) == before:
            raise InputError(
                f"{folder} holds no images: the class {folder.name} is empty; fill it or remove the folder"
            )
    twice = _twice(out)
    if twice:
        raise InputError(f"{source} gives the sequence {twice} twice; rename one of its subjects or sequences")
    return out


def _from_csv(source: Path) -> list[Found]:
    out = []
    for number, row in enumerate(read_csv(source, ("path", "subject", "expression"), "a list of sequences"), 2):
        place = Path(row["path"])
        place = place if place.is_absolute() else source.parent / place
        if not row["subject"] or not row["expression"]:
            raise InputError(f"{source} row {number}: subject or expression is empty")
        if not place.exists():
            raise InputError(f"{source} row {number}: {place} does not exist")
        if place.is_file():
            _refuse_video(place)
        files = _images(place) if place.is_dir() else (place,)
        if not files:
            raise InputError(f"{source} row {number}: {place} holds no images")
        expression = canonical(row["expression"])
        out.append(Found(expression, row["subject"], _safe(f"{row['subject']}-{expression}-{number - 1:05d}"), files))
    if not out:
        raise InputError(f"{source} lists no sequence")
    return out


def _images(folder: Path) -> tuple[Path, ...]:
    files = []
    for path in folder.iterdir():
        if path.suffix.lower() in IMAGES and not path.name.startswith("."):
            files.append(path)
        elif path.is_file():
            _refuse_video(path)
    return tuple(sorted(files, key=lambda path: natural(path.name)))


def _refuse_video(path: Path) -> None:
    if path.suffix.lower() in VIDEOS:
        raise InputError(
            f"{path} is a video where images are expected; turn it into a folder of frames first, such as with "
            f"ffmpeg -i {path.name} {path.stem}/%05d.jpg"
        )


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).lstrip(".") or "_"


def _twice(found: list[Found]) -> str | None:
    seen: dict[str, int] = defaultdict(int)
    for one in found:
        seen[one.name] += 1
    return next((name for name, count in seen.items() if count > 1), None)


def _write_frames(one: Found, out: Path, box: Box | None, size: int, grey: bool) -> None:
    with whole_folder(out / "frames" / one.name) as folder:
        for k, path in enumerate(one.files):
            crop = _cut(read_image(path), path, box)
            if grey:
                crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            shrink = crop.shape[0] > size
            crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
            coded = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
            with told(out):
                (folder / f"{k + 1:05d}.jpg").write_bytes(coded.tobytes())


def _cut(image: np.ndarray, path: Path, box: Box | None) -> np.ndarray:
    height, width = image.shape[:2]
    if box is None:
        side = min(height, width)
        box = Box((width - side) // 2, (height - side) // 2, side)
    if box.left + box.side > width or box.top + box.side > height:
        raise InputError(f"{path} is {width}x{height}: the box {box.left},{box.top},{box.side} does not fit inside")
    return np.ascontiguousarray(image[box.top : box.top + box.side, box.left : box.left + box.side])
