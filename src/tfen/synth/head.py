"""The shape of a head: Anny's mesh, its facial actions, and what lies where on it.

Anny (Apache-2.0; MakeHuman's head and facial actions, CC0) computes the neutral head of a subject and the
displacement of every vertex under each of its 52 facial actions; the actions are linear, so a frame is a
weighted sum. Axes: x to the subject's left, y to the back, z up; metres.

The skin's texture coordinates are used in an upright form, the *head map*: `across` is 0 on the midline and
positive on the subject's left, `down` runs from the top of the forehead (0.74) over the eyes (0.84) and the
mouth (0.91) to below the chin (0.99).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

BROWS_UP = "brows-up"
"""How high the brows lie, a change of shape of our own: Anny's reach a third of the range of real faces."""
INNER_BROWS_UP = "inner-brows-up"
"""How much higher their inner ends lie, another one: a sad or worried look that some faces have at rest."""
LOCAL_CHANGES = (
    "l-cheek-trans-up",
    "l-cheek-volume-incr",
    "l-cheek-inner-incr",
    "l-cheek-bones-incr",
    "chin-jaw-drop-incr",
    "chin-height-incr",
    "chin-prominent-incr",
    "chin-bones-incr",
    "chin-width-incr",
    "chin-cleft-incr",
    "chin-prognathism-incr",
    "l-ear-lobe-incr",
    "l-ear-shape-round",
    "l-ear-trans-forward",
    "l-ear-rot-forward",
    "l-ear-trans-up",
    "l-ear-scale-vert-incr",
    "l-ear-flap-incr",
    "l-ear-shape-triangle",
    "l-ear-scale-incr",
    "l-ear-scale-depth-incr",
    "l-ear-wing-incr",
    "eyebrows-angle-up",
    "eyebrows-trans-up",
    "eyebrows-trans-forward",
    "l-eye-corner1-up",
    "l-eye-height1-incr",
    "l-eye-scale-incr",
    "l-eye-push1-out",
    "l-eye-eyefold-up",
    "l-eye-height3-incr",
    "l-eye-height2-incr",
    "l-eye-bag-incr",
    "l-eye-push2-out",
    "l-eye-trans-up",
    "l-eye-bag-height-incr",
    "l-eye-epicanthus-out",
    "l-eye-eyefold-angle-up",
    "l-eye-bag-out",
    "l-eye-corner2-up",
    "l-eye-trans-out",
    "forehead-temple-incr",
    "forehead-trans-forward",
    "forehead-scale-vert-incr",
    "forehead-nubian-incr",
    "head-angle-out",
    "head-scale-vert-incr",
    "head-trans-forward",
    "head-trans-up",
    "head-fat-incr",
    "head-trans-out",
    "head-back-scale-depth-incr",
    "head-age-incr",
    "head-scale-depth-incr",
    "head-scale-horiz-incr",
    "mouth-lowerlip-height-incr",
    "mouth-scale-horiz-incr",
    "mouth-cupidsbow-incr",
    "mouth-laugh-lines-out",
    "mouth-scale-depth-incr",
    "mouth-lowerlip-volume-incr",
    "mouth-angles-up",
    "mouth-upperlip-ext-up",
    "mouth-lowerlip-width-incr",
    "mouth-trans-forward",
    "mouth-upperlip-width-incr",
    "mouth-scale-vert-incr",
    "mouth-dimples-out",
    "mouth-upperlip-height-incr",
    "mouth-upperlip-volume-incr",
    "mouth-cupidsbow-width-incr",
    "mouth-lowerlip-ext-up",
    "mouth-upperlip-middle-up",
    "mouth-trans-up",
    "mouth-trans-out",
    "mouth-lowerlip-middle-up",
    "mouth-philtrum-volume-incr",
    "nose-nostrils-angle-up",
    "nose-flaring-incr",
    "nose-curve-convex",
    "nose-scale-depth-incr",
    "nose-scale-vert-incr",
    "nose-point-width-incr",
    "nose-scale-horiz-incr",
    "nose-width1-incr",
    "nose-trans-forward",
    "nose-trans-up",
    "nose-hump-incr",
    "nose-nostrils-width-incr",
    "nose-trans-out",
    "nose-greek-incr",
    "nose-point-up",
    "nose-width2-incr",
    "nose-width3-incr",
    "nose-septumangle-incr",
    "nose-base-up",
    "nose-compression-uncompress",
    "nose-volume-incr",
)
"""Anny's local changes that act on the head; those of the left side ("l-...") are applied to both."""
BELOW_TOP = 0.34
"""Faces farther below the top of the head than this (metres) are not drawn: neck and shoulders remain."""
BASE_VERTICES = 19158
"""Of the whole body: MakeHuman's base mesh, which Anny keeps."""
EYE_VERTICES = ((14598, 14670), (14670, 14742))
"""First and last + 1 of the subject's left and right eyeball."""
TONGUE_VERTICES = (13380, 13606)
INSIDE_LIP = 520
"""Where the lips meet, in the middle."""

ACROSS_RANGE = (-0.36, 0.36)
DOWN_RANGE = (0.63, 1.0)
"""The part of texture space that a head map covers."""

SKIN, BODY, MOUTH, EYE = 0, 1, 2, 3
"""Materials of the mesh's own faces; parts put on the head follow."""

_LANDMARKS_LEFT_HALF_MM: dict[int, tuple[float, float]] = {
    16: (67.0, 646.0),
    15: (66.0, 626.0),
    14: (63.0, 607.0),
    13: (59.0, 590.0),
    12: (55.0, 576.0),
    11: (48.0, 563.5),
    10: (36.0, 551.5),
    9: (20.0, 544.5),
    22: (14.0, 658.0),
    23: (24.0, 662.0),
    24: (33.0, 664.0),
    25: (42.0, 663.5),
    26: (50.0, 659.0),
    34: (6.5, 603.5),
    35: (12.5, 606.0),
    42: (16.5, 645.7),
    43: (25.0, 651.2),
    44: (34.5, 652.0),
    45: (42.8, 647.5),
    46: (34.5, 643.0),
    47: (25.0, 643.5),
    52: (5.0, 588.5),
    53: (14.0, 586.5),
    54: (22.5, 580.3),
    55: (15.0, 573.5),
    56: (7.0, 570.5),
    63: (9.0, 582.2),
    64: (20.0, 580.3),
    65: (9.0, 579.2),
}
_LANDMARKS_MIDLINE: dict[int, int] = {
    8: 5296,
    27: 132,
    28: 5063,
    29: 291,
    30: 297,
    33: 312,
    51: 467,
    57: 496,
    62: 474,
    66: 523,
}
_MIRROR = {
    16: 0,
    15: 1,
    14: 2,
    13: 3,
    12: 4,
    11: 5,
    10: 6,
    9: 7,
    22: 21,
    23: 20,
    24: 19,
    25: 18,
    26: 17,
    34: 32,
    35: 31,
}
_MIRROR |= {
    42: 39,
    43: 38,
    44: 37,
    45: 36,
    46: 41,
    47: 40,
    52: 50,
    53: 49,
    54: 48,
    55: 59,
    56: 58,
    63: 61,
    64: 60,
    65: 67,
}
_UPPER_LIP, _LOWER_LIP = (52, 53, 63), (55, 56, 65)

Array = np.ndarray


@dataclass(frozen=True)
class Shape:
    """A subject's head: `neutral` (vertices, 3) and `deltas` (52, vertices, 3) in metres."""

    neutral: Array
    deltas: Array


class Head:
    """Anny's head, reduced to what is drawn; one per process, through `load_head`."""

    def __init__(self) -> None:
        import torch

        import tfen.synth.kernels  # noqa: F401  (before Anny: it quietens Warp)

        from anny import Anny  # isort: skip

        torch.set_num_threads(1)
        both_sides = [*LOCAL_CHANGES, *("r-" + name[2:] for name in LOCAL_CHANGES if name.startswith("l-"))]
        self._anny = Anny(local_changes=both_sides, facial_actions="all", topology="anny-full", phenotypes="all").to(
            torch.float32
        )
        self.actions: list[str] = list(self._anny.facial_action_labels)
        self._set_back: Array = np.zeros(3)
        average = self.shape({}, {})
        faces = self._anny.get_triangular_faces().numpy().astype(np.int32)
        corners = self._anny.texture_coordinates.numpy()[self._anny.face_texture_coordinate_indices.numpy()]
        middle = average.neutral[faces].mean(1)
        keep = middle[:, 2] > average.neutral[faces.ravel(), 2].max() - BELOW_TOP
        self.faces = faces[keep]
        self.corners = corners[keep].astype(np.float32)
        """Texture coordinates of the faces' corners as Anny gives them, shape (faces, 3, 2)."""
        self.head_map = head_map_coordinates(self.corners)
        self.materials = self._materials(middle[keep])
        self.vertex_map = np.full((len(average.neutral), 2), np.nan, np.float32)
        """Head-map coordinates (across, down) of every skin vertex; NaN elsewhere."""
        skin = self.materials == SKIN
        self.vertex_map[self.faces[skin].ravel()] = self.head_map[skin].reshape(-1, 2)
        self.landmarks = self._find_landmarks(average)
        lining = np.setdiff1d(self.faces[self.materials == MOUTH], self.faces[skin])
        behind_lips = abs(average.neutral[lining] - average.neutral[INSIDE_LIP])
        self._set_back = np.zeros_like(average.neutral)
        self._set_back[lining[behind_lips[:, 2] > 0.006], 1] = 0.006

    def shape(self, phenotype: dict[str, float], changes: dict[str, float]) -> Shape:
        """Return the head of a subject; the mouth's lining is set back a little, or it would pierce some chins.

        Args:
            phenotype: Anny's phenotypes in [0, 1] (gender, age, weight, african, ...); 0.5 where left out.
            changes: local changes in [-1, 1] by name; those of the left side ("l-...") hold for both sides. BROWS_UP
                and INNER_BROWS_UP are no changes of Anny's: 1 puts the brows of the face at rest where a full raising
                of all or of the inner ends would.
        """
        import torch

        both = dict(changes)
        brows, inner = both.pop(BROWS_UP, 0.0), both.pop(INNER_BROWS_UP, 0.0)
        both.update({"r-" + name[2:]: value for name, value in changes.items() if name.startswith("l-")})
        anny, count = self._anny, len(self._anny.facial_action_labels) + 1
        traits = {name: phenotype.get(name, 0.5) for name in anny.phenotype_labels}
        one_by_one = torch.cat([torch.zeros(1, count - 1), torch.eye(count - 1)])
        with torch.no_grad():
            vertices = anny(
                pose_parameters=torch.eye(4)[None, None].repeat(count, anny.bone_count, 1, 1),
                phenotype_kwargs={name: torch.full((count,), float(value)) for name, value in traits.items()},
                local_changes_kwargs={name: torch.full((count,), float(value)) for name, value in both.items()},
                facial_actions={name: one_by_one[:, i] for i, name in enumerate(anny.facial_action_labels)},
            )["vertices"].numpy()
        deltas = vertices[1:] - vertices[0]
        inner_up, *outer_up = (
            deltas[self.actions.index(name)] for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")
        )
        return Shape(vertices[0] + (brows + inner) * inner_up + brows * sum(outer_up) + self._set_back, deltas)

    def _materials(self, middle: Array) -> Array:
        out = np.full(len(self.faces), BODY, np.int32)
        across, down = self.head_map[..., 0], self.head_map[..., 1]
        on_map = (abs(across) < 0.36) & (down > DOWN_RANGE[0]) & (down < 0.9945)
        out[on_map.all(1)] = SKIN
        inside = (abs(middle[:, 0]) < 0.04) & (middle[:, 1] < -0.04) & (middle[:, 2] > 0.557) & (middle[:, 2] < 0.62)
        out[(out == BODY) & inside] = MOUTH
        for first, last in EYE_VERTICES:
            out[((self.faces >= first) & (self.faces < last)).all(1)] = EYE
        return out

    def _find_landmarks(self, average: Shape) -> Array:
        """The 68 points of the iBUG scheme as vertices: the front vertex nearest to each stated place."""
        skin = np.where(~np.isnan(self.vertex_map[:, 0]))[0]
        at = average.neutral[skin] * 1000
        jaw = np.linalg.norm(average.deltas[self.actions.index("jawOpen")][skin], axis=1) * 1000
        out = np.zeros(68, np.int64)
        for point, vertex in _LANDMARKS_MIDLINE.items():
            out[point] = vertex
        for point, (x, z) in _LANDMARKS_LEFT_HALF_MM.items():
            for index, side in ((point, 1.0), (_MIRROR[point], -1.0)):
                away = np.hypot(at[:, 0] - side * x, at[:, 2] - z) + np.clip(at[:, 1] + 125, 0, None) * 0.25
                if point in _UPPER_LIP:
                    away = away + 10 * (jaw > 4)
                if point in _LOWER_LIP:
                    away = away + 10 * (jaw < 8)
                out[index] = skin[away.argmin()]
        return out


def head_map_coordinates(texture: Array) -> Array:
    """Turn Anny's texture coordinates (..., 2) into head-map coordinates (across, down)."""
    return np.stack([texture[..., 1] - 0.4833, texture[..., 0]], -1)


@cache
def load_head() -> Head:
    """Return the process's head; the first one on a machine takes up to a minute, then Anny's cache serves it."""
    return Head()
