"""One subject, drawn: a `Performer` is built once and then shows any number of sequences."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np

from tfen.faces.box import eyes_and_mouth, face_box
from tfen.synth import looks, skins
from tfen.synth.assets import Dressed, dress
from tfen.synth.conditions import Device, relight
from tfen.synth.expressions import LAUGH, action_units, actions_over_time, resting
from tfen.synth.head import BODY, EYE, INSIDE_LIP, MOUTH, SKIN, Head
from tfen.synth.parts import Jaw, Part, eyes, glasses, lenses, long_hair, plain, teeth
from tfen.synth.people import Subject
from tfen.synth.renderer import Camera, Light, Scene, project
from tfen.synth.settings import Variation

Array = np.ndarray


@dataclass(frozen=True)
class Take:
    """A drawn sequence: `frames` (T, size, size, 3) uint8 RGB, and everything that is known about it."""

    frames: Array
    truth: dict[str, Any]


class Performer:
    """A subject's head with skin, eyes, teeth, hair and glasses, ready to perform."""

    def __init__(
        self, head: Head, subject: Subject, seed: tuple[int, ...], assets: str | None = None, device: str = "cpu"
    ) -> None:
        self.head, self.device = head, device
        self.subject = subject
        rng = np.random.default_rng([*seed, 1])
        self.rest = resting(head.actions, np.random.default_rng([*seed, 3]))
        self.shape = head.shape(subject.phenotype, subject.changes)
        dressed = dress(assets, head, self.shape, subject, rng) if assets else None
        self.skin = skins.paint(subject.skin if dressed is None else dressed.traits, rng)
        tone = skins.skin_tone(subject.skin.darkness, subject.skin.warmth)
        if dressed is not None:
            self.skin, tone = dressed.skin(self.skin), dressed.tone
        if subject.look is not None:
            own = np.random.default_rng([*seed, 4])
            self.skin = looks.wear(self.skin, subject.look, subject.skin.hair_colour, own)
        self.points = self.shape.neutral.copy()
        if dressed is None and subject.hair_volume > 0:
            self._raise_hair(rng)
        iris_image, eye_corners = eyes(head, self.shape, np.array(subject.iris), rng)
        self.parts = self._parts(dressed, rng)
        cloth = rng.uniform(0.02, 0.6) * rng.uniform(0.6, 1.0, 3)
        covered_below = self.shape.neutral[head.landmarks[8]][2] - rng.uniform(0.06, 0.11)
        images = [
            _skin_image(self.skin.colour),
            iris_image,
            plain((0.16, 0.035, 0.03)),
            plain(tuple(tone)),
            plain(tuple(cloth)),
        ]
        gloss = [0.06 + 0.05 * rng.random(), 0.7, 0.05, 0.05, 0.0]
        self.scene = self._scene(images, gloss, eye_corners, covered_below)

    def _parts(self, dressed: Dressed | None, rng: np.random.Generator) -> list[Part]:
        """Return teeth, long hair and glasses; what the assets give instead of the first two."""
        head, subject = self.head, self.subject
        parts: list[Part] = dressed.parts if dressed else teeth(head, self.shape, subject.teeth)
        if dressed is None and subject.hairstyle == "long":
            colour = np.array(subject.skin.hair_colour)
            hair = long_hair(head, self.shape, subject.hair_length, subject.hair_volume * 0.8, colour, rng)
            parts = [*parts, hair]
        if subject.glasses:
            width, height, radius, square = subject.glasses_shape
            colour = np.array(subject.glasses_colour)
            parts = [*parts, glasses(head, self.shape, colour, width, height, square, radius)]
            if subject.look is not None and subject.look.sunglasses:
                parts.append(lenses(head, self.shape, subject.look.sunglasses, width, height, square))
        return parts

    def _scene(self, images: list[Array], gloss: list[float], eye_corners: Array, covered_below: float) -> Scene:
        """Return the head with its parts, ready to be drawn.

        Args:
            images: of the head's five materials: skin, eye, mouth, bare body, cloth.
            gloss: of the same.
            covered_below: height below which cloth covers the body, metres.
        """
        head, count = self.head, len(self.points)
        faces, corners = [head.faces], [self._head_corners(eye_corners)]
        materials, opaque = [self._head_materials(covered_below)], [np.ones(len(head.faces), bool)]
        tint, inside = [np.ones(3)] * len(images), [head.faces[head.materials == MOUTH].ravel(), self._near_mouth()]
        images, gloss = [*images], [*gloss]
        still, no_jaw = self.shape.neutral[None], Jaw(np.zeros(1), np.zeros((1, 3)))
        for part in self.parts:
            if part.name.endswith("teeth"):
                inside.append(part.faces.ravel() + count)
            faces.append(part.faces + count)
            corners.append(part.corners)
            materials.append(np.full(len(part.faces), len(images)))
            opaque.append(np.full(len(part.faces), part.opaque))
            count += part.place(still, no_jaw).shape[1]
            images.append(part.image)
            tint.append(part.tint)
            gloss.append(part.gloss)
        return Scene(
            self._vertices(np.zeros((1, len(head.actions)), np.float32))[0],
            np.concatenate(faces),
            np.concatenate(corners),
            np.concatenate(materials),
            np.stack(images),
            np.stack(tint),
            np.array(gloss),
            skins.shine_map(self.subject.skin.shine),
            self.subject.skin.shine_power,
            np.concatenate(opaque),
            np.unique(np.concatenate(inside)),
            self._vertices(self._laugh())[0],
            self.device,
        )

    def _head_materials(self, covered_below: float) -> Array:
        """Return which of the five images each face of the head shows."""
        head = self.head
        bare = head.faces[head.materials == BODY]
        covered = self.shape.neutral[bare].mean(1)[:, 2] < covered_below
        material = head.materials.copy()
        material[head.materials == EYE] = 1
        material[head.materials == MOUTH] = 2
        material[head.materials == BODY] = np.where(covered, 4, 3)
        return material

    def _head_corners(self, eye_corners: Array) -> Array:
        """Return the texture coordinates of the head's faces, (F, 3, 2)."""
        head = self.head
        corners = np.zeros((len(head.faces), 3, 2), np.float32)
        on_skin = head.materials == SKIN
        corners[on_skin] = skins.texel(head.head_map[on_skin, :, 0], head.head_map[on_skin, :, 1])
        corners[head.materials == EYE] = eye_corners[head.faces[head.materials == EYE]]
        return corners

    def _near_mouth(self) -> Array:
        """Return the vertices around the lips, which a closed mouth hides."""
        near = abs(self.points - self.shape.neutral[INSIDE_LIP]) < (0.035, 0.02, 0.02)
        return np.flatnonzero(near.all(1))

    def _laugh(self) -> Array:
        """Return the facial actions of a laugh, (1, actions): it opens what is hidden otherwise."""
        laugh = np.zeros((1, len(self.head.actions)), np.float32)
        for name, weight in LAUGH.items():
            laugh[0, self.head.actions.index(name)] = weight
        return laugh

    def _raise_hair(self, rng: np.random.Generator) -> None:
        """Let the hair of the scalp (and a full beard) stand off the skin."""
        head, subject = self.head, self.subject
        on_skin = ~np.isnan(head.vertex_map[:, 0])
        at = skins.texel(*np.nan_to_num(head.vertex_map[on_skin]).T) * (skins.SIZE - 1)
        cover = skins.scalp(subject.skin.hairline, subject.skin.temples) * subject.skin.hair_cover
        cover = cv2.GaussianBlur(cover, (0, 0), 9) * cover
        bumps = 1 + 0.22 * skins.noise(rng, 26)
        amount = np.zeros(len(self.points), np.float32)
        sample = cv2.remap(
            (cover * bumps).astype(np.float32),
            at[None, :, 0].astype(np.float32),
            at[None, :, 1].astype(np.float32),
            cv2.INTER_LINEAR,
        )[0]
        amount[on_skin] = sample * subject.hair_volume
        if subject.beard == "full":
            beard = cv2.GaussianBlur(skins.beard_area()[0], (0, 0), 6)
            amount[on_skin] += (
                0.007
                * cv2.remap(
                    beard, at[None, :, 0].astype(np.float32), at[None, :, 1].astype(np.float32), cv2.INTER_LINEAR
                )[0]
            )
        faces = head.faces[head.materials == SKIN]
        normal = np.zeros_like(self.points)
        face_normal = np.cross(
            self.points[faces[:, 1]] - self.points[faces[:, 0]], self.points[faces[:, 2]] - self.points[faces[:, 0]]
        )
        for k in range(3):
            np.add.at(normal, faces[:, k], face_normal)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        self.points = self.points + normal * amount[:, None]

    def _vertices(self, weights: Array) -> Array:
        """Return all vertices, head and parts, in every frame, shape (frames, V, 3)."""
        moved = np.tensordot(weights, self.shape.deltas, 1)
        bare = self.shape.neutral + moved
        jaw = Jaw.from_actions(self.shape, weights, self.head.actions)
        parts = [part.place(bare, jaw) for part in self.parts]
        return np.concatenate([self.points + moved, *parts], 1)

    def perform(
        self,
        expression: str,
        dynamics: str,
        frames: int,
        size: int,
        rng: np.random.Generator,
        variation: Variation,
        samples: int = 2,
        own: np.random.Generator | None = None,
    ) -> Take:
        """Draw one sequence.

        Args:
            expression: a canonical expression.
            dynamics: see `tfen.synth.dynamics.DYNAMICS`.
            frames: number of frames.
            size: pixels along each side.
            rng: the sequence's own random numbers: the same ones give the same bytes.
            variation: ranges of pose, light and camera.
            samples: rays along each side of a pixel.
            own: of one of twins: the random numbers of what they do not share, backdrop and noise. None: there is no twin.
        """
        head, subject = self.head, self.subject
        weights, curve = actions_over_time(
            expression,
            dynamics,
            frames,
            head.actions,
            np.array(subject.style),
            subject.habits[expression],
            rng,
            variation.strength,
            variation.rest * self.rest,
            variation.faint_smiles,
            variation.repertoire,
        )
        vertices = self._vertices(weights)
        camera = self._camera(rng, variation)
        path = _path(frames, rng, variation)
        light = _light(rng, variation)
        sensor = _Sensor.draw(size, rng, variation)
        if own is not None:
            sensor = replace(sensor, backdrop=_backdrop(size, own))
        light, setting = relight(light, rng, variation)
        sensor = sensor.under(setting.behind, setting.exposure, Device.draw(size, rng, variation))
        depths = skins.fold_depths(weights, head.actions)
        pictures, landmarks = [], []
        for k in range(frames):
            self.scene.move(vertices[k])
            rotation = _rotation(*path[k])
            drawn = self.scene.draw(camera, rotation, light, self._relief(depths[k]), size, samples)
            pictures.append(sensor.picture(drawn, own or rng))
            landmarks.append(project(camera, rotation, vertices[k][head.landmarks], size))
        truth = {
            "expression": expression,
            "dynamics": dynamics,
            "apex": int(curve.argmax()),
            "intensity": curve.round(4).tolist(),
            "action_units": action_units(weights, head.actions).round(4).tolist(),
            "landmarks": np.stack(landmarks).round(2).tolist(),
            "pose": np.degrees(path).round(2).tolist(),
            "light": {name: np.round(value, 4).tolist() for name, value in asdict(light).items()},
            "camera": {"distance": round(camera.distance, 3), **sensor.record()},
        }
        return Take(np.stack(pictures), truth)

    def _camera(self, rng: np.random.Generator, variation: Variation) -> Camera:
        """Return a camera that looks at the face's box, or a little beside it."""
        eye, mouth = eyes_and_mouth(self.shape.neutral[self.head.landmarks])
        centre, side = face_box(eye[0], eye[1], mouth)
        return Camera(
            centre + np.array([*rng.normal(0, variation.shift, 1), 0, *rng.normal(0, variation.shift, 1)]) * side,
            float(rng.uniform(*variation.distance)),
            float(side * variation.framing * np.exp(rng.normal(0, variation.zoom))),
        )

    def _relief(self, depth: Array) -> Array:
        """Return the skin's relief with the folds pressed in; `depth` is (folds, 2): right and left side."""
        maps = skins.fold_maps()
        half = skins.SIZE // 2
        folds = np.empty((skins.SIZE, skins.SIZE), np.float32)
        strength = 0.45 + 0.9 * self.subject.skin.age
        folds[:, :half] = np.tensordot(depth[:, 0], maps[:, :, :half], 1)
        folds[:, half:] = np.tensordot(depth[:, 1], maps[:, :, half:], 1)
        return self.skin.relief - strength * folds


@dataclass(frozen=True)
class _Sensor:
    """What a camera makes of the light: backdrop, exposure, white balance, gamma, blur (pixels), noise, compression."""

    backdrop: Array
    exposure: float
    balance: Array
    noise: float
    blur: float
    quality: int
    gamma: float
    device: Device | None = None

    @classmethod
    def draw(cls, size: int, rng: np.random.Generator, variation: Variation) -> "_Sensor":
        """Draw one; the order of what is drawn is part of the result."""
        backdrop = _backdrop(size, rng)
        exposure = rng.uniform(*variation.exposure)
        balance = np.exp(rng.normal(0, variation.white_balance, 3) * np.array([1, 0, 1]))
        noise, blur = rng.uniform(*variation.noise), rng.uniform(*variation.blur) * size / 112
        quality = int(rng.integers(*variation.compression))
        return cls(backdrop, exposure, balance, noise, blur, quality, rng.uniform(0.42, 0.55))

    def under(self, behind: float, exposure: float, device: Device | None) -> "_Sensor":
        """Return the sensor with factors on the backdrop and the exposure, and with a device's faults."""
        return replace(self, backdrop=self.backdrop * behind, exposure=self.exposure * exposure, device=device)

    def picture(self, drawn: Array, rng: np.random.Generator) -> Array:
        """Return the picture (size, size, 3) uint8 of what was drawn: linear RGB times cover, and cover."""
        linear = (drawn[..., :3] + self.backdrop * (1 - drawn[..., 3:])) * self.exposure * self.balance
        picture = np.clip(linear / (0.85 + 0.15 * linear), 0, 1) ** self.gamma
        if self.blur > 0.15:
            picture = cv2.GaussianBlur(picture, (0, 0), self.blur)
        if self.device is not None:
            picture = self.device.take(picture, rng)
        grain = self.noise * rng.standard_normal(picture.shape) * (0.6 + 0.8 * picture)
        taken = _compress(np.round(np.clip(picture + grain, 0, 1) * 255).astype(np.uint8), self.quality)
        if len(taken) == len(drawn):
            return taken
        return cv2.resize(taken, drawn.shape[1::-1], interpolation=cv2.INTER_CUBIC)

    def record(self) -> dict[str, Any]:
        device = {} if self.device is None else self.device.record()
        return {"quality": self.quality, "noise": round(self.noise, 4), "blur": round(self.blur, 3), **device}


def _path(frames: int, rng: np.random.Generator, variation: Variation) -> Array:
    """Return the head's yaw, pitch and roll in every frame, (frames, 3), radians."""
    angles = np.radians([variation.turned, 0, 0] + rng.normal(0, [variation.yaw, variation.pitch, variation.roll]))
    drift = np.radians(rng.normal(0, variation.motion, 3))
    time = np.linspace(-0.5, 0.5, frames) if frames > 1 else np.zeros(1)
    return angles + drift * np.sin(time * rng.uniform(1.5, 3.0))[:, None]


def _rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Return the matrix that turns camera axes into head axes."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    return turn @ nod @ tilt


def _unit(x: Array) -> Array:
    return x / np.linalg.norm(x)


def _light(rng: np.random.Generator, variation: Variation) -> Light:
    across, height = np.radians(rng.uniform(-variation.key_angle, variation.key_angle)), np.radians(rng.uniform(-8, 60))
    key = np.array([np.sin(across) * np.cos(height), -np.cos(across) * np.cos(height), np.sin(height)])
    warmth = rng.normal(0, 0.08)
    ambient = rng.uniform(*variation.ambient)
    sky = ambient * np.array([1 - 0.5 * warmth, 1.0, 1 + 0.8 * warmth]) * rng.uniform(0.9, 1.1, 3)
    ground = ambient * rng.uniform(0.35, 0.9) * rng.uniform(0.8, 1.1, 3)
    strength = rng.uniform(*variation.key_strength)
    return Light(
        key=_unit(key),
        key_colour=strength * np.array([1 + warmth, 1.0, 1 - warmth]),
        fill=_unit(np.array([-np.sign(across) * rng.uniform(0.3, 1), -1.0, rng.uniform(-0.3, 0.5)])),
        fill_colour=rng.uniform(0.03, 0.35) * rng.uniform(0.85, 1.15, 3),
        sky=sky,
        ground=ground,
        shadow=float(rng.uniform(*variation.shadow)),
    )


def _backdrop(size: int, rng: np.random.Generator) -> Array:
    """Return something out of focus to stand before: linear RGB, shape (size, size, 3)."""
    base = rng.uniform(0.02, 0.7) * rng.uniform(0.8, 1.1, 3)
    other = np.clip(base * np.exp(rng.normal(0, 0.45) + rng.normal(0, 0.12, 3)), 0, 1)
    kind = rng.integers(3)
    mix = np.linspace(0, 1, size, dtype=np.float32)
    plane: Array = np.repeat(mix[:, None], size, 1) if rng.random() < 0.5 else np.repeat(mix[None], size, 0)
    if kind == 1:
        plane = cv2.resize(rng.random((4, 4)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    if kind == 2:
        plane = np.zeros((size, size), np.float32)
        for _ in range(7):
            x, y = rng.integers(0, size, 2)
            w, h = rng.integers(size // 10, size // 2, 2)
            plane[y : y + h, x : x + w] = rng.random()
        plane = cv2.GaussianBlur(plane, (0, 0), size / 40)
    return base + (other - base) * plane[..., None]


def _compress(pixels: Array, quality: int) -> Array:
    coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1]


def _skin_image(colour: Array) -> Array:
    image = np.full((*colour.shape[:2], 4), 255, np.uint8)
    image[..., :3] = np.round(np.sqrt(np.clip(colour, 0, 1)) * 255)
    return image
