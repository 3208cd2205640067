"""Casts rays at a head: one key light with shadow, a fill light, a sky and a ground; smooth normals; relief.

Runs on the CPU and on a GPU through Warp. A scene holds what does not change over a sequence; every frame only
moves vertices, so the ray structure is refitted and not built anew.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from tfen.synth.kernels import Lights, Surface, View, cast, light_reaching, vertex_normals

Array = np.ndarray
AMBIENT_RAYS = 20
RELIEF_DEPTH = 0.0011
"""Metres of height for a relief of 1."""
SKY = 0.25
"""Metres beyond which nothing hides the sky."""


@dataclass(frozen=True)
class Light:
    """Directions are unit vectors towards the light in camera axes (x right, y away, z up); colours linear RGB."""

    key: Array
    key_colour: Array
    fill: Array
    fill_colour: Array
    sky: Array
    ground: Array
    shadow: float
    """How much of the key light a shadow takes away, 0 to 1."""


@dataclass(frozen=True)
class Camera:
    """A pinhole at `distance` metres before `target`, seeing a square of `side` metres there."""

    target: Array
    distance: float
    side: float


class Scene:
    """A head with everything on it, ready to be drawn frame by frame.

    Args:
        points: first frame's vertices, shape (V, 3), metres.
        faces: shape (F, 3).
        corners: texture coordinates of the faces' corners in [0, 1], shape (F, 3, 2); v grows downwards.
        material: index into the next three, shape (F,); 0 is skin (with relief), 1 the eye.
        images: shape (K, n, n, 4), uint8, colours as square roots of linear values, and cover.
        tint: shape (K, 3), multiplies the colours.
        gloss: shape (K,).
        shine: what the skin mirrors of the lights besides its gloss, over the head map, shape (n, n).
        shine_power: how sharp those highlights are: the power of the cosine.
        opaque: whether a face throws a shadow, shape (F,).
        inside: vertices that are hidden in the first frame, such as those in the mouth, shape (n,).
        opened: all vertices where those are not hidden, shape (V, 3): so much of the sky reaches them in every frame.
    """

    def __init__(
        self,
        points: Array,
        faces: Array,
        corners: Array,
        material: Array,
        images: Array,
        tint: Array,
        gloss: Array,
        shine: Array,
        shine_power: float,
        opaque: Array,
        inside: Array,
        opened: Array,
        device: str = "cpu",
    ) -> None:
        self.device = device
        self.faces = len(faces)
        self.points = wp.array(points.astype(np.float32), dtype=wp.vec3, device=device)
        self.indices = wp.array(faces.astype(np.int32).ravel(), dtype=wp.int32, device=device)
        self.mesh = wp.Mesh(points=self.points, indices=self.indices)
        self.opaque = wp.array(opaque.astype(np.int32), dtype=wp.int32, device=device)
        self._every = wp.array(np.arange(len(points), dtype=np.int32), dtype=wp.int32, device=device)
        self.surface = surface = Surface()
        surface.mesh = self.mesh.id
        surface.normals = wp.zeros(len(points), dtype=wp.vec3, device=device)
        surface.corners = wp.array(corners.reshape(-1, 2).astype(np.float32), dtype=wp.vec2, device=device)
        surface.material = wp.array(material.astype(np.int32), dtype=wp.int32, device=device)
        surface.images = wp.array(images, dtype=wp.uint8, device=device)
        surface.tint = wp.array(tint.astype(np.float32), dtype=wp.vec3, device=device)
        surface.gloss = wp.array(gloss.astype(np.float32), dtype=float, device=device)
        surface.shine = wp.array(shine.astype(np.float32), dtype=float, device=device)
        surface.shine_power, surface.depth = shine_power, RELIEF_DEPTH
        surface.open_sky = wp.zeros(len(points), dtype=float, device=device)
        surface.key_reach = wp.zeros(len(points), dtype=float, device=device)
        self._open_the_sky(points, opened, inside)

    def _open_the_sky(self, points: Array, opened: Array, inside: Array) -> None:
        """Measure how much of the sky reaches each vertex: in the first frame, or opened for those that are hidden."""
        dome = wp.array(_dome(AMBIENT_RAYS).astype(np.float32), dtype=wp.vec3, device=self.device)
        hidden = wp.array(inside.astype(np.int32), dtype=wp.int32, device=self.device)
        self._update_normals()
        self._reach(dome, SKY, self._every, self.surface.open_sky)
        self.move(opened)
        self._reach(dome, SKY, hidden, self.surface.open_sky)
        self.move(points)

    def move(self, points: Array) -> None:
        """Move the vertices to those of another frame, shape (V, 3)."""
        self.points.assign(points.astype(np.float32))
        self.mesh.refit()
        self._update_normals()

    def draw(self, camera: Camera, rotation: Array, light: Light, relief: Array, size: int, samples: int = 2) -> Array:
        """Return the picture, shape (size, size, 4): linear RGB (already times cover) and cover.

        Args:
            rotation: turns camera axes into head axes, shape (3, 3); the head itself stays in place.
            relief: height of the skin over the head map, shape (n, n).
            samples: rays along each side of a pixel.
        """

        key = rotation @ light.key
        if light.shadow > 0:
            towards = wp.array(key[None].astype(np.float32), dtype=wp.vec3, device=self.device)
            self._reach(towards, 0.5, self._every, self.surface.key_reach)
        self.surface.relief = wp.array(relief.astype(np.float32), dtype=float, device=self.device)
        out = wp.zeros(size * size, dtype=wp.vec4, device=self.device)
        wp.launch(
            cast,
            dim=size * size,
            inputs=[self.surface, _view(camera, rotation, size, samples), _lights(light, rotation), out],
            device=self.device,
        )
        return out.numpy().reshape(size, size, 4)

    def _update_normals(self) -> None:
        self.surface.normals.zero_()
        wp.launch(
            vertex_normals, dim=self.faces, inputs=[self.points, self.indices, self.surface.normals], device=self.device
        )

    def _reach(self, directions: wp.array, distance: float, which: wp.array, out: wp.array) -> None:
        wp.launch(
            light_reaching,
            dim=len(which),
            inputs=[self.mesh.id, self.points, self.surface.normals, self.opaque, directions, distance, which, out],
            device=self.device,
        )


def _vector(x: Array) -> Any:
    return wp.vec3(*np.asarray(x, np.float64).tolist())


def _view(camera: Camera, rotation: Array, size: int, samples: int) -> View:
    view = View()
    view.centre, view.turn = _vector(camera.target), wp.mat33(*rotation.ravel().tolist())
    view.distance, view.half = float(camera.distance), float(camera.side / 2 / camera.distance)
    view.size, view.samples = size, samples
    return view


def _lights(light: Light, rotation: Array) -> Lights:
    """Return the lights in head axes."""
    lights = Lights()
    lights.up = _vector(rotation @ np.array([0.0, 0.0, 1.0]))
    lights.key, lights.key_colour = _vector(rotation @ light.key), _vector(light.key_colour)
    lights.fill, lights.fill_colour = _vector(rotation @ light.fill), _vector(light.fill_colour)
    lights.sky, lights.ground = _vector(light.sky), _vector(light.ground)
    lights.shadow = float(light.shadow)
    return lights


def _dome(count: int) -> Array:
    """Directions spread evenly over the sphere (a Fibonacci lattice), shape (count, 3)."""
    k = np.arange(count) + 0.5
    height = 1 - 2 * k / count
    angle = np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), height], 1)


def project(camera: Camera, rotation: Array, points: Array, size: int) -> Array:
    """Return where points (n, 3) of the head lie in the picture, in pixels (x to the right, y down), shape (n, 2)."""
    seen = (points - camera.target) @ rotation
    depth = seen[:, 1] + camera.distance
    half = camera.side / 2 / camera.distance
    x = seen[:, 0] / depth / half
    z = seen[:, 2] / depth / half
    return np.stack([(x + 1) / 2 * size - 0.5, (1 - z) / 2 * size - 0.5], 1)
