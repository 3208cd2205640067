"""MakeHuman's CC0 assets on a head: photographic skin, brows, lashes, teeth and hair (`tfen synth --assets`).

The folder holds `skins/<age>_<ancestry>_<sex>__*.png` and, one folder each, `eyebrows`, `eyelashes`, `teeth`, `hair`
with `.obj`, `.mhclo` and `.png`. A proxy's vertex is three base vertices, weights and an offset; offsets are in
MakeHuman's axes (x, y up, z front) and scale with the distance of two named vertices.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import warp as wp

from tfen.errors import InputError
from tfen.synth import skins
from tfen.synth.head import ACROSS_RANGE, BASE_VERTICES, DOWN_RANGE, INSIDE_LIP, SKIN, Head, Shape
from tfen.synth.kernels import nearest_on_mesh
from tfen.synth.parts import TEXTURE, Jaw, Part
from tfen.synth.people import Subject
from tfen.synth.skins import SkinMaps, SkinTraits
from tfen.video.photographs import read_image

Array = np.ndarray
HAIR = {
    ("male", "short"): ("short01", "short02", "short04"),
    ("male", "medium"): ("short02", "short04"),
    ("male", "long"): ("long01", "ponytail01"),
    ("female", "short"): ("short01", "short02", "short04"),
    ("female", "medium"): ("ponytail01", "short02"),
    ("female", "long"): ("long01", "ponytail01"),
}
FRINGES = {"male": ("short03",), "female": ("bob02", "braid01", "bob01")}
"""Hair that hides an eye: worn by few."""
SHARE_OF_FRINGES = 0.1
CLEARANCE = 0.0018
"""Metres that hair stays above the skin."""
BROW_CLEARANCE = 0.0007
"""Metres that brows stay above the skin."""


@dataclass(frozen=True)
class Proxy:
    """A mesh that rides on the base mesh."""

    name: str
    base: Array
    weights: Array
    offsets: Array
    scales: tuple[tuple[int, int, float], ...]
    faces: Array
    corners: Array
    image: Array

    def fit(self, vertices: Array) -> Array:
        """Return the proxy's vertices for base vertices (frames, V, 3), shape (frames, n, 3)."""
        first = vertices[0]
        axes = (0, 2, 1)
        size = [abs(first[a, axis] - first[b, axis]) / length for (a, b, length), axis in zip(self.scales, axes)]
        x, up, front = (self.offsets[:, k] * size[k] for k in range(3))
        held = np.einsum("fnkc,nk->fnc", vertices[:, self.base], self.weights)
        return held + np.stack([x, -front, up], 1)


@dataclass(frozen=True)
class Dressed:
    """What assets change about a subject: the traits that still hold, the skin, the parts."""

    traits: SkinTraits
    photograph: Array
    tone: Array
    parts: list[Part]

    def skin(self, painted: SkinMaps) -> SkinMaps:
        """Return the photograph as the skin's colour, with the painted beard and relief on it."""
        beard, moustache = skins.beard_area()
        cover = np.clip(self.traits.beard * beard + self.traits.moustache * moustache, 0, 1)[..., None]
        return replace(painted, colour=self.photograph * (1 - cover) + painted.colour * cover)


def dress(folder: str, head: Head, shape: Shape, subject: Subject, rng: np.random.Generator) -> Dressed:
    """Choose a skin, brows, lashes, teeth and hair for a subject.

    Raises:
        InputError: the folder lacks what it should hold.
    """
    root = Path(folder)
    age = "young" if subject.age < 38 else "middleage" if subject.age < 56 else "old"
    ancestry = {"european": "caucasian"}.get(subject.ancestry, subject.ancestry)
    photographs = sorted((root / "skins").glob(f"{age}_{ancestry}_{subject.sex}__*.png"))
    if not photographs:
        raise InputError(f"{root}/skins has no picture {age}_{ancestry}_{subject.sex}__*.png; give MakeHuman's skins")
    photograph = _head_map(str(photographs[int(rng.integers(len(photographs)))]))
    factor = np.exp(rng.normal(0, 0.13)) * np.exp(rng.normal(0, [0.03, 0.02, 0.04]))
    photograph = photograph * skins.lip_light(subject.skin.lip_tones)
    photograph = np.clip(photograph * factor, 0.004, 1).astype(np.float32)
    colour = np.array(subject.skin.hair_colour)
    brows = _brows(_choose(root, "eyebrows", rng), head, shape, colour)
    painted = subject.look is not None and subject.look.brow_cover > 0
    parts = [
        *([] if painted else [brows]),
        _lashes(_choose(root, "eyelashes", rng)),
        *_teeth(_choose(root, "teeth", rng, GAPPY_TEETH), shape, subject.teeth),
    ]
    if subject.hairstyle != "bald":
        names = HAIR[(subject.sex, subject.hairstyle)]
        if subject.ancestry == "african" and subject.hairstyle != "long" and rng.random() < 0.5:
            names = ("afro01",)
        if rng.random() < SHARE_OF_FRINGES:
            names = FRINGES[subject.sex]
        there = [name for name in names if (root / "hair" / name).is_dir()]
        if there:
            hair = _proxy(str(root / "hair" / there[int(rng.integers(len(there)))]))
            parts.append(_hair(hair, head, shape, colour))
    cheek = (slice(330, 345), slice(290, 310))
    tone = np.median(photograph[cheek].reshape(-1, 3), 0)
    return Dressed(replace(subject.skin, brow_cover=0.0, hair_cover=0.0), photograph, tone, parts)


@cache
def _head_map(path: str) -> Array:
    """Return a MakeHuman skin over the head map, linear RGB."""
    image = read_image(Path(path)).astype(np.float32) / 255
    across, down = skins.grid()
    assert across[0, 0] == ACROSS_RANGE[0]
    assert down[0, 0] == np.float32(DOWN_RANGE[0])
    rows = (1 - (across + 0.4833)) * image.shape[0] - 0.5
    columns = down * image.shape[1] - 0.5
    return cv2.remap(image, columns, rows, cv2.INTER_CUBIC).clip(0, 1) ** 2.2


def _choose(root: Path, kind: str, rng: np.random.Generator, without: tuple[str, ...] = ()) -> Proxy:
    there = (path for path in (root / kind).glob("*") if path.is_dir() and any(path.glob("*.mhclo")))
    folders = sorted(path for path in there if path.name not in without)
    if not folders:
        raise InputError(f"{root}/{kind} holds no asset (a folder with .mhclo, .obj and .png); give MakeHuman's assets")
    return _proxy(str(folders[int(rng.integers(len(folders)))]))


@cache
def _proxy(folder: str) -> Proxy:
    place = Path(folder)
    try:
        fitting, mesh, picture = (next(place.glob(f"*.{ending}")) for ending in ("mhclo", "obj", "png"))
    except StopIteration:
        raise InputError(f"{place} is no complete asset: expected .mhclo, .obj and .png") from None
    try:
        table, sizes = _read_fitting(fitting)
        faces, corners = _read_obj(mesh, len(table))
    except (KeyError, ValueError, IndexError):
        raise InputError(f"{place} cannot be read as an asset; give one of MakeHuman's (.mhclo and .obj)") from None
    data = cv2.imdecode(np.fromfile(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    if data is None:
        raise InputError(f"{picture} cannot be read as an image")
    if data.ndim == 2 or data.shape[2] == 3:
        data = cv2.cvtColor(data, cv2.COLOR_GRAY2BGRA if data.ndim == 2 else cv2.COLOR_BGR2BGRA)
    image = cv2.resize(cv2.cvtColor(data, cv2.COLOR_BGRA2RGBA), (TEXTURE, TEXTURE), interpolation=cv2.INTER_AREA)
    return Proxy(
        place.name,
        table[:, :3].astype(int),
        table[:, 3:6],
        table[:, 6:9],
        sizes,
        faces,
        corners,
        np.ascontiguousarray(image),
    )


def _read_fitting(path: Path) -> tuple[Array, tuple[tuple[int, int, float], ...]]:
    """Return a row for each vertex (three base vertices, weights, offset) and what offsets scale with.

    Raises:
        KeyError, ValueError, IndexError: it is no .mhclo, has no vertex, or names one that the base mesh does not have.
    """
    rows, scales, reading = [], {}, False
    for line in path.read_text(errors="replace").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scales[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] == "verts":
            reading = True
        elif words[0] == "delete_verts":
            reading = False
        elif reading:
            try:
                numbers = [float(word) for word in words[:9]]
            except ValueError:
                continue
            rows.append([numbers[0]] * 3 + [1, 0, 0, 0, 0, 0] if len(numbers) == 1 else numbers)
    if not rows:
        raise ValueError
    table = np.array(rows).reshape(len(rows), 9)
    sizes = tuple(scales[axis] for axis in "xyz")
    named = np.concatenate([table[:, :3].ravel(), [vertex for size in sizes for vertex in size[:2]]])
    if (named < 0).any() or (named >= BASE_VERTICES).any():
        raise IndexError
    return table, sizes


def _read_obj(path: Path, vertices: int) -> tuple[Array, Array]:
    """Return the triangles of an .obj and their texture coordinates, v downwards; negative numbers count back."""
    texture, faces, corners, points_read = [], [], [], 0

    def place(number: str, count: int) -> int:
        return int(number) - 1 if int(number) > 0 else count + int(number)

    for line in path.read_text(errors="replace").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            points_read += 1
        elif words[0] == "vt":
            texture.append([float(words[1]), 1 - float(words[2])])
        elif words[0] == "f":
            points = [word.split("/") for word in words[1:]]
            for k in range(1, len(points) - 1):
                three = (points[0], points[k], points[k + 1])
                faces.append([place(point[0], points_read) for point in three])
                corners.append([place(point[1], len(texture)) for point in three])
    triangles, places = np.array(faces), np.array(texture)[np.array(corners)]
    kept = (triangles < vertices).all(1)
    return triangles[kept], places[kept]


def _lashes(proxy: Proxy) -> Part:
    dark = np.array([0.03, 0.025, 0.02])
    return Part(
        proxy.name, proxy.faces, proxy.corners, proxy.image, dark, 0.0, False, lambda frames, jaw: proxy.fit(frames)
    )


def _brows(proxy: Proxy, head: Head, shape: Shape, colour: Array) -> Part:
    """Return brows in the hair's colour, lifted off the skin wherever they would sink into it."""
    rest = proxy.fit(shape.neutral[None])[0]
    skin = _nearest_skin(rest, head, shape)
    lift = skin.normal * np.clip(BROW_CLEARANCE - skin.height, 0, 0.004)[:, None]
    image = proxy.image.copy()
    image[..., :3] = 255
    return Part(
        proxy.name,
        proxy.faces,
        proxy.corners,
        image,
        colour * 0.8,
        0.02,
        False,
        lambda frames, jaw: proxy.fit(frames) + lift,
    )


GAPPY_TEETH = ("teeth_shape01", "teeth_shape02", "teeth_shape04")
"""Rows without teeth, or with wide gaps: worn by nobody here, since a smile with them has a dark middle."""
CROWN = 0.011
"""Metres of a row, from the incisors' edge, that are drawn; gums below could pierce a small chin."""
INCISORS = np.array([0, 0.004, -0.001])
"""Where the upper incisors' edge lies, from where the lips meet: metres, y to the back, z up."""


def _teeth(proxy: Proxy, shape: Shape, whiteness: float) -> list[Part]:
    """Return both rows: the upper one stays with the skull, the lower one follows the jaw.

    They are moved to where the lips meet, since the proxy does not follow lips that lie higher or deeper.
    """
    fitted = proxy.fit(shape.neutral[None])[0]
    middle = (fitted[:, 2].min() + fitted[:, 2].max()) / 2
    heights = fitted[proxy.faces][..., 2].mean(1)
    is_lower = heights < middle
    upper = fitted[np.unique(proxy.faces[~is_lower])]
    incisors = upper[(abs(upper[:, 0]) < 0.006) & (upper[:, 1] < upper[:, 1].min() + 0.006)]
    edge = np.array([0, incisors[:, 1].min(), incisors[:, 2].min()])
    crowns = abs(heights - edge[2]) < CROWN
    rest = fitted + (shape.neutral[INSIDE_LIP] + INCISORS - edge) * [0, 1, 1]
    parts = []
    for name in ("upper teeth", "lower teeth"):
        lower = name.startswith("lower")
        kept = (is_lower == lower) & crowns

        def place(frames: Array, jaw: Jaw, moves: bool = lower) -> Array:
            return jaw.carry(rest) if moves else np.broadcast_to(rest, (len(frames), *rest.shape))

        tint = whiteness * np.array([1.7, 1.6, 1.42])
        parts.append(Part(name, proxy.faces[kept], proxy.corners[kept], proxy.image, tint, 0.25, False, place))
    return parts


@dataclass(frozen=True)
class _Skin:
    """The skin nearest to some points: its outward normal, how high the points are above it, its head-map place."""

    normal: Array
    height: Array
    place: Array


def _nearest_skin(points: Array, head: Head, shape: Shape) -> _Skin:
    skin = head.faces[head.materials == SKIN]
    mesh = wp.Mesh(
        points=wp.array(shape.neutral.astype(np.float32), dtype=wp.vec3),
        indices=wp.array(skin.astype(np.int32).ravel(), dtype=wp.int32),
    )
    nearest_points = wp.zeros(len(points), dtype=wp.vec4)
    faces = wp.zeros(len(points), dtype=wp.int32)
    asked = wp.array(points.astype(np.float32), dtype=wp.vec3)
    wp.launch(nearest_on_mesh, dim=len(points), inputs=[mesh.id, asked, nearest_points, faces])
    nearest, triangle = nearest_points.numpy(), faces.numpy()
    a, b, c = (shape.neutral[skin[triangle, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    height = ((points - nearest[:, :3]) * normal).sum(1)
    return _Skin(normal, height, head.vertex_map[skin[triangle]].mean(1))


def _hair(proxy: Proxy, head: Head, shape: Shape, colour: Array) -> Part:
    """Return hair lifted off the skin wherever it would pierce it; what lies in the face's skin is not drawn."""
    rest = proxy.fit(shape.neutral[None])[0]
    skin = _nearest_skin(rest, head, shape)
    normal, height, place = skin.normal, skin.height, skin.place
    hairline = np.interp(abs(place[:, 0]), *np.array(skins.HAIRLINE).T)
    near = abs(height) < 0.02
    scalp = near & (place[:, 1] < hairline + 0.004)
    lift = np.where(scalp, np.clip(CLEARANCE - height, 0, 0.02), 0)
    moved = rest + normal * lift[:, None]
    in_face = near & ~scalp & (height < CLEARANCE)
    kept = ~in_face[proxy.faces].any(1)
    bright = proxy.image[..., :3].astype(np.float32) / 255
    covered = proxy.image[..., 3:] > 60
    mean = float((bright**2.2)[covered[..., 0]].mean()) + 1e-3
    image = proxy.image.copy()
    grey = np.clip((bright**2.2).mean(2, keepdims=True) / mean * 0.35, 0, 1)
    image[..., :3] = np.round(np.sqrt(np.repeat(grey, 3, 2)) * 255)

    def stay(frames: Array, jaw: Jaw) -> Array:
        return np.broadcast_to(moved, (len(frames), *moved.shape))

    return Part(proxy.name, proxy.faces[kept], proxy.corners[kept], image, colour * 2.6, 0.05, True, stay)
