"""What is in a photograph, or in pictures that move."""

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, ImageSequence

from tfen.errors import InputError

MOVING = (".png", ".apng", ".webp", ".avif")
"""Endings of pictures that may be animated. In a JPEG or HEIC further pictures are other views of the same moment."""
STANDARD_DURATION = 0.1
"""Seconds for which an animated picture shows a frame whose duration is not given."""
UNREADABLE = (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError)
"""What Pillow and its plugins raise where a picture cannot be read."""
MOST_BOXES = 1000
"""Boxes of a file that are looked at."""


def read_image(path: Path) -> np.ndarray:
    """Return a photograph as (height, width, 3) uint8 RGB, upright; of several pictures in a file, the main one.

    Raises:
        InputError: the file is missing or no photograph that can be read.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    if is_cut_off(path):
        raise InputError(f"{path} ends before its picture does; copy it again")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:  # too many pixels
        image = None
    if image is not None:
        return image[..., ::-1]
    try:
        with open_picture(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except UNREADABLE:
        raise InputError(f"{path} cannot be read as an image; replace it or take its sequence out of the set") from None


def is_animated(path: Path) -> bool:
    """Tell whether a file that ends as a photograph does holds pictures that move."""
    if path.suffix.lower() not in MOVING:
        return False
    try:
        with open_picture(path) as picture:
            return bool(getattr(picture, "is_animated", False))
    except UNREADABLE:
        return False


def animation(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the times (seconds) and pictures (height, width, 3) uint8 RGB of an animated picture.

    Raises:
        InputError: the file cannot be read.
    """
    time = 0.0
    try:
        with open_picture(path) as picture:
            for one in ImageSequence.Iterator(picture):
                yield time, np.asarray(one.convert("RGB"))
                time += (one.info.get("duration") or 0) / 1000 or STANDARD_DURATION
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read as an animated picture: {error}") from None


def is_cut_off(path: Path) -> bool:
    """Tell whether a HEIC or AVIF photograph lacks its end; its decoder would show the parts that are there."""
    boxes = _boxes(path)
    return _hold_a_still(boxes) and max(end for _, end in boxes) > path.stat().st_size


def is_still(path: Path) -> bool:
    """Tell whether a file holds a HEIC or AVIF photograph and no film, whatever it is called and wherever it is damaged."""
    return _hold_a_still(_boxes(path))


def _hold_a_still(boxes: list[tuple[bytes, int]]) -> bool:
    names = {name for name, _ in boxes}
    return b"meta" in names and b"moov" not in names


def _boxes(path: Path) -> list[tuple[bytes, int]]:
    """Return the names of a file's outer boxes and where each ends (ISO 14496-12, 4.2); none if it is not made of boxes."""
    found: list[tuple[bytes, int]] = []
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + 8 <= size and len(found) < MOST_BOXES:
            file.seek(at)
            head = file.read(16)
            length, name = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if (not found and name != b"ftyp") or 0 < length < 8:
                break
            at = at + length if length else size
            found.append((name, at))
    return found


@cache
def _with_heif() -> None:
    from pi_heif import register_heif_opener

    register_heif_opener()


def open_picture(path: Path) -> Image.Image:
    """Return a picture of which the header alone is read until its pixels are asked for; HEIC is known, too."""
    _with_heif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pictures that are merely large
        return Image.open(path)
