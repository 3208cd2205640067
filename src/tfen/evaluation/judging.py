"""What weights say about people whom no training saw, as `tfen analyze` looks at them; and how sure they may be of it."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tfen.config import Settings, TestTimeAugmentation
from tfen.data.clips import FrameStore
from tfen.data.prepared import PreparedSet, SequenceRecord
from tfen.data.sampling import middle_frames
from tfen.errors import InputError
from tfen.evaluation.calibration import fit_biases, fit_temperature, least_confidence, reliability, shifted, warmed
from tfen.evaluation.metrics import Prediction
from tfen.files import must_be_new, whole_folder
from tfen.inference.engine import Engine
from tfen.inference.prediction import prediction
from tfen.models.weights import Loaded, load_torch, save_network
from tfen.progress import meter

KINDS = ("clips", "apexes", "calm", "held")
"""A clip; its last frame alone, as a photograph; its first frame alone, which is calm; the last frame after the first one, as
in a film where an expression stays and a calm face was seen before."""
LOOKS: TestTimeAugmentation = 6
Judged = dict[str, list[Prediction]]
"""What was said, for each of KINDS."""


def judge(
    engines: Sequence[Engine], store: FrameStore, sequences: Iterable[SequenceRecord]
) -> Iterator[list[dict[str, Prediction]]]:
    """Yield, for each sequence, what each engine says of each of KINDS; sequences go from calm to the apex.

    Args:
        engines: alike in expressions, frames and size.
        store: where the frames come from.
    """
    count = engines[0].frames
    for sequence in sequences:
        wanted = np.r_[middle_frames(sequence.frames, count), sequence.frames - 1, 0]
        numbers, places = np.unique(wanted, return_inverse=True)
        frames = list(store.frames(sequence, numbers))
        said = []
        for engine in engines:
            codes = engine.encode(frames)
            *clip, last, first = (codes[place] for place in places)
            scores = engine.scores([clip, [last] * count, [first] * count, [first] + [last] * (count - 1)])
            shown = (sequence.expression, sequence.expression, "neutral", sequence.expression)
            said.append(
                {
                    kind: prediction(replace(sequence, expression=true), likely, engine.expressions)
                    for kind, true, likely in zip(KINDS, shown, scores, strict=True)
                }
            )
        yield said


def store_as_analyzed(dataset: PreparedSet, settings: Settings) -> FrameStore:
    """Return where a set's frames come from, each cut out around its known landmarks as `tfen analyze` does."""
    return FrameStore(dataset, settings.model.image_size, replace(settings.data, align="eyes", cache_gb=0.0))


def calibrate(source: str | Path, out: Path, sets: Sequence[PreparedSet], biases: bool = False) -> list[str]:
    """Write weights whose confidence holds on people whom no training saw, and return lines that say how far it does.

    The temperature is that of the set which asks for most doubt: strangers' faces lie farther away than any of the sets. The
    least confidence, below which `tfen analyze` gives no label, is the highest below which less than a third of the answers
    on all sets are right (`least_confidence`).

    Args:
        source: what `tfen.load` takes.
        out: folder to write.
        sets: of people whom the weights have not seen; with sequences from calm to the apex, neutral ones among them.
        biases: also shift each expression's score (`fit_biases`), which changes answers.

    Raises:
        InputError: a set has people from whom the weights learned, or expressions that they do not know; `out` exists.
    """
    must_be_new(out)
    loaded = load_torch(source, "calibrate")
    if loaded.settings.model.frames < 2 or "neutral" not in loaded.expressions:
        raise InputError(f"{source} cannot be calibrated: expected weights for clips that know neutral")
    for dataset in sets:
        _check(source, loaded, dataset)
    names, without = loaded.expressions, {**loaded.about, "temperature": None}
    before = float(loaded.about.get("temperature") or 1.0)
    plain = Loaded(loaded.network, loaded.settings, names, without)
    by_set = first = {str(dataset.folder): _asked(plain, dataset) for dataset in sets}
    shifts, network = None, loaded.network
    if biases:
        shifts = fit_biases([own for said in first.values() for own in said.values()], names)
        by_set = {
            name: {kind: shifted(own, shifts, names) for kind, own in said.items()} for name, said in first.items()
        }
        network = copy.deepcopy(network)
        with torch.no_grad():
            network.temporal.classifier.bias += torch.from_numpy(shifts)
    fitted = {
        name: fit_temperature([one for own in said.values() for one in own], names) for name, said in by_set.items()
    }
    temperature = max(fitted.values())
    warm = {name: {kind: warmed(own, temperature) for kind, own in said.items()} for name, said in by_set.items()}
    least = least_confidence([one for said in warm.values() for own in said.values() for one in own])
    about = {
        **loaded.about,
        "temperature": temperature,
        "least_confidence": least,
        "biases": None if shifts is None else [round(float(x), 4) for x in shifts],
        "calibrated_on": [{"set": Path(name).name, "temperature": round(value, 4)} for name, value in fitted.items()],
    }
    with whole_folder(out) as part:
        save_network(part, network, loaded.settings, names, about)
    lines = [f"{'':<40}{'right':>8}{'before':>8}{'error':>8}{'before':>8}"]
    for name, said in by_set.items():
        for kind, own in said.items():
            rights = [np.mean([one.predicted == one.true for one in each]) for each in (own, first[name][kind])]
            errors = reliability(own, names, temperature).ece, reliability(first[name][kind], names, before).ece
            lines.append(
                f"{f'{name}, {kind}':<40}"
                + "".join(f"{100 * right:>6.1f} %" for right in rights)
                + "".join(f"{error:>8.3f}" for error in errors)
            )
    if shifts is not None:
        lines.append(
            "added to the scores: " + ", ".join(f"{name} {x:+.2f}" for name, x in zip(names, shifts, strict=True))
        )
    asked = ", ".join(f"{name} {value:.3f}" for name, value in fitted.items())
    lines.append(f"temperatures that the sets ask for: {asked}; taken {temperature:.3f} instead of {before:.3f}")
    lines.append(f"{out}: no label below a confidence of {least:.2f}")
    return lines


def _asked(loaded: Loaded, dataset: PreparedSet) -> Judged:
    store, engine = store_as_analyzed(dataset, loaded.settings), Engine(loaded, LOOKS)
    out: Judged = {kind: [] for kind in KINDS}
    with meter(f"judging {dataset.folder.name}", len(dataset.sequences), "sequences") as progress:
        for (said,) in judge([engine], store, dataset.sequences):
            for kind, own in said.items():
                out[kind].append(own)
            progress.advance()
    return out


def _check(source: str | Path, loaded: Loaded, dataset: PreparedSet) -> None:
    unknown = [name for name in dataset.expressions if name not in loaded.expressions]
    if unknown:
        raise InputError(f"{dataset.folder} shows {unknown[0]}, which {source} does not know; give sets without it")
    seen = {dataset.person(name) for name in dataset.subjects} & {
        *(loaded.about.get("trained_on") or []),
        *(loaded.about.get("chosen_by") or []),
    }
    if seen:
        raise InputError(
            f"{source} has seen {len(seen)} of the people in {dataset.folder}; give sets of people whom no training saw"
        )
