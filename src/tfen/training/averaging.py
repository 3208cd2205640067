"""One network of several: the mean of their weights (a uniform model soup, Wortsman et al. 2022)."""

import copy
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from tfen.data.clips import FrameStore
from tfen.data.prepared import PreparedSet
from tfen.data.protocols import SELECTIONS
from tfen.errors import InputError
from tfen.evaluation.calibration import fit_temperature
from tfen.evaluation.metrics import Prediction, summary
from tfen.files import must_be_new, whole_folder
from tfen.inference.prediction import predict_sequences
from tfen.models.weights import Loaded, load_torch, save_network
from tfen.progress import meter
from tfen.training.network import together
from tfen.training.on_all import held_back


def average(sources: Sequence[str], out: Path, sets: Sequence[PreparedSet] = ()) -> list[str]:
    """Write the mean of several networks' weights, running statistics of batch normalisation included.

    The mean of networks that were trained from one another, or from a common start, lies where their losses are low;
    that of others does not.

    Args:
        sources: what `tfen.load` takes; two at least.
        out: folder to write.
        sets: the people of these whom a training holds back calibrate the mean; without any its probabilities stay as
            they are.

    Returns:
        lines to show: for each set how many of those people's sequences each network and the mean tell rightly; what was
        written.

    Raises:
        InputError: fewer than two networks, networks of different shapes, or a set with other expressions.
    """
    if len(sources) < 2:
        raise InputError("an average needs two weights at least; give more of them")
    must_be_new(out)
    known = {source: load_torch(source, "average") for source in dict.fromkeys(sources)}
    networks = [known[source] for source in sources]
    first = networks[0]
    for source, one in known.items():
        _check_alike(sources[0], first, source, one)
    for dataset in sets:
        if dataset.expressions != first.expressions:
            raise InputError(
                f"{dataset.folder} has {', '.join(dataset.expressions)} and the networks tell "
                f"{', '.join(first.expressions)}; check them on a set with the same expressions"
            )
    mean = _mean(networks)
    lines, by_set = _checked({**known, "their average": mean}, sets)
    predictions = [one for own in by_set for one in own]
    about = {
        "set": ", ".join(dict.fromkeys(str(one.about.get("set")) for one in networks)),
        "trained_on": together([one.about.get("trained_on") for one in networks]),
        "chosen_by": together([one.about.get("chosen_by") for one in networks]),
        "averaged": [
            {name: value for name, value in one.about.items() if name not in ("trained_on", "chosen_by")}
            for one in networks
        ],
        "validation_accuracy": summary(predictions, first.expressions)["accuracy"] if predictions else None,
        "validation_subjects": sum(len({answer.subject for answer in own}) for own in by_set),
        "temperature": fit_temperature(predictions, first.expressions) if predictions else None,
    }
    with whole_folder(out) as part:
        save_network(part, mean.network, first.settings, first.expressions, about)
    return [
        *lines,
        f"{out}: the average of {len(sources)} networks" + ("" if predictions else ", not calibrated (see --check)"),
    ]


def _unseen(networks: list[Loaded], dataset: PreparedSet) -> frozenset[str]:
    """Return the subjects of a set from whom none of the networks learned.

    Networks say from whom they learned; those of earlier versions do not, and held back whom their settings say.

    Raises:
        InputError: nobody is left.
    """
    subjects = frozenset(dataset.subjects)
    for one in networks:
        trained_on = one.about.get("trained_on")
        if trained_on is not None:
            known = set(trained_on)
            subjects = frozenset(name for name in subjects if dataset.person(name) not in known)
        elif SELECTIONS[one.settings.folds.select].measured_on == "validation":
            subjects &= held_back(dataset, one.settings)
        else:
            subjects = frozenset()
    if not subjects:
        raise InputError(
            f"the networks learned from everybody in {dataset.folder}: nobody is left to check them on; give --check "
            "another set, or train with --folds.select validation, which holds people back"
        )
    return subjects


def _mean(networks: Sequence[Loaded]) -> Loaded:
    """Return the network whose weights are the means of the networks'."""
    first = networks[0]
    mean = Loaded(copy.deepcopy(first.network), first.settings, first.expressions, {})
    states = [one.network.state_dict() for one in networks]
    mean.network.load_state_dict(
        {
            name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
            for name, value in states[0].items()
        }
    )
    return mean


def _checked(asked: dict[str, Loaded], sets: Sequence[PreparedSet]) -> tuple[list[str], list[list[Prediction]]]:
    """Ask networks, their average last, about the people of each set from whom none of them learned.

    Returns:
        a line for each set that says how often each network was right, and what the last network said of each set.
    """
    lines, last = [], []
    with meter("checking", len(sets) * len(asked), "networks") as progress:
        for dataset in sets:
            unseen = _unseen(list(asked.values())[:-1], dataset)
            rates, own = [], list[Prediction]()
            for name, one in asked.items():
                own = _ask(one, dataset, unseen)
                rates.append(f"{name} {summary(own, dataset.expressions)['accuracy']:.4f}")
                progress.advance(1)
            last.append(own)
            people = len({answer.subject for answer in own})
            lines.append(f"right on the {people} people of {dataset.folder} whom no training saw: {', '.join(rates)}")
    return lines, last


def _ask(loaded: Loaded, dataset: PreparedSet, subjects: frozenset[str]) -> list[Prediction]:
    """Return what a network says about some subjects of a set."""
    settings = loaded.settings
    store = FrameStore(dataset, settings.model.image_size, settings.data)
    return predict_sequences(loaded.network, store, dataset.of_subjects(subjects), settings)


def _check_alike(source: str, first: Loaded, other: str, one: Loaded) -> None:
    if one.expressions != first.expressions:
        raise InputError(
            f"{other} tells {', '.join(one.expressions)} and {source} {', '.join(first.expressions)}; "
            "only weights with the same expressions have an average"
        )
    ours, theirs = ({**asdict(each.settings.model), **asdict(each.settings.data)} for each in (first, one))
    for key in ("variant", "width", "image_size", "frames", "shortcut", "grey", "normalise"):
        if ours[key] != theirs[key]:
            raise InputError(
                f"{other} has {key} {theirs[key]} and {source} {ours[key]}; only weights of the same shape have an average"
            )
    shapes = [{key: value.shape for key, value in each.network.state_dict().items()} for each in (first, one)]
    if shapes[0] != shapes[1]:
        raise InputError(f"{other} and {source} know different numbers of faces; only the same ones have an average")
