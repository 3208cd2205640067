"""The figures by which the packaged weights are chosen: people of a synthetic set whom `tfen train` held back.

usage: python benchmarks/choosing.py SET WEIGHTS [WEIGHTS ...]

WEIGHTS is what `tfen.load` takes. Held back are the subjects that `tfen train SET` with the first weights' settings leaves
out of its training; of a joined set, those of each of its sets. Faces are cut out around their known landmarks, and each is
looked at six times, as `tfen analyze` does. Prints, for each of the weights, the percentage that is right of the clips, of
their last frames (apexes) and of their first frames (calm) alone, as if they were photographs, for each joined set; the mean
of all these, by which to choose, and how far it is from that of the first weights (95 % interval: people of each set drawn
with replacement); and for the people of all sets together each expression's percentage and the expected calibration error.
"""

import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfen import load
from tfen.data.clips import FrameStore
from tfen.data.prepared import open_set
from tfen.data.sampling import middle_frames
from tfen.evaluation.calibration import reliability
from tfen.evaluation.metrics import Prediction, confusions, recalls
from tfen.evaluation.statistics import CONFIDENCE, RESAMPLES
from tfen.inference.engine import Engine
from tfen.inference.prediction import prediction
from tfen.progress import meter
from tfen.training.on_all import held_back

KINDS = ("clips", "apexes", "calm")
Judged = dict[tuple[str, str], list[Prediction]]
"""What was said, for each joined set and each of KINDS."""


def judge(folder: Path, weights: list[str]) -> dict[str, Judged]:
    """Return what each of the weights says; all see the same frames, read once."""
    networks = {name: load(name) for name in weights}
    engines = {name: Engine(loaded, 6) for name, loaded in networks.items()}
    if len({(engine.expressions, engine.frames, engine.size) for engine in engines.values()}) > 1:
        sys.exit("the weights differ in expressions, frames or size; compare those that are alike in them")
    settings, found = networks[weights[0]].settings, open_set(folder)
    store = FrameStore(found, settings.model.image_size, replace(settings.data, align="eyes", cache_gb=0.0))
    said: dict[str, Judged] = {name: defaultdict(list) for name in weights}
    chosen = found.of_subjects(held_back(found, settings))
    with meter("judged", len(chosen), "sequences") as progress:
        for sequence in chosen:
            part = found.set_of(sequence.subject)
            wanted = np.r_[middle_frames(sequence.frames, settings.model.frames), sequence.frames - 1, 0]
            numbers, places = np.unique(wanted, return_inverse=True)
            frames = list(store.frames(sequence, numbers))
            for name, engine in engines.items():
                codes = engine.encode(frames)
                *clip, last, first = (codes[place] for place in places)
                scores = engine.scores([clip, [last] * engine.frames, [first] * engine.frames])
                shown = (sequence.expression, sequence.expression, "neutral")
                for kind, true, likely in zip(KINDS, shown, scores, strict=True):
                    judged = prediction(replace(sequence, expression=true), likely, engine.expressions)
                    said[name][part, kind].append(judged)
            progress.advance()
    return said


def people(judged: Judged) -> dict[str, np.ndarray]:
    """Return, for each joined set, the percentage that is right of each of its people, the mean over KINDS."""
    right: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for (part, _), said in judged.items():
        for one in said:
            right[part][one.subject].append(one.predicted == one.true)  # as many of each kind
    return {part: np.array([100 * np.mean(own) for own in subjects.values()]) for part, subjects in right.items()}


def interval(first: Judged, other: Judged) -> tuple[float, float, float]:
    """Return by how much the mean of `other` is above that of `first`, and the ends of the 95 % interval."""
    before, rng = people(first), np.random.default_rng(0)
    apart = [own - before[part] for part, own in people(other).items()]
    drawn = np.mean([rng.choice(own, (RESAMPLES, len(own))).mean(1) for own in apart], 0)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(np.mean([own.mean() for own in apart])), float(low), float(high)


def main() -> None:
    folder, *weights = sys.argv[1:]
    said = judge(Path(folder), weights)
    for name, judged in said.items():
        expressions = load(name).expressions
        right = {cell: 100 * np.mean([one.predicted == one.true for one in own]) for cell, own in judged.items()}
        print(f"\n{name}\n{'':<12}" + "".join(f"{kind:>9}" for kind in KINDS))
        for part in dict.fromkeys(part for part, _ in judged):
            print(f"{part:<12}" + "".join(f"{right[part, kind]:>9.1f}" for kind in KINDS))
        print(f"mean of all {np.mean(list(right.values())):.2f}", end="")
        print("; from the first {:+.2f} ({:+.2f} to {:+.2f})".format(*interval(said[weights[0]], judged)))
        print(f"{'':<12}" + "".join(f"{expression[:9]:>10}" for expression in expressions) + f"{'error':>8}")
        for kind in KINDS:
            own = [one for (_, what), ones in judged.items() if what == kind for one in ones]
            shares = recalls(confusions(own, expressions))
            row = "".join(f"{'' if np.isnan(share) else f'{100 * share:.1f}':>10}" for share in shares)
            print(f"{kind:<12}{row}{reliability(own, expressions).ece:>8.3f}")


if __name__ == "__main__":
    main()
