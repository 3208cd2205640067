"""What is checked before a cross-validation begins, so that nothing is found days into it."""

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from tfen.config import Settings
from tfen.data.folds import Fold
from tfen.data.prepared import PreparedSet
from tfen.errors import InputError, TfenError
from tfen.evaluation.claims import leaks_of
from tfen.models.seresnet import LowerHalf
from tfen.models.variants import VARIANTS
from tfen.models.weights import build, load_imagenet
from tfen.progress import say
from tfen.training.faces import FaceNetwork
from tfen.training.loop import Figures
from tfen.training.network import load_start
from tfen.training.twins import TWIN_PLACES
from tfen.video.photographs import read_image

SAMPLE = 24
"""Sequences of which a frame is read before the beginning, spread over the set."""
SPARE = 1.2
"""Room on the disk that is asked for, in sizes of what will be written."""


def check_folds(folds: Sequence[Fold], dataset: PreparedSet) -> None:
    """Check that every fold can be trained, and say how large the folds are and who is in training and test at once.

    Raises:
        InputError: a fold's training lacks an expression, or it tests nobody.
    """
    rarest: list[tuple[int, str]] = []
    for fold in folds:
        counts = Counter(sequence.expression for sequence in fold.train)
        missing = [name for name in dataset.expressions if not counts[name]]
        if missing:
            raise InputError(
                f"fold {fold.number}: no training sequence shows {missing[0]}; use fewer folds or exclude it"
            )
        if not fold.test:
            raise InputError(f"fold {fold.number}: no sequence is tested; use fewer folds")
        rarest.append(min((counts[name], name) for name in dataset.expressions))
    count, name = min(rarest)
    parts = (("training", "train"), ("validation", "validation"), ("test", "test"))
    sizes = {word: [len(getattr(fold, part)) for fold in folds] for word, part in parts}
    words = ", ".join(
        f"{min(own)} to {max(own)} {word}" if min(own) < max(own) else f"{own[0]} {word}" for word, own in sizes.items()
    )
    say(f"{len(folds)} fold{'' if len(folds) == 1 else 's'}: {words} sequences; the rarest expression in training is "
        f"{name}, {count} times")  # fmt: skip
    for leak in leaks_of(folds):
        say(f"not subject-independent: {leak}")


def check_twins(dataset: PreparedSet, settings: Settings) -> None:
    """Check that a training that makes twins look alike has some, and a network to do it with.

    Raises:
        InputError: it has not.
    """
    if not settings.train.twins:
        return
    if not any(count > 1 for count in Counter(one.take for one in dataset.sequences if one.take).values()):
        raise InputError(
            f"{dataset.folder} has no twins, which --train.twins needs; make a set with `tfen synth --twins 4`"
        )
    if not VARIANTS[settings.model.variant].extracts and TWIN_PLACES[settings.train.twins_at].features is not None:
        raise InputError(
            f"the network {settings.model.variant} takes the frames as they are and has no TFE; add --train.twins-at t"
        )


def check_frames(dataset: PreparedSet) -> None:
    """Read a frame of some sequences, spread over the set.

    Raises:
        InputError: one cannot be read, or a sequence has other frames than its table says.
    """
    step = max(1, len(dataset.sequences) // SAMPLE)
    for sequence in dataset.sequences[::step][:SAMPLE]:
        files = dataset.frame_files(sequence)
        read_image(files[len(files) // 2])


def check_room(out: Path, settings: Settings, expressions: int, folds: int, faces: int) -> None:
    """Check that the disk has room for the folds' weights and for the checkpoints of one.

    Raises:
        TfenError: it has not.
    """
    with torch.device("meta"):
        network = build(settings, expressions, faces)
        fold = _bytes(network)
        if network.face_extractor is not None:
            fold += _bytes(FaceNetwork(faces, settings.model.width))
    checkpoints = 2 * 4 * fold  # two of them; weights, the best ones, and two states of the optimiser
    needed = int(SPARE * (folds * fold + checkpoints))
    place = next(path for path in (out, *out.resolve().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise TfenError(
            f"{place} has {_megabytes(free)} of free disk and {folds} folds need {_megabytes(needed)}; free some, or "
            "choose another folder"
        )


def check_start(settings: Settings, expressions: tuple[str, ...]) -> None:
    """Load the foreign weights that the settings name once, so that an error comes before anything is written.

    Raises:
        InputError: they do not fit.
        TfenError: they cannot be fetched.
    """
    model = settings.model
    if model.expression_weights or model.temporal_weights:
        load_start(build(settings, len(expressions), 0), expressions, settings, None)
    if settings.face.init == "imagenet" and settings.pretrains_faces:
        load_imagenet(LowerHalf(model.width, model.block))


def _bytes(network: torch.nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())


def _megabytes(count: int) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"


class Estimate:
    """Says once, from the first epochs of the first fold, how long all folds will take.

    Args:
        folds: how many are to be done.
        epochs: of each.
    """

    def __init__(self, folds: int, epochs: int) -> None:
        self._folds, self._epochs = folds, epochs
        self._begun = self._first = time.monotonic()

    def __call__(self, figures: Figures) -> None:
        """Be told of an epoch that has ended."""
        now, epoch = time.monotonic(), figures["epoch"]
        if epoch == 1:
            self._first = now
        if epoch == 2 and self._folds * self._epochs > 4:
            before = max(0.0, 2 * self._first - now - self._begun)  # what came before the first epoch: the faces
            fold = before + (now - self._first) * self._epochs
            say(f"about {_duration(fold)} a fold, {_duration(self._folds * fold)} for {self._folds} of them")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
