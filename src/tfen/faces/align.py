"""Cutting a face out: where its square lies, and the crop, levelled or not."""

from dataclasses import dataclass

import cv2
import numpy as np

from tfen.config import Align
from tfen.faces.box import eyes_and_mouth, face_box

Array = np.ndarray


@dataclass(frozen=True)
class Place:
    """Where a face is: centre (x, y) and side of its square in pixels, and how far it leans, degrees clockwise."""

    x: float
    y: float
    side: float
    angle: float = 0.0


def place_from_landmarks(points: Array, align: Align) -> Place:
    """Return the square of a face from 68 landmarks (pixels, (68, 2))."""
    (left, right), mouth = eyes_and_mouth(points)
    centre, side = face_box(left, right, mouth)
    angle = float(np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0]))) if align == "eyes" else 0.0
    return Place(float(centre[0]), float(centre[1]), side, angle)


def cut(image: Array, place: Place, size: int) -> Array:
    """Return the face's square as (size, size, 3) uint8, levelled by the place's angle; edges are continued outwards."""
    return square(image, (place.x, place.y), place.side, np.radians(place.angle), size, 0.7, 0.9)


def square(
    image: Array, centre: tuple[float, float], side: float, turn: float, size: int, below: float, leave: float
) -> Array:
    """Return a square of a picture, (size, size) or (size, size, 3) uint8; edges are continued outwards.

    Only what lies around the square is touched, so a large picture costs no more than a small one.

    Args:
        image: (height, width) or (height, width, 3) uint8.
        centre: x and y, pixels.
        side: of the square, pixels.
        turn: of the square, radians clockwise.
        below: scale (size over side) below which pixels are averaged first, or fine patterns would turn into noise.
        leave: the scale that is left then.
    """
    scale = size / side
    (x, y), middle = centre, (size - 1) / 2
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    matrix = np.array([[cos, sin, middle - cos * x - sin * y], [-sin, cos, middle + sin * x - cos * y]])
    factor = scale / leave if scale < below else 1.0
    reach = side / np.sqrt(2) + 3 / factor  # of the corners, and what interpolation takes from beyond them
    (left, right), (top, bottom) = (_within(z, reach, n) for z, n in ((x, image.shape[1]), (y, image.shape[0])))
    part = np.ascontiguousarray(image[top:bottom, left:right])
    fx = fy = 1.0
    if factor < 1:
        small = (max(1, round((right - left) * factor)), max(1, round((bottom - top) * factor)))
        fx, fy = small[0] / (right - left), small[1] / (bottom - top)
        part = cv2.resize(part, small, interpolation=cv2.INTER_AREA)
    back = np.array([[1 / fx, 0, left + 0.5 / fx - 0.5], [0, 1 / fy, top + 0.5 / fy - 0.5], [0, 0, 1]])
    return cv2.warpAffine(part, matrix @ back, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _within(middle: float, reach: float, length: int) -> tuple[int, int]:
    """Return first and end of the pixels of a line that lie within reach; one at least."""
    first = int(np.clip(np.floor(middle - reach), 0, length - 1))
    return first, int(np.clip(np.ceil(middle + reach) + 1, first + 1, length))
