"""What is put on a head: eyes, teeth, long hair, glasses; with MakeHuman's assets also brows, lashes and hair.

A part knows its faces, its picture and where its vertices are in every frame. Parts are single sheets; the
renderer draws both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from tfen.synth.head import EYE_VERTICES, INSIDE_LIP, Head, Shape

Array = np.ndarray
TEXTURE = 512
JAW_HINGE = (0.0, -0.035, 0.625)
CHIN = 5162
JAW_ACTIONS = ("jawOpen", "jawLeft", "jawRight", "jawForward")


@dataclass(frozen=True)
class Part:
    """A sheet on the head.

    `place` turns the head's vertices in all frames (frames, V, 3) and the lower jaw's movement into the part's
    vertices (frames, n, 3). `image` is (TEXTURE, TEXTURE, 4) uint8: square roots of linear colours, and cover.
    """

    name: str
    faces: Array
    corners: Array
    image: Array
    tint: Array
    gloss: float
    opaque: bool
    place: Callable[[Array, "Jaw"], Array]


@dataclass(frozen=True)
class Jaw:
    """How the lower jaw moves in every frame: `angle` (frames,) about the hinge, `shift` (frames, 3)."""

    angle: Array
    shift: Array

    @staticmethod
    def from_actions(shape: Shape, weights: Array, actions: list[str]) -> "Jaw":
        """Return the rigid movement that the jaw's own actions cause at the chin (bone moves less than skin)."""
        columns = [actions.index(name) for name in JAW_ACTIONS]
        moved = weights[:, columns] @ shape.deltas[columns, CHIN]
        arm = JAW_HINGE[1] - shape.neutral[CHIN, 1]
        angle = -0.85 * moved[:, 2] / arm
        return Jaw(angle, np.stack([moved[:, 0], np.zeros(len(moved)), np.zeros(len(moved))], 1))

    def carry(self, points: Array) -> Array:
        """Return points (n, 3) that sit on the lower jaw in every frame, shape (frames, n, 3)."""
        offset = points - np.array(JAW_HINGE)
        cos, sin = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        y = cos * offset[:, 1] - sin * offset[:, 2]
        z = sin * offset[:, 1] + cos * offset[:, 2]
        x = np.broadcast_to(offset[:, 0], y.shape)
        return np.stack([x, y, z], -1) + np.array(JAW_HINGE) + self.shift[:, None]


def plain(colour: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Array:
    """Return a picture of one linear colour."""
    image = np.full((TEXTURE, TEXTURE, 4), 255, np.uint8)
    image[..., :3] = np.round(np.sqrt(np.array(colour)) * 255)
    return image


def eyes(head: Head, shape: Shape, iris: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the eyeballs' picture and the texture coordinates of every head vertex, shape (V, 2)."""
    axis = (np.arange(TEXTURE) + 0.5) / TEXTURE * 2 - 1
    x, y = np.meshgrid(axis, axis)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    streaks = sum(rng.uniform(0.4, 1) * np.sin(k * angle + rng.uniform(0, 7)) for k in (11, 17, 26, 37))
    veins = cv2.GaussianBlur(rng.standard_normal((TEXTURE, TEXTURE)), (0, 0), 9) * 9
    white = np.ones((TEXTURE, TEXTURE, 1)) * np.array([0.72, 0.68, 0.65]) * (1 + 0.05 * veins[..., None])
    white = white * (1 - 0.25 * np.clip(radius - 0.5, 0, 1)[..., None] * np.array([0.3, 1, 1]))
    inner = np.clip((radius - 0.16) / 0.22, 0, 1)
    colour = iris * ((0.75 + 0.12 * streaks) * (1.25 - 0.5 * inner))[..., None]
    colour = np.where((radius > 0.35)[..., None], iris * 0.25, colour)
    pupil = rng.uniform(0.13, 0.19)

    def edge(at: float) -> Array:
        return np.clip((at - radius) / 0.025 + 0.5, 0, 1)[..., None]

    linear = white * (1 - edge(0.40)) + colour * edge(0.40)
    linear = linear * (1 - edge(pupil)) + 0.008 * edge(pupil)
    image = np.full((TEXTURE, TEXTURE, 4), 255, np.uint8)
    image[..., :3] = np.round(np.sqrt(np.clip(linear, 0, 1)) * 255)
    at = np.zeros((len(shape.neutral), 2), np.float32)
    for first, last in EYE_VERTICES:
        ball = shape.neutral[first:last]
        offset = ball - (ball.max(0) + ball.min(0)) / 2
        reach = np.linalg.norm(offset, axis=1).max()
        front = np.stack([0.5 + 0.5 * offset[:, 0] / reach, 0.5 - 0.5 * offset[:, 2] / reach], 1)
        at[first:last] = np.where(offset[:, 1:2] < 0.002, front, 0.02)
    return image, at


def sheet(points: Array) -> tuple[Array, Array, Array]:
    """Turn a grid of points (rows, columns, 3) into vertices, faces and the faces' texture coordinates."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    uv = np.stack([u, v], -1).reshape(-1, 2)
    return points.reshape(-1, 3), faces, uv[faces]


def teeth(head: Head, shape: Shape, whiteness: float) -> list[Part]:
    """Return two rows of teeth: the upper one stays with the skull, the lower one follows the jaw."""
    inside_lip, corner = shape.neutral[INSIDE_LIP], shape.neutral[head.landmarks[54]]
    width = np.clip(corner[0] * 1.12, 0.020, 0.034)
    u = np.linspace(-1, 1, 25)
    x = u * width
    front = inside_lip[1] + 0.0065 + (u**2) * width * 0.95
    row = np.arange(TEXTURE) / TEXTURE
    gaps = abs((row * 12) % 1 - 0.5) > 0.455
    rows = []
    for name, top, bottom in (("upper teeth", 0.0115, -0.0012), ("lower teeth", -0.0016, -0.0095)):
        lines = [
            np.stack([x, front + (0.0012 if name.startswith("lower") else 0.0), np.full_like(x, inside_lip[2] + z)], 1)
            for z in np.linspace(top, bottom, 4)
        ]
        vertices, faces, corners = sheet(np.stack(lines))
        image = plain((0.80, 0.76, 0.66))
        image[:, gaps, :3] = (image[:, gaps, :3] * 0.72).astype(np.uint8)
        fade = np.linspace(0, 1, TEXTURE) if name.startswith("upper") else np.linspace(1, 0, TEXTURE)
        gum = fade < 0.14
        image[gum, :, :3] = np.round(np.sqrt(np.array([0.42, 0.13, 0.13])) * 255)
        sides = 1 - 0.55 * abs(np.linspace(-1, 1, TEXTURE)) ** 2
        image[..., :3] = (image[..., :3] * np.sqrt(sides)[None, :, None]).astype(np.uint8)

        def place(frames: Array, jaw: Jaw, vertices: Array = vertices, moves: bool = name.startswith("lower")) -> Array:
            return jaw.carry(vertices) if moves else np.broadcast_to(vertices, (len(frames), *vertices.shape))

        rows.append(Part(name, faces, corners, image, np.full(3, whiteness), 0.25, False, place))
    return rows


def fixed(vertices: Array) -> Callable[[Array, Jaw], Array]:
    """Return a placement that never moves."""
    return lambda frames, jaw: np.broadcast_to(vertices, (len(frames), *vertices.shape))


def long_hair(head: Head, shape: Shape, length: float, volume: float, colour: Array, rng: np.random.Generator) -> Part:
    """Return hair that falls from the skull down the sides and the back.

    Args:
        length: how far below the eyes it reaches, metres.
        volume: how far it stands off the skull, metres.
    """
    skull = shape.neutral[np.nan_to_num(head.vertex_map[:, 1], nan=9.0) < 0.80]
    low, high = skull.min(0), skull.max(0)
    centre = (low + high) / 2
    half = (high - low) / 2 + volume
    eye_level = shape.neutral[head.landmarks[27]][2]
    theta = np.linspace(-1, 1, 49) * np.radians(rng.uniform(104, 118))
    top = np.radians(58)
    rows = []
    wave, phase = rng.uniform(0, 0.004), rng.uniform(0, 6)
    for k, t in enumerate(np.linspace(0, 1, 30)):
        if t < 0.35:
            latitude = top * (1 - t / 0.35)
            ring, z = np.cos(latitude), centre[2] + half[2] * np.sin(latitude)
        else:
            fall = (t - 0.35) / 0.65
            ring = 1.0 + 0.10 * np.sin(np.pi * min(1.0, fall * 1.1)) * rng.uniform(0.9, 1.1)
            z = centre[2] - fall * (centre[2] - (eye_level - length))
        ripple = 1 + wave * np.sin(9 * theta + phase + 0.4 * k) / half[0]
        x = centre[0] + half[0] * ring * np.sin(theta) * ripple
        y = centre[1] + half[1] * ring * np.cos(theta) * ripple
        rows.append(np.stack([x, y, np.full_like(x, z)], 1))
    vertices, faces, corners = sheet(np.stack(rows))
    streak = cv2.resize(
        rng.standard_normal((6, 300)).astype(np.float32), (TEXTURE, TEXTURE), interpolation=cv2.INTER_CUBIC
    )
    image = plain()
    image[..., :3] = np.round(np.sqrt(np.clip(0.55 + 0.22 * streak, 0.08, 1))[..., None] * 255)
    u, v = np.meshgrid(np.linspace(0, 1, TEXTURE), np.linspace(0, 1, TEXTURE))
    edge = np.minimum(np.minimum(u, 1 - u) * 14, (1 - v) * 9)
    image[..., 3] = np.round(np.clip((edge + 0.5 * streak - 0.1) * 2, 0, 1) * 255)
    return Part("long hair", faces, corners, image, colour * 1.5, 0.05, True, fixed(vertices))


def tube(path: Array, radius: float, closed: bool) -> tuple[Array, Array, Array]:
    """Return a round tube of `radius` along a path (n, 3) as vertices, faces and texture coordinates."""
    if closed:
        path = np.concatenate([path, path[:1]])
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    side = np.cross(along, np.array([0.0, 1.0, 0.02]))
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    up = np.cross(side, along)
    ring = np.linspace(0, 2 * np.pi, 7)
    points = path[:, None] + radius * (
        side[:, None] * np.cos(ring)[None, :, None] + up[:, None] * np.sin(ring)[None, :, None]
    )
    return sheet(points)


def lenses(head: Head, shape: Shape, dark: float, width: float, height: float, squareness: float) -> Part:
    """Return tinted lenses for the frame that `glasses` draws; `dark`: share of the light that they take away."""
    turn, radius = np.linspace(0, 2 * np.pi, 29), np.linspace(0, 1, 6)
    cos, sin = np.cos(turn), np.sin(turn)
    front = shape.neutral[head.landmarks[27]][1] - 0.006
    pieces = []
    for (first, last), side in zip(EYE_VERTICES, (1, -1)):
        ball = shape.neutral[first:last]
        centre = (ball.max(0) + ball.min(0)) / 2
        across = radius[:, None] * width * np.sign(cos) * abs(cos) ** squareness
        up = radius[:, None] * height * np.sign(sin) * abs(sin) ** squareness
        back = 0.10 * abs(across) * (side * across > 0)
        pieces.append(sheet(np.stack([centre[0] + side * 0.002 + across, front + back, centre[2] - 0.003 + up], -1)))
    image = plain((0.01, 0.01, 0.01))
    image[..., 3] = round(255 * dark)
    vertices = np.concatenate([points for points, _, _ in pieces])
    faces = np.concatenate([pieces[0][1], pieces[1][1] + len(pieces[0][0])])
    corners = np.concatenate([uv for _, _, uv in pieces])
    return Part("lenses", faces, corners, image, np.ones(3), 0.05, False, fixed(vertices))


def glasses(
    head: Head, shape: Shape, colour: Array, width: float, height: float, squareness: float, thickness: float
) -> Part:
    """Return the frame of a pair of glasses (lenses are clear); sizes in metres."""
    centres = [(shape.neutral[a:b].max(0) + shape.neutral[a:b].min(0)) / 2 for a, b in EYE_VERTICES]
    nose = shape.neutral[head.landmarks[27]]
    front = nose[1] - 0.006
    turn = np.linspace(0, 2 * np.pi, 29)[:-1]
    pieces = []
    for centre, side in zip(centres, (1, -1)):
        cos, sin = np.cos(turn), np.sin(turn)
        rim = np.stack(
            [
                centre[0] + side * 0.002 + width * np.sign(cos) * abs(cos) ** squareness,
                np.full_like(cos, front) + 0.10 * abs(width * cos) * (side * cos > 0),
                centre[2] - 0.003 + height * np.sign(sin) * abs(sin) ** squareness,
            ],
            1,
        )
        pieces.append(tube(rim, thickness, True))
        hinge = np.array([centre[0] + side * (width + 0.002), front + 0.005, centre[2] + 0.004])
        ear = np.array([side * 0.079, -0.01, centre[2] + 0.002])
        pieces.append(tube(np.linspace(hinge, ear, 6), thickness * 0.9, False))
    inner = [centres[0][0] + 0.002 - width, centres[1][0] - 0.002 + width]
    bridge = np.stack(
        [
            np.linspace(inner[0], inner[1], 7),
            np.full(7, front - 0.001),
            centres[0][2] + 0.003 * np.sin(np.linspace(0, np.pi, 7)),
        ],
        1,
    )
    pieces.append(tube(bridge, thickness * 0.9, False))
    vertices, faces, corners, count = [], [], [], 0
    for points, triangles, uv in pieces:
        vertices.append(points)
        faces.append(triangles + count)
        corners.append(uv)
        count += len(points)
    return Part(
        "glasses",
        np.concatenate(faces),
        np.concatenate(corners),
        plain(),
        colour,
        0.5,
        True,
        fixed(np.concatenate(vertices)),
    )
