"""Algorithm 1: A learns to recognise faces in TFE; E, D and T learn the expression and to leave A at a loss.

Line 1 of the algorithm is in `tfen.training.faces`, line 2 in `tfen.models.tfen` (F takes no gradient and stays in
evaluation mode), the loop of line 3 in `tfen.training.loop`; lines 4 to 10 are here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch import nn

from tfen import processes
from tfen.config import Settings, TrainSettings
from tfen.data.clips import Batch, Clips
from tfen.models.tfen import TFEN
from tfen.processes import averaged, gathered, seed_step
from tfen.progress import say
from tfen.training.checkpoints import Checkpointer, Part
from tfen.training.devices import prepare_network
from tfen.training.loop import Done, Figures, History, Loop, Place
from tfen.training.losses import (
    balanced_weights,
    confusion_loss,
    ec_stfl_loss,
    expression_loss,
    identification_loss,
    network_loss,
)
from tfen.training.optimisers import SCHEDULES, make_optimiser
from tfen.training.running_average import running_average
from tfen.training.turns import TURNS
from tfen.training.twins import TWIN_PLACES, twins_loss

COMPILING, COMPILED = 45, 0.23
"""Seconds that compiling took at the beginning, and the share of a step that it saved (docs/scale.md)."""
Numbers = dict[str, torch.Tensor]
"""Figures of a step, each a tensor of one number that nobody has waited for yet."""


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
        self._ours = [network.expression_extractor, network.decoupler, network.temporal]
        self.network_optimiser = self.accelerator.prepare_optimizer(make_optimiser(self._ours, settings.lr, settings))
        self.adversary_optimiser: torch.optim.Optimizer | None = None
        if network.adversary is not None:
            own = replace(settings, optimiser=settings.adversary_optimiser or settings.optimiser)
            self.adversary_optimiser = self.accelerator.prepare_optimizer(
                make_optimiser([network.adversary], settings.adversary_lr or settings.lr, own)
            )

    def adversary_step(self, batch: Batch) -> Numbers:
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
            loss = identification_loss(scores, faces, self.settings.adversary_norm or self.settings.norm)
        self._update(self.adversary_optimiser, loss, [adversary])
        return {"face_loss": loss.detach(), "face_accuracy": _share_right(scores, faces)}

    def network_step(self, batch: Batch, grown: float = 1.0) -> Numbers:
        """Step 2: update E, D and T to minimise alpha * L_exp - L_face (Eqs. 3, 4, 6), and L_twins where it is asked for.

        `grown` is the share of its full weight that L_twins has.
        """
        network, settings = self.network, self.settings
        network.train()
        clips, labels = batch.clips.to(self.accelerator.device), batch.expressions.to(self.accelerator.device)
        figures: dict[str, torch.Tensor] = {}
        with self._adversary_at_rest():
            with self.accelerator.autocast():
                own, typical = (
                    maps.unflatten(0, clips.shape[:2]) for maps in network.expression_and_typical(clips.flatten(0, 1))
                )
                labels = gathered(labels)
                scores, features = self._expression_scores(typical)
                loss = expression = expression_loss(scores, labels, settings.label_smoothing, self.class_weights_K)
                if network.adversary is not None:
                    confusion = confusion_loss(gathered(network.face_scores(typical)), settings.norm)
                    loss = network_loss(expression, confusion, settings.alpha)
                    figures["confusion_loss"] = confusion
                elif settings.matched:
                    loss = settings.alpha * expression
                if network.variant.gathers and features is not None:
                    gathering = ec_stfl_loss(features, labels)
                    loss = loss + settings.ec_stfl_weight * gathering
                    figures["ec_stfl_loss"] = gathering
                if settings.twins:
                    place = TWIN_PLACES[settings.twins_at]
                    alike = features if place.features is None else gathered(place.features(own, typical))
                    assert alike is not None
                    figures["twins_loss"] = twins_loss(alike, gathered(batch.takes.to(alike.device)))
                    loss = loss + grown * settings.twins * figures["twins_loss"]
            self._update(self.network_optimiser, loss, self._ours)
        return {
            "loss": loss.detach(),
            "expression_loss": expression.detach(),
            "expression_accuracy": _share_right(scores, labels),
            **{name: value.detach() for name, value in figures.items()},
        }

    def _expression_scores(self, typical_BSCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return T's scores (B, K), and its features of the clips (B, C) where a loss takes them."""
        temporal = self.network.temporal
        if not self.network.variant.gathers and not self.settings.twins:
            return gathered(temporal(typical_BSCHW)), None
        scores, features = temporal.judge(typical_BSCHW)
        return gathered(scores), gathered(features)

    @contextmanager
    def _adversary_at_rest(self) -> Iterator[None]:
        """Keep A as it is while gradients go through it."""
        adversary = self.network.adversary
        if adversary is None:
            yield
            return
        adversary.eval().requires_grad_(False)
        _follow_batch(adversary, self.settings.adversary_statistics == "batch")
        yield
        adversary.requires_grad_(True)
        _follow_batch(adversary, False)

    def _update(self, optimiser: torch.optim.Optimizer, loss: torch.Tensor, parts: Sequence[nn.Module | None]) -> None:
        """Take a step down a loss; the parts' gradients are averaged over the processes first."""
        optimiser.zero_grad()
        self.accelerator.backward(loss)
        averaged(parts)
        if self.settings.clip:
            self.accelerator.clip_grad_norm_(
                [weight for part in parts if part is not None for weight in part.parameters()], self.settings.clip
            )
        optimiser.step()

    def play(self, batch: Batch, iteration: int, epoch: int, grown: float = 1.0) -> Numbers:
        """Let the player learn from a minibatch whose turn it is; without A nothing happens at A's turn (`matched`)."""
        if not self.is_adversary_turn(iteration, epoch):
            return self.network_step(batch, grown)
        return self.adversary_step(batch) if self.network.adversary is not None else {}

    def is_adversary_turn(self, iteration: int, epoch: int) -> bool:
        """Tell whether it is A's turn; iterations and epochs count from 1, as Algorithm 1 does.

        Where there is no A nobody has it, but for `matched` trainings: then it is passed over.
        """
        if self.network.adversary is None and not self.settings.matched:
            return False
        if epoch <= self.settings.adversary_warmup:
            return True
        return TURNS[self.settings.turns].adversary(iteration, epoch, self.settings.adversary_interval)

    def restart_adversary(self, place: Place, seed: int) -> None:
        """Give A new random weights where its time is over; what its optimiser remembers goes, too."""
        every, adversary = self.settings.adversary_restart, self.network.adversary
        begins = place.step == 0 and place.epoch > 1 and every and (place.epoch - 1) % every == 0
        if not begins or adversary is None or self.adversary_optimiser is None:
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + place.epoch)
            for part in adversary.modules():
                if isinstance(part, (nn.Conv2d, nn.BatchNorm2d, nn.Linear)):
                    part.reset_parameters()
        self.adversary_optimiser.state.clear()

    def set_learning_rates(self, epoch: float) -> None:
        """Set the learning rates for a point in training, counted in epochs."""
        settings = self.settings
        factor = SCHEDULES[settings.schedule].factor(epoch, settings)
        if epoch < settings.warmup:
            factor *= epoch / settings.warmup
        for optimiser, start in (
            (self.network_optimiser, settings.lr),
            (self.adversary_optimiser, settings.adversary_lr or settings.lr),
        ):
            for group in [] if optimiser is None else optimiser.param_groups:
                group["lr"] = start * factor


def _share_right(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (scores.argmax(1) == labels).float().mean()


def _follow_batch(adversary: nn.Module, follow: bool) -> None:
    """Let BatchNorm go by the statistics of the batch and learn nothing from them, or end that."""
    for part in adversary.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats = not follow
            part.train(follow)


def train(
    network: TFEN,
    clips: Clips,
    settings: Settings,
    accelerator: Accelerator,
    seed: int,
    measure: Callable[[TFEN], float] | None = None,
    watch: Callable[[Figures], None] = lambda figures: None,
    checkpointer: Checkpointer | None = None,
) -> History:
    """Train a network by Algorithm 1; a network without A is trained on L_exp alone.

    With `average` the network ends as the running average of its weights.

    Args:
        measure: the accuracy that chooses the best epoch, taken every `evaluate_every` epochs; None: none is chosen.
        watch: called with every epoch's figures, those from before an interruption first.
        checkpointer: keeps checkpoints; a training that was interrupted goes on from the last.
    """
    plan = settings.train
    prepare_network(network, plan, accelerator)
    if plan.compile:
        steps = plan.epochs * -(-len(clips) // plan.batch_size)
        worth = 1000 * COMPILING / (COMPILED * steps)
        say(
            f"--train.compile: compiling takes about {COMPILING} s and saves about {100 * COMPILED:.0f} % of a step (measured on "
            f"one GPU); with {steps} steps it pays if one takes more than {worth:.0f} ms"
        )
    weights = balanced_weights(clips.counts()).to(accelerator.device) if plan.class_weights == "balanced" else None
    game = Game(network, plan, accelerator, weights)
    average = running_average(network, plan.average * len(clips) / plan.batch_size) if plan.average > 0 else None
    result = network if average is None else average.module
    assert isinstance(result, TFEN)

    def step(batch: Batch, place: Place) -> Done:
        """Do lines 5 to 10 with a minibatch."""
        seed_step(seed, 1, place.iteration)
        past = place.epoch - 1 + place.step * plan.batch_size / len(clips)
        game.set_learning_rates(past)
        game.restart_adversary(place, seed)
        grown = min(1.0, past / plan.twins_ramp) if plan.twins_ramp else 1.0
        figures = game.play(batch, place.iteration, place.epoch, grown)
        if average is not None:
            average.update_parameters(network)
        return Done(figures, 1, len(batch.expressions) * processes.count())

    def measured(epoch: int) -> Figures:
        figures = {"lr": game.network_optimiser.param_groups[0]["lr"]}
        if measure is not None and (epoch % plan.evaluate_every == 0 or epoch == plan.epochs):
            figures["validation_accuracy"] = measure(result)
        return figures

    parts: dict[str, Part] = {"network": network, "optimiser": game.network_optimiser}
    if game.adversary_optimiser is not None:
        parts["adversary"] = game.adversary_optimiser
    if average is not None:
        parts["average"] = average
    loop = Loop(
        phase="game",
        title=f"training {settings.model.variant}",
        unit="clips",
        epochs=plan.epochs,
        items=len(clips),
        batch_size=plan.batch_size,
        batches=lambda epoch, skip: clips.training(
            epoch, plan.batch_size, seed, skip, plan.twins_together if plan.twins else 1
        ),
        step=step,
        measure=measured,
        parts=parts,
        best_by="validation_accuracy",
        best_of=result,
        watch=watch,
        note=_note,
        advice="a lower --train.lr, or --train.precision no, may help",
    )
    history = loop.run(checkpointer)
    if average is not None:
        network.load_state_dict(result.state_dict())
    return history


def _note(figures: Figures) -> str:
    words = {
        "loss": "loss",
        "expression_accuracy": "expression",
        "face_accuracy": "faces",
        "validation_accuracy": "validation",
    }
    return f"epoch {figures['epoch']}: " + ", ".join(
        f"{word} {figures[name]:.3f}" for name, word in words.items() if name in figures
    )
