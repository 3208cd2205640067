"""Algorithm 1: A learns to recognise faces in TFE; E, D and T learn the expression and to leave A at a loss."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tfen.config import Settings, TrainSettings
from tfen.data.clips import Batch, Clips
from tfen.errors import InputError, TfenError
from tfen.models.clip_classifier import ClipClassifier
from tfen.models.tfen import TFEN
from tfen.progress import meter
from tfen.training import processes
from tfen.training.checkpoints import Checkpointer, Part
from tfen.training.losses import confusion_loss, ec_stfl_loss, expression_loss, identification_loss, network_loss
from tfen.training.optimisers import SCHEDULES, make_optimiser
from tfen.training.processes import averaged, gathered, seed_step
from tfen.training.turns import TURNS


class Game:
    """The two players and their steps. F takes no part: its weights and BatchNorm statistics never change.

    `class_weights_K` weighs the expressions in the expression loss.
    """

    def __init__(
        self,
        network: TFEN,
        settings: TrainSettings,
        accelerator: Accelerator | None = None,
        class_weights_K: torch.Tensor | None = None,
    ) -> None:
        self.network, self.settings, self.class_weights_K = network, settings, class_weights_K
        self.accelerator = accelerator or Accelerator(cpu=True)
        ours = [network.expression_extractor, network.decoupler, network.temporal]

        self.network_optimiser = self.accelerator.prepare_optimizer(make_optimiser(ours, settings.lr, settings))
        self.adversary_optimiser: torch.optim.Optimizer | None = None
        if network.adversary is not None:
            self.adversary_optimiser = self.accelerator.prepare_optimizer(
                make_optimiser([network.adversary], settings.adversary_lr or settings.lr, settings)
            )

    def adversary_step(self, batch: Batch) -> dict[str, float]:
        """Step 1: update A alone to recognise the faces in TFE (Eq. 5)."""
        network, adversary = self.network, self.network.adversary
        assert adversary is not None
        assert self.adversary_optimiser is not None
        network.eval()
        adversary.train()
        clips, faces = batch.clips.to(self.accelerator.device), batch.faces.to(self.accelerator.device)
        with self.accelerator.autocast():
            with torch.no_grad():
                typical = network.clip_features(clips)
            scores, faces = gathered(network.face_scores(typical)), gathered(faces)
            loss = identification_loss(scores, faces, self.settings.norm)
        self.adversary_optimiser.zero_grad()
        self.accelerator.backward(loss)
        averaged([adversary])
        self.adversary_optimiser.step()
        right = (scores.argmax(1) == faces).float().mean()
        return {"face_loss": loss.item(), "face_accuracy": right.item()}

    def network_step(self, batch: Batch) -> dict[str, float]:
        """Step 2: update E, D and T to minimise alpha * L_exp - L_face (Eqs. 3, 4, 6)."""
        network, adversary, settings = self.network, self.network.adversary, self.settings
        network.train()
        clips, labels = batch.clips.to(self.accelerator.device), batch.expressions.to(self.accelerator.device)
        with self.accelerator.autocast():
            typical = network.clip_features(clips)
            labels, figures = gathered(labels), {}
            gathering = None
            if network.variant.gathers:
                assert isinstance(network.temporal, ClipClassifier)
                features = gathered(network.temporal.embed(typical))
                scores = network.temporal.classify(features)
                gathering = ec_stfl_loss(features, labels)
                figures["ec_stfl_loss"] = gathering.item()
            else:
                scores = gathered(network.temporal(typical))
            loss = expression = expression_loss(scores, labels, settings.label_smoothing, self.class_weights_K)
            if adversary is not None:
                adversary.eval().requires_grad_(False)
                if settings.adversary_statistics == "batch":
                    _follow_batch(adversary, True)
                confusion = confusion_loss(gathered(network.face_scores(typical)), settings.norm)
                loss = network_loss(expression, confusion, settings.alpha)
                figures["confusion_loss"] = confusion.item()
            if gathering is not None:
                loss = loss + settings.ec_stfl_weight * gathering
        self.network_optimiser.zero_grad()
        self.accelerator.backward(loss)
        averaged([network.expression_extractor, network.decoupler, network.temporal])
        self.network_optimiser.step()
        if adversary is not None:
            adversary.requires_grad_(True)
            _follow_batch(adversary, False)
        right = (scores.argmax(1) == labels).float().mean()
        return {
            "loss": loss.item(),
            "expression_loss": expression.item(),
            "expression_accuracy": right.item(),
            **figures,
        }

    def set_share_done(self, epoch: float) -> None:
        """Set the learning rates for a point in training, counted in epochs."""
        settings = self.settings
        factor = SCHEDULES[settings.schedule].factor(epoch, settings)
        for optimiser, start in (
            (self.network_optimiser, settings.lr),
            (self.adversary_optimiser, settings.adversary_lr or settings.lr),
        ):
            for group in [] if optimiser is None else optimiser.param_groups:
                group["lr"] = start * factor


def _follow_batch(adversary: nn.Module, follow: bool) -> None:
    """Let BatchNorm go by the statistics of the batch and learn nothing from them, or end that."""
    for part in adversary.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = not follow
            part.train(follow)


def is_adversary_turn(iteration: int, epoch: int, settings: TrainSettings) -> bool:
    """Tell whether A is updated; iterations and epochs count from 1, as Algorithm 1 does."""
    return TURNS[settings.turns].adversary(iteration, epoch, settings.adversary_interval)


def balanced_weights(counts: np.ndarray) -> torch.Tensor:
    """Return a weight for each expression, the inverse of its share of the sequences over their number, (K,)."""
    shares = np.where(counts > 0, counts / counts.sum(), np.inf)
    return torch.tensor(1 / shares / np.count_nonzero(counts), dtype=torch.float32)


@dataclass
class History:
    """What a training left behind: figures of every epoch, and the weights of the best measured one."""

    epochs: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    best: float = -1.0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)


def train(
    network: TFEN,
    clips: Clips,
    settings: Settings,
    accelerator: Accelerator,
    seed: int,
    measure: Callable[[TFEN], float] | None = None,
    watch: Callable[[dict[str, Any]], None] | None = None,
    checkpointer: Checkpointer | None = None,
) -> History:
    """Train a network by Algorithm 1; a network without A is trained on L_exp alone.

    With `average` the network ends as the running average of its weights.

    Args:
        measure: the accuracy that chooses the best epoch, taken every `evaluate_every` epochs; None: none is chosen.
        watch: called with every epoch's figures, those from before an interruption first.
        checkpointer: keeps checkpoints; a training that was interrupted goes on from the last.
    """
    plan, checkpointer = settings.train, checkpointer or Checkpointer()
    network.to(accelerator.device)
    prepare_network(network, plan, accelerator)
    weights = balanced_weights(clips.counts()).to(accelerator.device) if plan.class_weights == "balanced" else None
    game = Game(network, plan, accelerator, weights)
    history, sums = History(), _Means()
    parts: dict[str, Part] = {"network": network, "optimiser": game.network_optimiser, "best": history.best_weights}
    if game.adversary_optimiser is not None:
        parts["adversary"] = game.adversary_optimiser
    average = running_average(network, plan.average * len(clips) / plan.batch_size) if plan.average > 0 else None
    if average is not None:
        parts["average"] = average
    settled = network if average is None else average.module
    assert isinstance(settled, TFEN)
    first, skip, iteration = 1, 0, 0
    kept = checkpointer.restore("game", parts)
    if kept is not None:
        first, skip, iteration = kept["epoch"], kept["step"], kept["iteration"]
        history.epochs, history.best_epoch, history.best = kept["history"], kept["best_epoch"], kept["best"]
        sums = _Means(kept["sums"])
        if watch is not None:
            for figures in history.epochs:
                watch(figures)

    def standing(epoch: int, step: int) -> dict[str, Any]:
        return {
            "epoch": epoch,
            "step": step,
            "iteration": iteration,
            "history": history.epochs,
            "best_epoch": history.best_epoch,
            "best": history.best,
            "sums": sums.plain(),
        }

    total, done = plan.epochs * len(clips), (first - 1) * len(clips) + skip * plan.batch_size
    with meter(f"training {settings.model.variant}", total, "clips", done) as progress:
        for epoch in range(first, plan.epochs + 1):
            batches: Iterator[Batch] = clips.training(epoch, plan.batch_size, seed, skip)
            for k, batch in enumerate(batches, skip):
                iteration += 1
                seed_step(seed, 1, iteration)
                game.set_share_done(epoch - 1 + k * plan.batch_size / len(clips))
                if network.adversary is not None and is_adversary_turn(iteration, epoch, plan):
                    sums.add(game.adversary_step(batch))
                else:
                    sums.add(game.network_step(batch))
                if average is not None:
                    average.update_parameters(network)
                progress.advance(len(batch.expressions) * processes.count())
                if not sums.finite():
                    raise TfenError(
                        f"training diverged: the loss in epoch {epoch} is no number any more; "
                        "a lower --train.lr, or --train.precision no, may help"
                    )
                checkpointer.step_done("game", parts, partial(standing, epoch, k + 1))
            figures = {"epoch": epoch, **sums.means(), "lr": game.network_optimiser.param_groups[0]["lr"]}
            if measure is not None and (epoch % plan.evaluate_every == 0 or epoch == plan.epochs):
                figures["validation_accuracy"] = measured = measure(settled)
                if measured >= history.best:
                    history.best, history.best_epoch = measured, epoch
                    history.best_weights.update(
                        {name: value.detach().clone() for name, value in settled.state_dict().items()}
                    )
            history.epochs.append(figures)
            if watch is not None:
                watch(figures)
            progress.note(_note(figures))
            sums, skip = _Means(), 0
            checkpointer.step_done("game", parts, partial(standing, epoch + 1, 0))
    checkpointer.save("game", parts, standing(plan.epochs + 1, 0))
    if average is not None:
        network.load_state_dict(settled.state_dict())
    return history


def running_average(network: nn.Module, steps: float) -> AveragedModel:
    """Return a copy that follows a network's weights and statistics at `update_parameters`: an exponential average.

    Args:
        steps: how many of them the average goes back, in the mean.
    """
    follow = get_ema_multi_avg_fn(1 - 1 / max(1.0, steps))
    return AveragedModel(network, multi_avg_fn=follow, use_buffers=True)


def prepare_network(network: nn.Module, plan: TrainSettings, accelerator: Accelerator) -> None:
    """Lay a network's weights out for its device; change its BatchNorm and compile it if that is asked for.

    Raises:
        InputError: BatchNorm over several processors, which PyTorch has for GPUs alone.
    """
    if plan.sync_batchnorm:
        if accelerator.device.type == "cpu":
            raise InputError("train.sync-batchnorm needs GPUs, and this is a processor; leave it out")
        for name, part in network.named_children():
            setattr(network, name, nn.SyncBatchNorm.convert_sync_batchnorm(part))
    wanted = plan.channels_last == "yes" or (plan.channels_last == "auto" and accelerator.device.type == "cpu")
    if wanted and isinstance(network, TFEN):
        network.channels_last()
    elif wanted:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if plan.compile:
        for part in network.children():
            part.compile()


class _Means:
    """Means of figures over the steps that had them."""

    def __init__(self, sums: dict[str, list[float]] | None = None) -> None:
        self._sums = sums or {}

    def plain(self) -> dict[str, list[float]]:
        return self._sums

    def add(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = [total + value, count + 1]

    def finite(self) -> bool:
        return all(math.isfinite(total) for total, _ in self._sums.values())

    def means(self) -> dict[str, float]:
        return {name: total / count for name, (total, count) in self._sums.items()}


def _note(figures: dict[str, Any]) -> str:
    words = {
        "loss": "loss",
        "expression_accuracy": "expression",
        "face_accuracy": "faces",
        "validation_accuracy": "validation",
    }
    return f"epoch {figures['epoch']}: " + ", ".join(
        f"{word} {figures[name]:.3f}" for name, word in words.items() if name in figures
    )
