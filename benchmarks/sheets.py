"""Pictures of everything that `tfen synth --variation strangers` can show: forms of expressions, and faces at rest.

usage: python benchmarks/sheets.py OUT [--assets ASSETS] [--seed N] [--size PIXELS] [--only forms|calm]

OUT/forms-<expression>.png has a row for each form of the expression and a column for each of some people, all in even
light; OUT/calm.png is a grid of calm strangers in every kind of light and camera. Look whether each face looks like its
name, and whether anything is broken.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from tfen.synth.expressions import REPERTOIRES
from tfen.synth.film import Performer
from tfen.synth.generate import performer_of
from tfen.synth.repertoire import FORMS, Form, shown_by
from tfen.synth.settings import VARIATIONS, SynthSettings, Variation

CLEAR = replace(
    VARIATIONS["lab"], repertoire="published", looks=1.0, lips=1.0, shine=1.0, yaw=6.0, strength=(0.9, 1.0), framing=1.2
)
"""Strangers in even light, seen well."""


def shows(form: Form, expression: str, habit: float, first: int) -> int:
    """Return a seed, from `first` on, with which somebody of this habit shows the form."""
    seed = first
    while shown_by(expression, habit, np.random.default_rng(seed)).form is not form:
        seed += 1
    return seed


def still(performer: Performer, expression: str, seed: int, variation: Variation, size: int) -> np.ndarray:
    """Return one frame, held at the apex."""
    return performer.perform(expression, "held", 1, size, np.random.default_rng(seed), variation).frames[0]


def titled(picture: np.ndarray, text: str) -> np.ndarray:
    """Return a picture with a line of text above it."""
    bar = np.full((18, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, text, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
    return np.concatenate([bar, picture])


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1])
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--calm", type=int, default=60)
    parser.add_argument("--only", choices=("forms", "calm"))
    given = parser.parse_args()
    assert "published" in REPERTOIRES
    settings = SynthSettings(seed=given.seed, variation="strangers", assets=given.assets)
    if given.only != "calm":
        people = [performer_of(number, settings) for number in range(given.people)]
        for expression, forms in FORMS.items():
            rows = []
            for form in forms:
                cells = []
                for number, performer in enumerate(people):
                    seed = shows(form, expression, performer.subject.habits[expression], 1000 * number)
                    cells.append(still(performer, expression, seed, CLEAR, given.size))
                rows.append(
                    titled(np.concatenate(cells, 1), f"{expression}: {form.name} {form.units} {form.share:.2f}")
                )
            write(given.out / f"forms-{expression}.png", np.concatenate(rows))
    if given.only != "forms":
        cells = []
        for number in range(100, 100 + given.calm):
            cells.append(still(performer_of(number, settings), "neutral", number, settings.ranges(), given.size))
        rows = [np.concatenate(cells[k : k + 10], 1) for k in range(0, given.calm - 9, 10)]
        write(given.out / "calm.png", np.concatenate(rows))


if __name__ == "__main__":
    main()
