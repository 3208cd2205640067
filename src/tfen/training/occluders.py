"""Things before a face, for the training of the landmark network: what cameras see that a renderer leaves out.

All functions take a grey square (side, side) uint8 and the face's landmarks (68, 2) in sides of the square, and return the
square with something in front of the face. The landmarks stay where they are: a hidden point is where it would be seen.
"""

from collections.abc import Callable

import cv2
import numpy as np

from tfen.faces.landmarks import SIDE, look

Array = np.ndarray
FINE = 8
"""Drawn with edges that are smooth to this fraction of a pixel (OpenCV counts in powers of two)."""
SHIFT = 3


def _filled(square: Array, mask: Array, shade: float, rng: np.random.Generator) -> Array:
    """Return the square with a shade where the mask is (0 to 1), a little uneven."""
    side = len(square)
    ramp = np.linspace(-1, 1, side)
    uneven = rng.normal(0, 12) * ramp + rng.normal(0, 12) * ramp[:, None] + rng.normal(0, 3, (side, side))
    mask = cv2.GaussianBlur(mask, (3, 3), 0)
    return np.clip(square * (1 - mask) + mask * (shade + uneven), 0, 255).astype(np.uint8)


def _mask(square: Array, draw: Callable[[Array], None]) -> Array:
    out = np.zeros(square.shape, np.uint8)
    draw(out)
    return out.astype(np.float32) / 255


def _fixed(points: Array, side: int) -> Array:
    """Return points in sides of the square as OpenCV's fixed-point pixels."""
    return np.round((points * side - 0.5) * FINE).astype(np.int32)


def sunglasses(square: Array, points: Array, rng: np.random.Generator) -> Array:
    """Dark or mirroring lenses with a bridge between them."""
    side = len(square)
    left, right = points[36:42].mean(0), points[42:48].mean(0)
    apart, shade = float(np.linalg.norm(right - left)), float(rng.choice([rng.uniform(5, 60), rng.uniform(60, 220)]))
    wide, high = apart * rng.uniform(0.33, 0.5), apart * rng.uniform(0.25, 0.42)
    angle = float(np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0])))
    drop = np.array([0, rng.uniform(-0.03, 0.08) * apart])

    round_ones = rng.random() < 0.5

    def draw(out: Array) -> None:
        for eye in (left, right):
            if round_ones:
                centre, axes = _fixed(eye + drop, side), _fixed(np.array([wide, high]) + 0.5 / side, side)
                cv2.ellipse(out, centre.tolist(), axes.tolist(), angle, 0, 360, 255, -1, cv2.LINE_AA, SHIFT)
            else:
                box = cv2.boxPoints(((eye + drop).tolist(), (2 * wide, 2 * high), angle))
                cv2.fillConvexPoly(out, _fixed(box, side), 255, cv2.LINE_AA, SHIFT)
        ends = _fixed(np.stack([left, right]) + drop * 0.2, side)
        cv2.line(out, ends[0].tolist(), ends[1].tolist(), 255, 1 + int(rng.random() < 0.5), cv2.LINE_AA, SHIFT)

    return _filled(square, _mask(square, draw) * rng.uniform(0.75, 1), shade, rng)


def face_mask(square: Array, points: Array, rng: np.random.Generator) -> Array:
    """A cloth from the nose over the chin."""
    top = points[28] + rng.uniform(0, 0.8) * (points[33] - points[28])
    outline = np.concatenate([points[2:15], points[[15]] * 0.3 + top * 0.7, top[None], points[[1]] * 0.3 + top * 0.7])
    shade = float(rng.uniform(20, 245))

    def draw(out: Array) -> None:
        cv2.fillPoly(out, [_fixed(outline, len(square))], 255, cv2.LINE_AA, SHIFT)

    return _filled(square, _mask(square, draw), shade, rng)


def hand(square: Array, points: Array, rng: np.random.Generator) -> Array:
    """A hand: some fingers side by side, of the face's own shade, from the square's edge to somewhere on the face."""
    side = len(square)
    face = square[np.clip((points[27:36, 1] * side).astype(int), 0, side - 1),
                  np.clip((points[27:36, 0] * side).astype(int), 0, side - 1)]  # fmt: skip
    tip = points[int(rng.integers(0, 68))] + rng.normal(0, 0.05, 2)
    away = rng.uniform(0, 2 * np.pi)
    along, across = np.array([np.cos(away), np.sin(away)]), np.array([-np.sin(away), np.cos(away)])
    thick = rng.uniform(0.05, 0.11)
    shade = float(np.clip(face.mean() + rng.normal(0, 18), 5, 250))
    out = square
    for k in range(int(rng.integers(1, 6))):
        end = tip + across * thick * 1.05 * k + along * rng.normal(0, 0.04)
        ends = _fixed(np.stack([end, end + along * rng.uniform(0.4, 1.2)]), side)

        def draw(mask: Array, ends: Array = ends) -> None:
            cv2.line(mask, ends[0].tolist(), ends[1].tolist(), 255, max(1, round(thick * side)), cv2.LINE_AA, SHIFT)

        out = _filled(out, _mask(square, draw), shade + rng.normal(0, 8), rng)
    return out


def board(square: Array, points: Array, rng: np.random.Generator) -> Array:
    """Something flat with straight edges: a telephone, a cup, a sheet, a microphone."""
    centre = points[int(rng.integers(0, 68))] + rng.normal(0, 0.12, 2)
    size, angle = rng.uniform(0.12, 0.6, 2), float(rng.uniform(0, 180))
    box = cv2.boxPoints((centre.tolist(), size.tolist(), angle))

    def draw(out: Array) -> None:
        cv2.fillConvexPoly(out, _fixed(box, len(square)), 255, cv2.LINE_AA, SHIFT)

    return _filled(square, _mask(square, draw), float(rng.uniform(0, 255)), rng)


def hair(square: Array, points: Array, rng: np.random.Generator) -> Array:
    """Strands that fall over forehead, eyes or a cheek."""
    side = len(square)
    start = np.array([rng.uniform(0.1, 0.9), points[17:27, 1].min() - rng.uniform(0.1, 0.35)])
    end = points[int(rng.integers(0, 48))] + rng.normal(0, 0.08, 2)
    bend = np.array([rng.normal(0, 0.12), 0])
    ways = np.linspace(0, 1, 9)[:, None]
    shade, spread = float(rng.uniform(0, 160)), rng.uniform(0.04, 0.2)

    def draw(out: Array) -> None:
        for _ in range(int(rng.integers(5, 40))):
            aside = np.array([rng.normal(0, spread), rng.normal(0, 0.05)])
            curve = start + ways * (end - start) + np.sin(np.pi * ways) * bend + aside
            cv2.polylines(out, [_fixed(curve, side)], False, 255, 1, cv2.LINE_AA, SHIFT)

    return _filled(square, _mask(square, draw), shade, rng)


def hat(square: Array, points: Array, rng: np.random.Generator) -> Array:
    """A cap, a hood or a scarf, down to the brows or below."""
    side = len(square)
    low = points[17:27, 1].min() + rng.uniform(-0.15, 0.06)
    centre, reach = points[27, 0], (points[16, 0] - points[0, 0]) * rng.uniform(0.5, 0.75)
    rim = np.array([[centre - reach, low], [centre, low + rng.uniform(-0.05, 0.05)], [centre + reach, low]])
    outline = np.concatenate([rim, [[centre + reach, -0.2], [centre - reach, -0.2]]])

    def draw(out: Array) -> None:
        cv2.fillPoly(out, [_fixed(outline, side)], 255, cv2.LINE_AA, SHIFT)

    return _filled(square, _mask(square, draw), float(rng.uniform(0, 255)), rng)


def edge(square: Array, points: Array, rng: np.random.Generator) -> Array:
    """The picture's edge: what lies behind it is continued, as where a face is cut out."""
    turn, side = int(rng.integers(0, 4)), len(square)
    out = np.rot90(square, turn).copy()
    at = round(side * rng.uniform(0.03, 0.33))
    out[:at] = out[at]
    return np.rot90(out, -turn)


OCCLUDERS = (sunglasses, face_mask, hand, board, hair, hat, edge)


def occluded(square: Array, points: Array, rng: np.random.Generator) -> Array:
    """Return the square, with one or two things before the face in half of the cases."""
    if rng.random() >= 0.5:
        return square
    for _ in range(1 + int(rng.random() < 0.25)):
        square = OCCLUDERS[int(rng.integers(len(OCCLUDERS)))](square, points, rng)
    return np.ascontiguousarray(square)


def neighbour(square: Array, points: Array, other: Array, rng: np.random.Generator) -> Array:
    """Return the square with a part of another face beside it, outside the face's own outline."""
    side = len(square)
    shift = rng.uniform(0.55, 0.85) * (1 if rng.random() < 0.5 else -1)
    moved = cv2.warpAffine(
        other, np.array([[1, 0, shift * side], [0, 1, rng.normal(0, 0.15) * side]]), (side, side), borderValue=0
    )
    there = cv2.warpAffine(
        np.ones_like(other), np.array([[1, 0, shift * side], [0, 1, 0.0]]), (side, side), borderValue=0
    )
    own = _mask(square, lambda out: cv2.fillConvexPoly(out, cv2.convexHull(_fixed(points, side)), 255, 0, SHIFT))  # type: ignore[arg-type]
    return np.where((there > 0) & (own < 0.5), moved, square)


def no_face(image: Array, points: Array, rng: np.random.Generator) -> Array:
    """Return a square that a detector might take for a face, and that is none.

    Args:
        image: a grey picture with one face.
        points: its landmarks in pixels, (68, 2).
    """
    size = float((points.max(0) - points.min(0)).max())
    kind = rng.random()
    if kind < 0.45:  # a part of a face: an eye, a mouth, an ear
        centre = points[int(rng.integers(0, 68))] + rng.normal(0, 0.05, 2) * size
        return look(image, centre, size * rng.uniform(0.2, 0.55), rng.uniform(-np.pi, np.pi))
    if kind < 0.7:  # beside the face: hair, neck, background
        away, angle = rng.uniform(0.75, 1.2) * size, rng.uniform(0, 2 * np.pi)
        centre = points.mean(0) + away * np.array([np.cos(angle), np.sin(angle)])
        return look(image, centre, size * rng.uniform(0.4, 1.0), rng.uniform(-np.pi, np.pi))
    if kind < 0.8:  # a face in pieces
        square = look(image, points.mean(0), size * 1.3)
        part = SIDE // 4
        cells = square.reshape(4, part, 4, part).swapaxes(1, 2).reshape(16, part, part)
        return rng.permutation(cells).reshape(4, 4, part, part).swapaxes(1, 2).reshape(SIDE, SIDE)
    coarse = int(rng.integers(2, 24))  # clutter: spots, stripes, corners
    square = cv2.resize(
        rng.integers(0, 256, (coarse, coarse), np.uint8), (SIDE, SIDE), interpolation=int(rng.integers(0, 3))
    )
    for _ in range(int(rng.integers(0, 8))):
        (x, y), shade = rng.integers(0, SIDE, 2), int(rng.integers(0, 256))
        if rng.random() < 0.5:
            cv2.circle(square, (int(x), int(y)), int(rng.integers(2, 24)), shade, int(rng.choice([-1, 1, 2])))
        else:
            cv2.line(square, (int(x), int(y)), tuple(rng.integers(0, SIDE, 2).tolist()), shade, int(rng.integers(1, 6)))
    return square
