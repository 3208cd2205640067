"""The square that is cut out around a face, determined by the eyes and the mouth alone.

The chin and the hair play no part: an open mouth or a hat must not change the scale of the face.
"""

import numpy as np

Array = np.ndarray
Box = tuple[float, float, float, float]
"""Left, top, width, height in pixels."""

WIDTH_OF_EYES = 2.6
"""The side of the box in distances between the eyes' centres, at least."""
HEIGHT_OF_FACE = 2.4
"""The side of the box in distances from the eyes to the mouth, at least."""
CENTRE_BELOW_EYES = 0.45
"""The centre of the box on the way from the eyes (0) to the mouth (1)."""


def face_box(left_eye: Array, right_eye: Array, mouth: Array) -> tuple[Array, float]:
    """Return the centre and the side of the face's square, in the units of the points.

    Args:
        left_eye, right_eye, mouth: centres, each of shape (2,) in an image or (3,) in space.

    Returns:
        centre of the square (same shape) and the length of its side.
    """
    eyes = (left_eye + right_eye) / 2
    side = max(
        WIDTH_OF_EYES * float(np.linalg.norm(left_eye - right_eye)),
        HEIGHT_OF_FACE * float(np.linalg.norm(mouth - eyes)),
    )
    return eyes + CENTRE_BELOW_EYES * (mouth - eyes), side


def eyes_and_mouth(points: Array) -> tuple[tuple[Array, Array], Array]:
    """Return the centres of the eyes (the left one in the image first) and of the mouth from 68 landmarks, (68, d)."""
    return (points[36:42].mean(0), points[42:48].mean(0)), points[48:60].mean(0)
