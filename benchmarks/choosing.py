"""The figures by which the packaged weights are chosen: synthetic people from whom they did not learn.

usage: python benchmarks/choosing.py [--everybody] [--shifted] SET WEIGHTS [WEIGHTS ...]

WEIGHTS is what `tfen.load` takes. Judged are the subjects that `tfen train SET` with the first weights' settings holds back;
of a joined set, those of each of its sets. With --everybody all subjects: for sets that took part in no training, such as
those of `tfen synth --variation shift-people`, `shift-camera` and `shift-posed`. With --shifted each joined set is judged with
the scores shifted, and the temperature taken, as the other sets together ask for (`tfen calibrate --biases`): what that
brings on people like none of those that it was fitted on. Faces are cut out around their known landmarks, and each
is looked at six times, as `tfen analyze` does. Prints, for each of the weights, the percentage that is right of the clips, of
their last frames (apexes) and of their first frames (calm) alone, as if they were photographs, and of their last frames after
the first ones (held), for each joined set; the mean of all these, by which to choose, and how far it is from that of the
first weights (95 % interval: people of each set drawn with replacement); and for the people of all sets together each
expression's percentage and the expected calibration error.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from tfen import load
from tfen.data.prepared import open_set
from tfen.evaluation.calibration import fit_biases, fit_temperature, reliability, shifted, warmed
from tfen.evaluation.judging import KINDS, LOOKS, judge, store_as_analyzed
from tfen.evaluation.metrics import Prediction, confusions, recalls
from tfen.evaluation.statistics import CONFIDENCE, RESAMPLES
from tfen.inference.engine import Engine
from tfen.progress import meter
from tfen.training.on_all import held_back

Said = dict[tuple[str, str], list[Prediction]]
"""What was said, for each joined set and each of KINDS."""


def judge_all(folder: Path, weights: list[str], everybody: bool, tempered: bool) -> dict[str, Said]:
    """Return what each of the weights says, with its temperature or without; all see the same frames, read once."""
    networks = {name: load(name) for name in weights}
    if not tempered:
        for own in networks.values():
            own.about = {**own.about, "temperature": None}
    engines = [Engine(loaded, LOOKS) for loaded in networks.values()]
    if len({(engine.expressions, engine.frames, engine.size) for engine in engines}) > 1:
        sys.exit("the weights differ in expressions, frames or size; compare those that are alike in them")
    settings, found = networks[weights[0]].settings, open_set(folder)
    chosen = found.sequences if everybody else found.of_subjects(held_back(found, settings))
    said: dict[str, Said] = {name: defaultdict(list) for name in weights}
    with meter("judged", len(chosen), "sequences") as progress:
        for sequence, each in zip(chosen, judge(engines, store_as_analyzed(found, settings), chosen), strict=True):
            for name, by_kind in zip(weights, each, strict=True):
                for kind, own in by_kind.items():
                    said[name][found.set_of(sequence.subject), kind].append(own)
            progress.advance()
    return said


def crossed(judged: Said, expressions: tuple[str, ...]) -> Said:
    """Return the same, shifted and tempered for each joined set as all other sets ask for."""
    out: Said = {}
    for part in dict.fromkeys(part for part, _ in judged):
        others = [own for (name, _), own in judged.items() if name != part]
        biases = fit_biases(others, expressions)
        moved = [one for own in others for one in shifted(own, biases, expressions)]
        temperature = fit_temperature(moved, expressions)
        for kind in KINDS:
            out[part, kind] = warmed(shifted(judged[part, kind], biases, expressions), temperature)
    return out


def people(judged: Said) -> dict[str, np.ndarray]:
    """Return, for each joined set, the percentage that is right of each of its people, the mean over KINDS."""
    right: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for (part, _), said in judged.items():
        for one in said:
            right[part][one.subject].append(one.predicted == one.true)  # as many of each kind
    return {part: np.array([100 * np.mean(own) for own in subjects.values()]) for part, subjects in right.items()}


def interval(first: Said, other: Said) -> tuple[float, float, float]:
    """Return by how much the mean of `other` is above that of `first`, and the ends of the 95 % interval."""
    before, rng = people(first), np.random.default_rng(0)
    apart = [own - before[part] for part, own in people(other).items()]
    drawn = np.mean([rng.choice(own, (RESAMPLES, len(own))).mean(1) for own in apart], 0)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(np.mean([own.mean() for own in apart])), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--everybody", action="store_true")
    parser.add_argument("--shifted", action="store_true")
    parser.add_argument("set", type=Path)
    parser.add_argument("weights", nargs="+")
    given = parser.parse_args()
    weights: list[str] = given.weights
    said = judge_all(given.set, weights, given.everybody, tempered=not given.shifted)
    if given.shifted:
        said = {name: crossed(judged, load(name).expressions) for name, judged in said.items()}
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
