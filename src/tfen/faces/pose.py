"""How a head is turned, from its landmarks."""

import numpy as np

Array = np.ndarray

POINTS = (0, 1, 15, 16, 27, 31, 33, 35, 36, 39, 42, 45)
"""Before the ears, root and wings of the nose, corners of the eyes: they move with the head, hardly with expressions.

The tip of the nose is left out: how far it stands out differs so much that it says more of the person than of the nod.
"""
MEAN = np.array(
    [
        (-1.105, -0.001, 0.633), (-1.088, 0.361, 0.507), (1.088, 0.361, 0.507), (1.105, -0.001, 0.633),
        (0.000, -0.006, -0.158), (-0.218, 0.716, -0.219), (0.000, 0.759, -0.374), (0.218, 0.716, -0.219),
        (-0.723, -0.009, 0.076), (-0.278, 0.029, 0.006), (0.278, 0.029, 0.006), (0.723, -0.009, 0.076),
    ]
)  # fmt: skip
"""Where these points are in the mean synthetic head: x to the image's right, y down, z away; distance of the eyes 1."""


def pose(landmarks: Array) -> tuple[float, float, float]:
    """Return yaw, pitch and roll in degrees, as a camera far away sees them.

    Args:
        landmarks: (68, 2) in pixels.

    Returns:
        yaw (above 0: the nose points to the image's right), pitch (above 0: up), roll (above 0: clockwise).
    """
    seen = landmarks[list(POINTS)]
    seen, mean = seen - seen.mean(0), MEAN - MEAN.mean(0)
    affine = np.linalg.lstsq(mean, seen, rcond=None)[0].T
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    across, down = left @ right  # the nearest pair of orthogonal unit vectors
    away = np.cross(across, down)
    # first turned about its own axis, then nodded, then tilted in the picture: a tilt changes neither turn nor nod
    yaw = np.degrees(np.arctan2(away[0], away[2]))
    pitch = np.degrees(np.arcsin(np.clip(-away[1], -1, 1)))
    roll = np.degrees(np.arctan2(-across[1], down[1]))
    return float(yaw), float(pitch), float(roll)
