"""Casts rays at a head: one key light with shadow, a fill light, a sky and a ground; smooth normals; relief.

Runs on the CPU and on a GPU through Warp. A scene holds what does not change over a sequence; every frame only
moves vertices, so the ray structure is refitted and not built anew.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

wp.config.quiet = True

Array = np.ndarray
AMBIENT_RAYS = 20


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


@wp.func
def texture_at(images: wp.array(dtype=wp.uint8, ndim=4), k: int, u: float, v: float):
    n = images.shape[1]
    x = wp.clamp(u, 0.0, 1.0) * float(n - 1)
    y = wp.clamp(v, 0.0, 1.0) * float(n - 1)
    x0 = wp.min(int(x), n - 2)
    y0 = wp.min(int(y), n - 2)
    fx = x - float(x0)
    fy = y - float(y0)
    out = wp.vec4(0.0, 0.0, 0.0, 0.0)
    for c in range(4):
        top = (1.0 - fx) * float(images[k, y0, x0, c]) + fx * float(images[k, y0, x0 + 1, c])
        low = (1.0 - fx) * float(images[k, y0 + 1, x0, c]) + fx * float(images[k, y0 + 1, x0 + 1, c])
        out[c] = ((1.0 - fy) * top + fy * low) / 255.0
    return out


@wp.func
def relief_at(relief: wp.array(dtype=float, ndim=2), u: float, v: float):
    n = relief.shape[0]
    x = wp.clamp(u, 0.0, 1.0) * float(n - 1)
    y = wp.clamp(v, 0.0, 1.0) * float(n - 1)
    x0 = wp.min(int(x), n - 2)
    y0 = wp.min(int(y), n - 2)
    fx = x - float(x0)
    fy = y - float(y0)
    a = relief[y0, x0]
    b = relief[y0, x0 + 1]
    c = relief[y0 + 1, x0]
    d = relief[y0 + 1, x0 + 1]
    height = (1.0 - fy) * ((1.0 - fx) * a + fx * b) + fy * ((1.0 - fx) * c + fx * d)
    du = ((1.0 - fy) * (b - a) + fy * (d - c)) * float(n - 1)
    dv = ((1.0 - fx) * (c - a) + fx * (d - b)) * float(n - 1)
    return wp.vec3(height, du, dv)


@wp.kernel
def vertex_normals(
    points: wp.array(dtype=wp.vec3), indices: wp.array(dtype=wp.int32), normals: wp.array(dtype=wp.vec3)
):
    face = wp.tid()
    i = indices[face * 3]
    j = indices[face * 3 + 1]
    k = indices[face * 3 + 2]
    n = wp.cross(points[j] - points[i], points[k] - points[i])
    wp.atomic_add(normals, i, n)
    wp.atomic_add(normals, j, n)
    wp.atomic_add(normals, k, n)


@wp.kernel
def light_reaching(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    opaque: wp.array(dtype=wp.int32),
    directions: wp.array(dtype=wp.vec3),
    reach: float,
    out: wp.array(dtype=float),
):
    """How much light from the directions reaches each vertex, weighted by the cosine; 0 to 1."""
    i = wp.tid()
    n = wp.normalize(normals[i])
    total = float(0.0)
    free = float(0.0)
    for k in range(directions.shape[0]):
        facing = wp.dot(n, directions[k])
        if facing > 0.0:
            total = total + facing
            origin = points[i] + n * 0.0012
            blocked = float(0.0)
            for _layer in range(3):
                if blocked == 0.0:
                    query = wp.mesh_query_ray(mesh, origin, directions[k], reach)
                    if query.result:
                        if opaque[query.face] > 0:
                            blocked = 1.0
                        origin = origin + directions[k] * (query.t + 0.0005)
            free = free + facing * (1.0 - blocked)
    out[i] = 1.0
    if total > 0.0:
        out[i] = free / total


@wp.kernel
def cast(
    mesh: wp.uint64,
    normals: wp.array(dtype=wp.vec3),
    corners: wp.array(dtype=wp.vec2),
    material: wp.array(dtype=wp.int32),
    tint: wp.array(dtype=wp.vec3),
    gloss: wp.array(dtype=float),
    images: wp.array(dtype=wp.uint8, ndim=4),
    relief: wp.array(dtype=float, ndim=2),
    depth: float,
    open_sky: wp.array(dtype=float),
    key_reach: wp.array(dtype=float),
    centre: wp.vec3,
    turn: wp.mat33,
    distance: float,
    half: float,
    size: int,
    samples: int,
    key: wp.vec3,
    key_colour: wp.vec3,
    fill: wp.vec3,
    fill_colour: wp.vec3,
    sky: wp.vec3,
    ground: wp.vec3,
    shadow: float,
    out: wp.array(dtype=wp.vec4),
):
    tid = wp.tid()
    px = tid % size
    py = tid / size
    total = wp.vec4(0.0, 0.0, 0.0, 0.0)
    up = turn * wp.vec3(0.0, 0.0, 1.0)
    for s in range(samples * samples):
        sx = (float(s % samples) + 0.5) / float(samples)
        sy = (float(s / samples) + 0.5) / float(samples)
        x = (2.0 * (float(px) + sx) / float(size) - 1.0) * half
        z = (1.0 - 2.0 * (float(py) + sy) / float(size)) * half
        ray = turn * wp.normalize(wp.vec3(x, 1.0, z))
        origin = centre + turn * wp.vec3(0.0, -distance, 0.0)
        left = float(1.0)
        colour = wp.vec3(0.0, 0.0, 0.0)
        searching = int(1)
        layer = int(0)
        while searching == 1:
            layer = layer + 1
            query = wp.mesh_query_ray(mesh, origin, ray, 10.0)
            if not query.result:
                searching = 0
            else:
                face = query.face
                m = wp.mesh_get(mesh)
                i = m.indices[face * 3]
                j = m.indices[face * 3 + 1]
                k = m.indices[face * 3 + 2]
                wi = query.u
                wj = query.v
                wk = 1.0 - wi - wj
                uv = corners[face * 3] * wi + corners[face * 3 + 1] * wj + corners[face * 3 + 2] * wk
                kind = material[face]
                texture = texture_at(images, kind, uv[0], uv[1])
                cover = texture[3]
                point = origin + ray * query.t
                if cover > 0.02:
                    n = wp.normalize(normals[i] * wi + normals[j] * wj + normals[k] * wk)
                    if wp.dot(n, ray) > 0.0:
                        n = -n
                    albedo = wp.cw_mul(
                        wp.vec3(texture[0] * texture[0], texture[1] * texture[1], texture[2] * texture[2]), tint[kind]
                    )
                    wrap = float(0.0)
                    if kind == 0:
                        wrap = 0.22
                        e1 = m.points[j] - m.points[i]
                        e2 = m.points[k] - m.points[i]
                        d1 = corners[face * 3 + 1] - corners[face * 3]
                        d2 = corners[face * 3 + 2] - corners[face * 3]
                        det = d1[0] * d2[1] - d1[1] * d2[0]
                        if wp.abs(det) > 1.0e-9:
                            tangent = (e1 * d2[1] - e2 * d1[1]) / det
                            bitangent = (e2 * d1[0] - e1 * d2[0]) / det
                            h = relief_at(relief, uv[0], uv[1])
                            slope = tangent * (h[1] / wp.max(wp.dot(tangent, tangent), 1.0e-6)) + bitangent * (
                                h[2] / wp.max(wp.dot(bitangent, bitangent), 1.0e-6)
                            )
                            n = wp.normalize(n - slope * depth)
                            albedo = albedo * wp.clamp(1.0 + 0.38 * h[0], 0.35, 1.25)
                    sky_seen = open_sky[i] * wi + open_sky[j] * wj + open_sky[k] * wk
                    lit = 1.0 - shadow * (1.0 - (key_reach[i] * wi + key_reach[j] * wj + key_reach[k] * wk))
                    facing = wp.dot(n, key)
                    # red light travels farther under the skin: the shadow's edge is warm
                    soft = wp.vec3(
                        wp.max((facing + wrap) / (1.0 + wrap), 0.0),
                        wp.max((facing + 0.4 * wrap) / (1.0 + 0.4 * wrap), 0.0),
                        wp.max((facing + 0.3 * wrap) / (1.0 + 0.3 * wrap), 0.0),
                    )
                    light = wp.cw_mul(soft, key_colour) * lit
                    light = light + fill_colour * wp.max(wp.dot(n, fill), 0.0) * (0.4 + 0.6 * sky_seen)
                    height = 0.5 + 0.5 * wp.dot(n, up)
                    light = light + (sky * height + ground * (1.0 - height)) * (0.25 + 0.75 * sky_seen)
                    shiny = gloss[kind]
                    halfway = wp.normalize(key - ray)
                    power = 28.0
                    if kind == 1:
                        power = 220.0
                    bounce = wp.pow(wp.max(wp.dot(n, halfway), 0.0), power) * shiny * lit
                    rim = wp.pow(1.0 - wp.abs(wp.dot(n, ray)), 4.0) * shiny * 0.35 * sky_seen
                    shade = wp.cw_mul(albedo, light) + key_colour * bounce + sky * rim
                    colour = colour + shade * (cover * left)
                    left = left * (1.0 - cover)
                origin = point + ray * 0.0004
                if left < 0.03 or layer > 11:
                    searching = 0
        total = total + wp.vec4(colour[0], colour[1], colour[2], 1.0 - left)
    out[tid] = total / float(samples * samples)


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
        opaque: whether a face throws a shadow, shape (F,).
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
        opaque: Array,
        device: str = "cpu",
    ) -> None:
        self.device = device
        self.faces = len(faces)
        self.points = wp.array(points.astype(np.float32), dtype=wp.vec3, device=device)
        self.indices = wp.array(faces.astype(np.int32).ravel(), dtype=wp.int32, device=device)
        self.mesh = wp.Mesh(points=self.points, indices=self.indices)
        self.normals = wp.zeros(len(points), dtype=wp.vec3, device=device)
        self.corners = wp.array(corners.reshape(-1, 2).astype(np.float32), dtype=wp.vec2, device=device)
        self.material = wp.array(material.astype(np.int32), dtype=wp.int32, device=device)
        self.images = wp.array(images, dtype=wp.uint8, device=device)
        self.tint = wp.array(tint.astype(np.float32), dtype=wp.vec3, device=device)
        self.gloss = wp.array(gloss.astype(np.float32), dtype=float, device=device)
        self.opaque = wp.array(opaque.astype(np.int32), dtype=wp.int32, device=device)
        self._update_normals()
        self.open_sky = self._reach(_dome(AMBIENT_RAYS), 0.25)

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

        def vector(x: Array) -> Any:
            return wp.vec3(*np.asarray(x, np.float64).tolist())

        key = rotation @ light.key
        reach = self._reach(key[None], 0.5) if light.shadow > 0 else self.open_sky
        out = wp.zeros(size * size, dtype=wp.vec4, device=self.device)
        wp.launch(
            cast,
            dim=size * size,
            inputs=[
                self.mesh.id,
                self.normals,
                self.corners,
                self.material,
                self.tint,
                self.gloss,
                self.images,
                wp.array(relief.astype(np.float32), dtype=float, device=self.device),
                RELIEF_DEPTH,
                self.open_sky,
                reach,
                vector(camera.target),
                wp.mat33(*rotation.ravel().tolist()),
                float(camera.distance),
                float(camera.side / 2 / camera.distance),
                size,
                samples,
                vector(key),
                vector(light.key_colour),
                vector(rotation @ light.fill),
                vector(light.fill_colour),
                vector(light.sky),
                vector(light.ground),
                float(light.shadow),
                out,
            ],
            device=self.device,
        )
        return out.numpy().reshape(size, size, 4)

    def _update_normals(self) -> None:
        self.normals.zero_()
        wp.launch(
            vertex_normals, dim=self.faces, inputs=[self.points, self.indices, self.normals], device=self.device
        )

    def _reach(self, directions: Array, distance: float) -> wp.array:
        out = wp.zeros(len(self.points), dtype=float, device=self.device)
        rays = wp.array(directions.astype(np.float32), dtype=wp.vec3, device=self.device)
        wp.launch(
            light_reaching,
            dim=len(self.points),
            inputs=[self.mesh.id, self.points, self.normals, self.opaque, rays, distance, out],
            device=self.device,
        )
        return out


RELIEF_DEPTH = 0.0011
"""Metres of height for a relief of 1."""


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
