"""The time of a training step against the sum of its parts run alone, in one run (target: at most 1.15).

usage: python benchmarks/training.py [WIDTH IMAGE_SIZE BATCH]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from tfen.config import make_settings
from tfen.data.clips import Clips, FrameStore, face_labels
from tfen.data.prepared import SequenceRecord, open_set, write_set
from tfen.models.weights import build
from tfen.training.adversarial import Game
from tfen.training.losses import confusion_loss, expression_loss, identification_loss, network_loss


def timed(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def make_frames(folder: Path, size: int) -> None:
    rng = np.random.default_rng(0)
    sequences = []
    for k in range(144):
        name = f"p{k % 12}-{k}"
        place = folder / "frames" / name
        place.mkdir(parents=True)
        for frame in range(7):
            cv2.imwrite(str(place / f"{frame}.jpg"), rng.integers(0, 255, (size, size, 3), np.uint8))
        sequences.append(SequenceRecord(name, f"p{k % 12}", ("anger", "fear")[k % 2], 7))
    write_set(folder, sequences, {"set": "noise"})


def main() -> None:
    width, size, batch = (int(x) for x in sys.argv[1:4]) if len(sys.argv) > 3 else (16, 64, 16)
    settings = make_settings("synth", {"model": {"width": width, "image_size": size}, "train": {"batch_size": batch}})
    with tempfile.TemporaryDirectory() as folder:
        make_frames(Path(folder), round(size * 244 / 224))
        found = open_set(Path(folder))
        store = FrameStore(found, size, settings.data)
        labels = face_labels(list(found.sequences), settings.data)
        clips = Clips(store, list(found.sequences), settings.model.frames, size, labels)
        network = build(settings, 2, len(labels))
        game = Game(network, settings.train)
        one = next(iter(clips.testing(batch)))

        def network_parts() -> None:
            """Forward, losses, backward, update; nothing else."""
            network.train()
            assert network.adversary is not None
            network.adversary.eval().requires_grad_(False)
            typical = network.clip_features(one.clips)
            scores = network.temporal(typical)
            loss = network_loss(
                expression_loss(scores, one.expressions), confusion_loss(network.face_scores(typical)), 5.0
            )
            game.network_optimiser.zero_grad()
            loss.backward()
            game.network_optimiser.step()
            network.adversary.requires_grad_(True)

        def adversary_parts() -> None:
            network.eval()
            with torch.no_grad():
                typical = network.clip_features(one.clips)
            assert network.adversary is not None
            network.adversary.train()
            assert game.adversary_optimiser is not None
            loss = identification_loss(network.face_scores(typical), one.faces)
            game.adversary_optimiser.zero_grad()
            loss.backward()
            game.adversary_optimiser.step()

        def epoch() -> int:
            count = 0
            for step, ready in enumerate(clips.training(1, batch, 0), 1):
                game.play(ready, step, 1)
                count += 1
            return count

        steps = epoch()
        apart = []
        together = []
        for _ in range(7):
            network_time, adversary_time = timed(network_parts, 3), timed(adversary_parts, 3)
            turns = sum(game.is_adversary_turn(step, 1) for step in range(1, steps + 1))
            apart.append(turns * adversary_time + (steps - turns) * network_time)
            together.append(timed(epoch, 1))
        ratio = statistics.median(a / b for a, b in zip(together, apart))
        print(
            f"training: an epoch of {steps} steps takes {ratio:.2f} times the sum of its parts (target: at most 1.15)"
        )


if __name__ == "__main__":
    main()
