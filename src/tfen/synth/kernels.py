"""What runs for every vertex and every pixel, compiled by Warp for the CPU or a GPU."""

import os

import warp as wp

wp.config.log_level = wp.LOG_ERROR


def _start() -> None:
    """Start Warp without its native warning that there is no GPU, which goes straight to the error stream."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        wp.init()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


_start()


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
def map_at(values: wp.array(dtype=float, ndim=2), u: float, v: float):
    """A head map's value and its slopes along u and v."""
    n = values.shape[0]
    x = wp.clamp(u, 0.0, 1.0) * float(n - 1)
    y = wp.clamp(v, 0.0, 1.0) * float(n - 1)
    x0 = wp.min(int(x), n - 2)
    y0 = wp.min(int(y), n - 2)
    fx = x - float(x0)
    fy = y - float(y0)
    a = values[y0, x0]
    b = values[y0, x0 + 1]
    c = values[y0 + 1, x0]
    d = values[y0 + 1, x0 + 1]
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
    which: wp.array(dtype=wp.int32),
    out: wp.array(dtype=float),
):
    """How much light from the directions reaches each vertex in `which`, weighted by the cosine; 0 to 1."""
    i = which[wp.tid()]
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


@wp.struct
class Surface:
    """What a ray meets: a mesh, what its corners and materials look like, and how much light reaches its vertices."""

    mesh: wp.uint64
    normals: wp.array(dtype=wp.vec3)
    corners: wp.array(dtype=wp.vec2)
    material: wp.array(dtype=wp.int32)
    tint: wp.array(dtype=wp.vec3)
    gloss: wp.array(dtype=float)
    shine: wp.array(dtype=float, ndim=2)
    shine_power: float
    images: wp.array(dtype=wp.uint8, ndim=4)
    relief: wp.array(dtype=float, ndim=2)
    depth: float
    open_sky: wp.array(dtype=float)
    key_reach: wp.array(dtype=float)


@wp.struct
class View:
    """A pinhole `distance` before `centre` that sees `half` to each side at distance 1; `turn`: camera to head axes."""

    centre: wp.vec3
    turn: wp.mat33
    distance: float
    half: float
    size: int
    samples: int


@wp.struct
class Lights:
    """Directions towards the lights in head axes, and their colours."""

    up: wp.vec3
    key: wp.vec3
    key_colour: wp.vec3
    fill: wp.vec3
    fill_colour: wp.vec3
    sky: wp.vec3
    ground: wp.vec3
    shadow: float


@wp.func
def ray_through(view: View, pixel: int, s: int):
    """The direction of sample s of a pixel."""
    sx = (float(s % view.samples) + 0.5) / float(view.samples)
    sy = (float(s / view.samples) + 0.5) / float(view.samples)
    x = (2.0 * (float(pixel % view.size) + sx) / float(view.size) - 1.0) * view.half
    z = (1.0 - 2.0 * (float(pixel / view.size) + sy) / float(view.size)) * view.half
    return view.turn * wp.normalize(wp.vec3(x, 1.0, z))


@wp.func
def over_face(values: wp.array(dtype=float), corner: wp.vec3i, weight: wp.vec3):
    """A vertex's value between a face's corners."""
    return values[corner[0]] * weight[0] + values[corner[1]] * weight[1] + values[corner[2]] * weight[2]


@wp.func
def pressed(surface: Surface, face: int, corner: wp.vec3i, uv: wp.vec2, n: wp.vec3):
    """The normal where the skin's relief bends it, and a factor on the colour: hollows are darker."""
    points = wp.mesh_get(surface.mesh).points
    e1 = points[corner[1]] - points[corner[0]]
    e2 = points[corner[2]] - points[corner[0]]
    d1 = surface.corners[face * 3 + 1] - surface.corners[face * 3]
    d2 = surface.corners[face * 3 + 2] - surface.corners[face * 3]
    det = d1[0] * d2[1] - d1[1] * d2[0]
    factor = float(1.0)
    if wp.abs(det) > 1.0e-9:
        tangent = (e1 * d2[1] - e2 * d1[1]) / det
        bitangent = (e2 * d1[0] - e1 * d2[0]) / det
        h = map_at(surface.relief, uv[0], uv[1])
        slope = tangent * (h[1] / wp.max(wp.dot(tangent, tangent), 1.0e-6)) + bitangent * (
            h[2] / wp.max(wp.dot(bitangent, bitangent), 1.0e-6)
        )
        n = wp.normalize(n - slope * surface.depth)
        factor = wp.clamp(1.0 + 0.38 * h[0], 0.35, 1.25)
    return n, factor


@wp.func
def diffuse(lights: Lights, n: wp.vec3, wrap: float, lit: float, sky_seen: float):
    """The light that a matt surface throws back in all directions."""
    facing = wp.dot(n, lights.key)
    # red light travels farther under the skin: the shadow's edge is warm
    soft = wp.vec3(
        wp.max((facing + wrap) / (1.0 + wrap), 0.0),
        wp.max((facing + 0.4 * wrap) / (1.0 + 0.4 * wrap), 0.0),
        wp.max((facing + 0.3 * wrap) / (1.0 + 0.3 * wrap), 0.0),
    )
    light = wp.cw_mul(soft, lights.key_colour) * lit
    light = light + lights.fill_colour * wp.max(wp.dot(n, lights.fill), 0.0) * (0.4 + 0.6 * sky_seen)
    height = 0.5 + 0.5 * wp.dot(n, lights.up)
    return light + (lights.sky * height + lights.ground * (1.0 - height)) * (0.25 + 0.75 * sky_seen)


@wp.func
def shade(surface: Surface, lights: Lights, ray: wp.vec3, face: int, weight: wp.vec3, uv: wp.vec2, texture: wp.vec4):
    """The colour of a place on a face, seen along a ray; `weight`: of the face's corners."""
    m = wp.mesh_get(surface.mesh)
    corner = wp.vec3i(m.indices[face * 3], m.indices[face * 3 + 1], m.indices[face * 3 + 2])
    kind = surface.material[face]
    n = wp.normalize(
        surface.normals[corner[0]] * weight[0]
        + surface.normals[corner[1]] * weight[1]
        + surface.normals[corner[2]] * weight[2]
    )
    if wp.dot(n, ray) > 0.0:
        n = -n
    albedo = wp.cw_mul(
        wp.vec3(texture[0] * texture[0], texture[1] * texture[1], texture[2] * texture[2]), surface.tint[kind]
    )
    wrap = float(0.0)
    wet = float(0.0)
    if kind == 0:
        wrap = 0.22
        wet = map_at(surface.shine, uv[0], uv[1])[0]
        bent, factor = pressed(surface, face, corner, uv, n)
        n = bent
        albedo = albedo * factor
    sky_seen = over_face(surface.open_sky, corner, weight)
    lit = 1.0 - lights.shadow * (1.0 - over_face(surface.key_reach, corner, weight))
    light = diffuse(lights, n, wrap, lit, sky_seen)
    shiny = surface.gloss[kind]
    power = 28.0
    if kind == 1:
        power = 220.0
    mirrored = wp.max(wp.dot(n, wp.normalize(lights.key - ray)), 0.0)
    bounce = wp.pow(mirrored, power) * shiny * lit
    rim = wp.pow(1.0 - wp.abs(wp.dot(n, ray)), 4.0) * shiny * 0.35 * sky_seen
    colour = wp.cw_mul(albedo, light) + lights.key_colour * bounce + lights.sky * rim
    if wet > 0.0:
        # sweat and moist lips mirror both lights
        colour = colour + lights.key_colour * (wp.pow(mirrored, surface.shine_power) * wet * lit)
        beside = wp.max(wp.dot(n, wp.normalize(lights.fill - ray)), 0.0)
        colour = colour + lights.fill_colour * (wp.pow(beside, surface.shine_power) * wet)
    return colour


@wp.func
def seen_along(surface: Surface, lights: Lights, origin: wp.vec3, ray: wp.vec3):
    """The colour along a ray, times cover, and cover; a ray goes on where what it meets covers a part."""
    left = float(1.0)
    colour = wp.vec3(0.0, 0.0, 0.0)
    searching = int(1)
    layer = int(0)
    while searching == 1:
        layer = layer + 1
        query = wp.mesh_query_ray(surface.mesh, origin, ray, 10.0)
        if not query.result:
            searching = 0
        else:
            face = query.face
            weight = wp.vec3(query.u, query.v, 1.0 - query.u - query.v)
            uv = (
                surface.corners[face * 3] * weight[0]
                + surface.corners[face * 3 + 1] * weight[1]
                + surface.corners[face * 3 + 2] * weight[2]
            )
            texture = texture_at(surface.images, surface.material[face], uv[0], uv[1])
            cover = texture[3]
            if cover > 0.02:
                colour = colour + shade(surface, lights, ray, face, weight, uv, texture) * (cover * left)
                left = left * (1.0 - cover)
            origin = origin + ray * query.t + ray * 0.0004
            if left < 0.03 or layer > 11:
                searching = 0
    return wp.vec4(colour[0], colour[1], colour[2], 1.0 - left)


@wp.kernel
def cast(surface: Surface, view: View, lights: Lights, out: wp.array(dtype=wp.vec4)):
    """Colour and cover of every pixel: the mean over its samples."""
    pixel = wp.tid()
    total = wp.vec4(0.0, 0.0, 0.0, 0.0)
    origin = view.centre + view.turn * wp.vec3(0.0, -view.distance, 0.0)
    for s in range(view.samples * view.samples):
        total = total + seen_along(surface, lights, origin, ray_through(view, pixel, s))
    out[pixel] = total / float(view.samples * view.samples)


@wp.kernel
def nearest_on_mesh(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    nearest: wp.array(dtype=wp.vec4),
    faces: wp.array(dtype=wp.int32),
):
    """The nearest place on the mesh to each point."""
    i = wp.tid()
    query = wp.mesh_query_point_no_sign(mesh, points[i], 1.0)
    place = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
    nearest[i] = wp.vec4(place[0], place[1], place[2], 0.0)
    faces[i] = query.face
