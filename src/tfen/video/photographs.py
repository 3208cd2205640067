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


def read_image(path: Path) -> np.ndarray:
    """Return a photograph as (height, width, 3) uint8 RGB, upright; of several pictures in a file, the main one.

    Raises:
        InputError: the file is missing or no photograph that can be read.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:  # too many pixels
        image = None
    if image is not None:
        return image[..., ::-1]
    try:
        with open_picture(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InputError(f"{path} cannot be read as an image; replace it or take its sequence out of the set") from None


def is_animated(path: Path) -> bool:
    """Tell whether a file that ends as a photograph does holds pictures that move."""
    if path.suffix.lower() not in MOVING:
        return False
    try:
        with open_picture(path) as picture:
            return bool(getattr(picture, "is_animated", False))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
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
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as an animated picture: {error}") from None


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
