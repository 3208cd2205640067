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
    scale = size / place.side
    turn = np.radians(place.angle)
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    middle = (size - 1) / 2
    matrix = np.array(
        [
            [cos, sin, middle - cos * place.x - sin * place.y],
            [-sin, cos, middle + sin * place.x - cos * place.y],
        ]
    )
    if scale < 0.7:  # average first, or fine patterns would turn into noise
        factor = scale / 0.9
        small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        fx, fy = small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]
        shift = np.array([[1 / fx, 0, 0.5 / fx - 0.5], [0, 1 / fy, 0.5 / fy - 0.5], [0, 0, 1]])
        matrix, image = matrix @ shift, small
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
