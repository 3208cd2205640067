"""Optimisers and learning rates over a training, by name; nothing heavy is imported until one is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfen.choices import Choices

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from tfen.config import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """One optimiser: a line for the help, and what makes it of weights, learning rate and settings."""

    text: str
    make: "Callable[[list[nn.Parameter], float, TrainSettings], Optimizer]"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate falls: a line for the help, and its factor at a point in training, counted in epochs."""

    text: str
    factor: "Callable[[float, TrainSettings], float]"


def _sgd(weights: "list[nn.Parameter]", lr: float, settings: "TrainSettings") -> "Optimizer":
    from torch.optim import SGD

    return SGD(weights, lr, settings.momentum, weight_decay=settings.weight_decay, fused=_on_cuda(weights))


def _adamw(weights: "list[nn.Parameter]", lr: float, settings: "TrainSettings") -> "Optimizer":
    from torch.optim import AdamW

    return AdamW(weights, lr, weight_decay=settings.weight_decay, fused=_on_cuda(weights))


def _steps(epoch: float, settings: "TrainSettings") -> float:
    return settings.lr_gamma ** (int(epoch) // settings.lr_step)


def _cosine(epoch: float, settings: "TrainSettings") -> float:
    import torch

    return float(0.5 * (1 + torch.cos(torch.tensor(epoch / settings.epochs * torch.pi))))


OPTIMISERS = Choices(
    "optimiser",
    {
        "sgd": Optimiser(text="as in the paper", make=_sgd),
        "adamw": Optimiser(text="learns small networks in fewer epochs", make=_adamw),
    },
)
SCHEDULES = Choices(
    "schedule",
    {
        "step": Schedule(text="as in the paper", factor=_steps),
        "cosine": Schedule(text="one smooth fall to zero, for short trainings", factor=_cosine),
    },
)


def make_optimiser(modules: "Sequence[nn.Module | None]", lr: float, settings: "TrainSettings") -> "Optimizer":
    """Return the settings' optimiser for some parts of a network."""
    weights = [weight for module in modules if module is not None for weight in module.parameters()]
    return OPTIMISERS[settings.optimiser].make(weights, lr, settings)


def _on_cuda(weights: "list[nn.Parameter]") -> bool | None:
    """Whether all weights are updated in one kernel; None: as PyTorch does it."""
    return True if weights and all(weight.device.type == "cuda" for weight in weights) else None
