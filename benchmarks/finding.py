"""Which faces are found, and which of what is found are faces: on scenes whose faces are known.

usage: python benchmarks/finding.py HEADS [--assets ASSETS] [--landmarks FILE] [--scenes N]

HEADS is a folder of synthetic heads, which are made if they are not there: of five groups of people, turned by about 0, 15,
30, 45 and 60 degrees. Each scene is 640x360 with clutter and three heads, of several sizes, turns and lights; two of five
have something before the face. Printed are, for each detector, how many faces it finds, how many are left after the landmarks
were checked, how many of those have right landmarks (mean distance below a tenth of the distance of the outer eye corners),
and false alarms before and after the check; by size and light for faces that are turned by less than 30 degrees and have
nothing before them, by what is before them for those that are turned so, and by turn for all with nothing before them. Then
the check itself: of the landmarks in boxes that hold a face, how many are right, how many of these it keeps (recall), and
how many of what it keeps are right (precision); and the same of those alone of which the network is not sure.
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from tfen.data.prepared import open_set
from tfen.faces.detection import FaceDetector
from tfen.faces.detectors import make_detector
from tfen.faces.landmarks import PACKAGED, Landmarker, confirmed
from tfen.synth.generate import SynthSettings, make_set
from tfen.synth.settings import VARIATIONS, WILD
from tfen.training.landmarks import RIGHT
from tfen.training.occluders import OCCLUDERS
from tfen.video.photographs import read_image

Array = np.ndarray
SIZE = (640, 360)
SIDES = (24, 32, 48, 80, 120)
"""Distance from the brows to the chin, roughly: sides of the landmarks' square, pixels."""
LIGHTS = {"full": (1.0, 1.0), "a quarter": (0.25, 0.25), "a tenth": (0.1, 0.1), "backlit": (0.25, 1.0)}
"""Light on the faces and on what is around them."""
TURNS = (0, 15, 30, 45)
"""Degrees; each stands for those up to 15 more."""
THINGS = {one.__name__: one for one in OCCLUDERS if one.__name__ != "edge"}
COVERED = 0.4
"""Share of the heads that have something before the face."""
Head = tuple[Array, Array, float]


def heads_of(folder: Path, assets: Path | None) -> dict[int, list[Head]]:
    """Return heads (picture, landmarks, degrees) by their turn."""
    heads: dict[int, list[Head]] = defaultdict(list)
    for number, degrees in enumerate((*TURNS, 60)):
        VARIATIONS.add(f"turned-{degrees}", replace(WILD, turned=float(degrees)))
        plan = SynthSettings(
            subjects=10, frames=2, size=160, seed=77, first_subject=10 * number, variation=f"turned-{degrees}", framing=1.6,
            dynamics=("held",), expressions=("neutral", "happiness", "surprise", "sadness"), assets=assets,
        )  # fmt: skip
        make_set(folder / f"turned-{degrees}", plan, 1)  # other processes would not know the variation
        dataset = open_set(folder / f"turned-{degrees}")
        for sequence in dataset.sequences:
            points, poses = dataset.truth(sequence, "landmarks", (68, 2)), dataset.truth(sequence, "pose", (3,))
            assert points is not None and poses is not None
            for path, own, pose in zip(dataset.frame_files(sequence), points, poses):
                turn = abs(float(pose[0]))
                if turn < TURNS[-1] + 15:
                    heads[15 * int(turn // 15)].append((np.ascontiguousarray(read_image(path)), own, turn))
    return heads


def clutter(rng: np.random.Generator) -> Array:
    """Return a background with edges, spots and stripes."""
    image = cv2.resize(rng.integers(20, 230, (9, 16, 3), np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)
    for _ in range(60):
        at, reach = tuple(rng.integers(0, 640, 2).tolist()), int(rng.integers(3, 60))
        colour = rng.integers(0, 255, 3).tolist()
        if rng.random() < 0.5:
            cv2.circle(image, at, reach, colour, int(rng.choice([-1, 1, 3])), cv2.LINE_AA)
        else:
            cv2.rectangle(image, at, (at[0] + reach, at[1] + reach), colour, int(rng.choice([-1, 1, 3])))
    return image


def scene(heads: dict[int, list[Head]], rng: np.random.Generator) -> tuple[Array, list[dict[str, object]]]:
    """Return a scene, and of each face its landmarks, side, turn and light."""
    light = str(rng.choice(list(LIGHTS)))
    on_faces, around = LIGHTS[light]
    image, faces = clutter(rng) * around, []
    for column in range(3):
        group = heads[int(rng.choice(TURNS))]
        head, points, turn = group[int(rng.integers(len(group)))]
        before = "nothing"
        if rng.random() < COVERED:
            before = str(rng.choice(list(THINGS)))
            head = covered(head, points, before, rng)
        side = int(rng.choice(SIDES))
        scale = side / float((points.max(0) - points.min(0)).max())
        small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        high, wide = small.shape[:2]
        x, y = 213 * column + int(rng.integers(0, max(1, 213 - wide))), int(rng.integers(0, max(1, 360 - high)))
        part = image[y : y + high, x : x + wide]
        part[:] = small[: part.shape[0], : part.shape[1]] * on_faces
        faces.append({"points": points * scale + [x, y], "side": side, "turn": turn, "light": light, "before": before})
    return np.round(image).astype(np.uint8), faces


def covered(head: Array, points: Array, thing: str, rng: np.random.Generator) -> Array:
    """Return a head with something grey before the face."""
    grey = cv2.cvtColor(head, cv2.COLOR_RGB2GRAY)
    change = THINGS[thing](grey, (points + 0.5) / len(head), rng).astype(int) - grey
    return np.clip(head + change[..., None], 0, 255).astype(np.uint8)


def hit(box: tuple[float, ...], points: Array) -> bool:
    middle, (left, top, wide, high) = points.mean(0), box
    inside = left < middle[0] < left + wide and top < middle[1] < top + high
    return inside and 0.4 < max(wide, high) / float((points.max(0) - points.min(0)).max()) < 2.5


def near(points: Array, own: Array) -> bool:
    eyes = float(np.linalg.norm(own[36] - own[45]))
    return float(np.linalg.norm(points - own, axis=1).mean()) < RIGHT * eyes


def count(detector: FaceDetector, landmarker: Landmarker, scenes: list[tuple[Array, list[dict[str, object]]]]) -> None:
    rows: dict[tuple[str, object], np.ndarray] = defaultdict(lambda: np.zeros(4, int))
    alarms, checked, doubtful = np.zeros(2, int), np.zeros(3, int), np.zeros((2, 2), int)
    for image, faces in scenes:
        found = detector.detect(image)
        kept = list(confirmed(image, found, landmarker))
        alarms += [
            sum(not any(hit(one.box, face["points"]) for face in faces) for one in some)
            for some in (found, [one for one, _ in kept])
        ]
        kept_boxes = {one.box for one, _ in kept}
        judged = zip(found, landmarker.judge_all(image, [one.box for one in found]))
        for one, (points, doubt) in judged:
            there = [face["points"] for face in faces if hit(one.box, face["points"])]
            is_right = any(near(points, own) for own in there)
            is_kept = one.box in kept_boxes
            checked += [is_right, is_right and is_kept, is_kept]
            if landmarker.sure < doubt <= landmarker.possible:
                doubtful[int(is_right)] += [1, is_kept]
        for face in faces:
            own = [points for one, points in kept if hit(one.box, face["points"])]
            right = any(near(points, face["points"]) for points in own)
            result = [1, any(hit(one.box, face["points"]) for one in found), bool(own), right]
            low = next(low for low in TURNS if face["turn"] < low + 15)
            keys: list[tuple[str, object]] = []
            if face["before"] == "nothing":
                keys.append(("turn", f"{low} to {low + 15}"))
            if face["turn"] < 30:
                keys.append(("before", face["before"]))
                if face["before"] == "nothing":
                    keys += [("side", face["side"]), ("light", face["light"])]
            for key in keys:
                rows[key] += result
    right, right_kept, kept_all = checked
    print(
        f"{detector.name}: false alarms {alarms[0]}, after the check {alarms[1]}; the check: recall {right_kept / right:.3f}, "
        f"precision {right_kept / kept_all:.3f}; doubtful landmarks: {doubtful[1, 0]} right, {doubtful[1, 1]} of them kept, "
        f"{doubtful[0, 0]} wrong, {doubtful[0, 1]} of them kept"
    )
    for key in sorted(rows, key=lambda key: (key[0], str(key[1]).zfill(8))):
        faces, found, kept, right = rows[key]
        print(
            f"  {key[0]:<9}{key[1]!s:<10}{faces:>5} faces: found {found / faces:.0%}, kept {kept / faces:.0%}, right {right / faces:.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("heads", type=Path)
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--landmarks", type=Path, default=PACKAGED)
    parser.add_argument("--scenes", type=int, default=200)
    asked = parser.parse_args()
    heads = heads_of(asked.heads, asked.assets)
    rng = np.random.default_rng(0)
    scenes = [scene(heads, rng) for _ in range(asked.scenes)]
    landmarker = Landmarker(asked.landmarks)
    for name in ("haar", "yunet"):
        count(make_detector(name), landmarker, scenes)


if __name__ == "__main__":
    main()
