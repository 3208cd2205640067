"""What a network is made of: parts, output shapes, parameters and operations (Table 1)."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tfen.config import Settings
from tfen.models.seresnet import LowerHalf
from tfen.models.tfen import PARTS
from tfen.models.weights import build


@dataclass(frozen=True)
class PartFigures:
    """One part: its letter in the paper, output shape for one clip, parameters, operations (2 per multiply-add)."""

    part: str
    name: str
    output: tuple[int, ...]
    parameters: int
    operations: int


def describe(settings: Settings, expressions: int = 7, faces: int = 100) -> dict[str, Any]:
    """Return the parts of the network that `settings` describe.

    `total_parameters` counts what recognises expressions (F, E, D, T); A serves the training alone.
    """
    network = build(settings, expressions, faces).eval()
    model = settings.model
    clip = torch.zeros(1, model.frames, 3, model.image_size, model.image_size)
    parts: list[PartFigures] = []

    def measure(letter: str, module: Any, *inputs: torch.Tensor) -> torch.Tensor:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            out: torch.Tensor = module(*inputs)
        shape = tuple(out.shape[1:]) if letter == "T" else tuple(out.shape)
        count = sum(weight.numel() for weight in module.parameters())
        parts.append(PartFigures(letter, PARTS[letter], shape, count, counter.get_total_flops()))
        return out

    frames = clip.flatten(0, 1)
    typical = expression = frames
    if isinstance(network.expression_extractor, LowerHalf):
        typical = expression = measure("E", network.expression_extractor, frames)
    if network.face_extractor is not None and network.decoupler is not None:
        face = measure("F", network.face_extractor, frames)
        typical = measure("D", network.decoupler, expression, face)
    if network.adversary is not None:
        measure("A", network.adversary, typical)
    measure("T", network.temporal, typical.unsqueeze(0))
    counted = [part for part in parts if part.part != "A"]
    return {
        "variant": model.variant,
        "input": [model.frames, 3, model.image_size, model.image_size],
        "parts": [asdict(part) for part in parts],
        "total_parameters": sum(part.parameters for part in counted),
        "total_operations": sum(part.operations for part in counted),
    }
