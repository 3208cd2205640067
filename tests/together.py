"""Both steps of the game in one or several processes, BatchNorm's statistics held fixed; a test runs it as a program.

usage: python together.py OUT     (under torchrun or alone; process 0 writes OUT)
"""

import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from tfen import processes
from tfen.config import TrainSettings
from tfen.data.clips import Batch
from tfen.data.prepared import SequenceRecord
from tfen.models.tfen import TFEN
from tfen.training.adversarial import Game


def hold(module: nn.Module) -> None:
    """Keep a module in evaluation mode whatever is asked for."""
    module.train = lambda mode=True: module  # type: ignore[method-assign]


def main() -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    part, parts = processes.part()
    out = []
    for variant, optimiser, norm, twins_at in (
        ("tfen", "sgd", "squared", ""),
        ("tfen", "adamw", "cross-entropy", "tfe"),
        ("without-decoupler", "sgd", "absolute", "t"),
        ("3d-resnet18+ec-stfl", "sgd", "squared", ""),
    ):
        torch.manual_seed(0)
        network = TFEN(3, 4, 8, variant, dropout=0.0).eval()
        hold(network)
        if network.adversary is not None:
            hold(network.adversary)
        twins = {"twins": 2.0, "twins_at": twins_at} if twins_at else {}
        settings = TrainSettings(optimiser=optimiser, norm=norm, lr=0.01, label_smoothing=0.1, **twins)
        weights = torch.tensor([0.5, 1.0, 1.5])
        game = Game(network, settings, accelerator, weights)
        for step in range(6):
            rng = torch.Generator().manual_seed(step)
            clips = torch.randn(8, 2, 3, 32, 32, generator=rng)
            labels = torch.randint(0, 3, (8,), generator=rng)
            faces = torch.randint(0, 4, (8,), generator=rng)
            own = slice(part * 8 // parts, (part + 1) * 8 // parts)
            takes = torch.arange(8) // 2
            names = tuple(SequenceRecord("s", "s", "anger", 2) for _ in range(8))
            batch = Batch(clips[own], labels[own], faces[own], takes[own], names)
            if step % 3 == 2 and network.adversary is not None:
                figures = game.adversary_step(batch)
            else:
                figures = game.network_step(batch)
            out.append({name: value.item() for name, value in figures.items()})
    if part == 0:
        Path(sys.argv[1]).write_text(json.dumps({"processes": parts, "steps": out}))


if __name__ == "__main__":
    main()
