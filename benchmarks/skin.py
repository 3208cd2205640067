"""Whether weights are as good on dark skin as on light skin, for sets that do not say what their subjects' skin is.

usage: python benchmarks/skin.py WEIGHTS SET

WEIGHTS is what `tfen.load` takes, such as "packaged". The subjects are put in order of the individual typology angle of
their cheeks (arctan((L* - 50) / b*), degrees; large: light; Chardon, Cretois and Hourseau 1991), a median over their
sequences' first frames, and cut into quarters. Prints, for each quarter, its angles and, for each true expression, how many
sequences are right and the mean probability of happiness; each face is looked at six times, as `tfen analyze` does. Light
and camera change the angle, too: compare within a set that was recorded in one way.
"""

import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from tfen import load
from tfen.data.clips import FrameStore
from tfen.data.prepared import open_set
from tfen.data.sampling import middle_frames
from tfen.inference.engine import Engine
from tfen.video.photographs import read_image

CHEEKS = ((0.25, 0.36), (0.64, 0.75))
"""Columns, in sides of the crop; rows are 0.5 to 0.62."""


def typology_angle(image: np.ndarray) -> float:
    """Return the angle of the cheeks of an RGB crop (size, size, 3) uint8, degrees."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    side = len(lab)
    rows = slice(int(0.5 * side), int(0.62 * side))
    cheeks = [lab[rows, int(left * side) : int(right * side)].reshape(-1, 3) for left, right in CHEEKS]
    lightness, _, yellow = np.median(np.concatenate(cheeks), 0)
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def main() -> None:
    loaded, found = load(sys.argv[1]), open_set(Path(sys.argv[2]))
    store = FrameStore(found, loaded.settings.model.image_size, loaded.settings.data)
    engine, names = Engine(loaded, 6), loaded.expressions
    angles, said = defaultdict(list), defaultdict(list)
    for sequence in found.sequences:
        first = min((found.folder / "frames" / sequence.name).iterdir())
        angles[sequence.subject].append(typology_angle(read_image(first)))
        frames = store.frames(sequence, middle_frames(sequence.frames, engine.frames))
        said[sequence.subject].append((sequence.expression, engine.scores([engine.encode(list(frames))])[0]))
    darkest_first = sorted(angles, key=lambda subject: float(np.median(angles[subject])))
    for quarter in np.array_split(np.array(darkest_first), 4):
        low, high = (float(np.median(angles[subject])) for subject in (quarter[0], quarter[-1]))
        print(f"angle {low:.0f} to {high:.0f} degrees, {len(quarter)} subjects")
        for true in found.expressions:
            own = [likely for subject in quarter for shown, likely in said[subject] if shown == true]
            if own:
                right = sum(names[int(likely.argmax())] == true for likely in own)
                happy = np.mean([likely[names.index("happiness")] for likely in own])
                print(f"  {true:<10} {right:>4} of {len(own):<4} right, happiness {happy:.2f}")


if __name__ == "__main__":
    main()
