"""One training from beginning to end: face pretraining, then Algorithm 1; the chosen epoch's weights."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tfen import processes
from tfen.config import Settings
from tfen.data.clips import Clips, FrameStore, face_labels
from tfen.data.prepared import PreparedSet, SequenceRecord
from tfen.inference.prediction import accuracy
from tfen.models.seresnet import LowerHalf
from tfen.models.tfen import TFEN, FramewiseScores
from tfen.models.weights import Loaded, build, load_fitting, load_imagenet, load_kinetics
from tfen.progress import say
from tfen.training.adversarial import train
from tfen.training.checkpoints import Checkpointer
from tfen.training.devices import make_accelerator
from tfen.training.faces import FacePretraining, pretrain_faces
from tfen.training.loop import Figures, History


@dataclass(frozen=True)
class Trained:
    """A trained network (the selected epoch's weights), how it came about, and which epoch was taken."""

    network: TFEN
    faces: FacePretraining | None
    history: History
    epoch: int


def train_network(
    store: FrameStore,
    training: list[SequenceRecord],
    choosing: list[SequenceRecord],
    settings: Settings,
    seed: int,
    start: Loaded | None = None,
    watch: Callable[[Figures], None] = lambda figures: None,
    face_sequences: list[SequenceRecord] | None = None,
    checkpointer: Checkpointer | None = None,
) -> Trained:
    """Train a network on `training`; `choosing` (may be empty) picks the epoch and nothing else.

    Args:
        start: a trained network to start from; what does not fit starts afresh and is named.
        watch: called with every epoch's figures.
        face_sequences: sequences for the face pretraining if they are not those of `training`.
        checkpointer: keeps checkpoints, and knows where to go on.
    """
    accelerator = make_accelerator(settings)
    model = settings.model
    for_faces = face_sequences or training
    labels = face_labels(for_faces, settings.data)
    torch.manual_seed(seed)
    network = build(settings, len(store.dataset.expressions), len(labels))
    load_start(network, store.dataset.expressions, settings, start)
    faces = None
    if network.face_extractor is not None and settings.face.epochs > 0:
        first = start.network.face_extractor if start is not None else None
        faces = pretrain_faces(store, for_faces, labels, settings, accelerator, seed, first, checkpointer)
        network.face_extractor.load_state_dict(faces.network.lower.state_dict())
        if network.adversary is not None:
            network.adversary.load_state_dict(faces.network.upper.state_dict())
    part, device = processes.part(), accelerator.device
    clips = Clips(store, training, model.frames, model.image_size, labels, part, device)
    measured = Clips(store, choosing, model.frames, model.image_size, part=part, device=device)
    stop = None if checkpointer is None else checkpointer.stop

    def measure(current: TFEN) -> float:
        return accuracy(current, measured, settings, stop)

    settings = _with_rate_of_start(settings, network, start)
    history = train(network, clips, settings, accelerator, seed, measure if choosing else None, watch, checkpointer)
    epoch = settings.train.epochs
    if history.best_epoch is not None:
        network.load_state_dict(history.best_weights)
        epoch = history.best_epoch
    return Trained(network.eval(), faces, history, epoch)


def _with_rate_of_start(settings: Settings, network: TFEN, start: Loaded | None) -> Settings:
    """Return the settings with the learning rate that the network's start bears; see `TrainSettings.lr_at_random`."""
    plan, model = settings.train, settings.model
    given = start is None and model.expression_weights is not None and model.temporal_weights is not None
    weighted = plan.alpha > 1 and (network.adversary is not None or plan.matched)
    if plan.lr_at_random == "same" or given or not weighted:
        return settings
    lr = plan.lr / plan.alpha
    parts = [
        name for name, own in (("E", model.expression_weights), ("T", model.temporal_weights)) if start or own is None
    ]
    say(
        f"{' and '.join(parts)} start{'s' if len(parts) == 1 else ''} from "
        f"{'weights of this program' if start else 'random weights'}: the learning rate of E, D and T is "
        f"{lr:g}, that is {plan.lr:g} over alpha; --train.lr-at-random same takes {plan.lr:g}"
    )
    return replace(settings, train=replace(plan, lr=lr, adversary_lr=plan.adversary_lr or plan.lr))


def load_start(network: TFEN, expressions: tuple[str, ...], settings: Settings, start: Loaded | None) -> None:
    """Give E and T the weights that the settings name, then all parts those of a trained network."""
    model = settings.model
    if model.expression_weights and isinstance(network.expression_extractor, LowerHalf):
        path = None if model.expression_weights == "imagenet" else model.expression_weights
        upper = network.temporal.frame if isinstance(network.temporal, FramewiseScores) else None
        load_imagenet(network.expression_extractor, upper, path)
    if model.temporal_weights:
        load_kinetics(network.temporal, Path(model.temporal_weights))
    if start is not None:
        start_from(network, expressions, start)


def start_from(network: TFEN, expressions: tuple[str, ...], start: Loaded) -> None:
    """Copy what fits from a trained network; classifier rows of expressions that both know are kept by name."""
    weights = {name: value for name, value in start.network.state_dict().items() if not name.startswith("adversary.")}
    own = network.state_dict()
    for name in [name for name in weights if name.endswith(("temporal.fc.weight", "temporal.fc.bias"))]:
        rows = own[name].clone()
        for k, expression in enumerate(expressions):
            if expression in start.expressions and rows.shape[1:] == weights[name].shape[1:]:
                rows[k] = weights[name][start.expressions.index(expression)]
        weights[name] = rows
    load_fitting(network, weights, "the weights to start from", silent="adversary.")
    fresh = [name for name in expressions if name not in start.expressions]
    if fresh:
        say(f"the weights to start from do not know {', '.join(fresh)}: their classifier rows start afresh")


def people_seen(
    dataset: PreparedSet, sequences: Iterable[SequenceRecord], start: Loaded | None, name: str
) -> list[str] | None:
    """Return the people of some sequences, by names that hold beyond the set (`PreparedSet.person`), and those whom the
    weights that a training started from have under the same name: "trained_on" or "chosen_by"; None if they do not say."""
    own = {dataset.person(sequence.subject) for sequence in sequences}
    return together([own] if start is None else [own, start.about.get(name)])


def together(groups: Sequence[Iterable[str] | None]) -> list[str] | None:
    """Return the people of all groups; None where one is not known."""
    known = [group for group in groups if group is not None]
    return sorted(set().union(*known)) if len(known) == len(groups) else None
