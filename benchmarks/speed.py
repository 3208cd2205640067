"""How fast training is here: clips a second, the loader's share, the share of the machine's matrix-multiply peak, options.

usage: python benchmarks/speed.py [--cpu] [WIDTHxSIZExBATCH ...]     (16x64x16 32x112x8 64x224x4 if not given)

Where a GPU is at hand, it is measured, unless --cpu is given; more about GPUs: benchmarks/gpu.py. The options (channels last, bf16, torch.compile) are timed by turns with the plain network, at the first size.
"""

import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from training import make_frames

from tfen.config import Settings, make_settings
from tfen.data.clips import Batch, Clips, FrameStore, face_labels
from tfen.data.prepared import PreparedSet, open_set
from tfen.models.weights import build
from tfen.training.adversarial import Game
from tfen.training.devices import make_accelerator, prepare_network


def waited() -> None:
    """Wait until the accelerator has done what it was asked to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(work: Callable[[], object]) -> float:
    waited()
    start = time.perf_counter()
    work()
    waited()
    return time.perf_counter() - start


def peak(device: torch.device, kind: torch.dtype = torch.float32, side: int = 2048) -> float:
    """Return the machine's rate for products of large matrices, operations a second."""
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    return 2 * side**3 / min(seconds(lambda: a @ b) for _ in range(8))


def make_game(settings: Settings, faces: int, expressions: int = 2) -> Game:
    accelerator = make_accelerator(settings)
    network = build(settings, expressions, faces)
    prepare_network(network, settings.train, accelerator)
    return Game(network, settings.train, accelerator)


def make_clips(found: PreparedSet, settings: Settings, device: torch.device) -> Clips:
    store = FrameStore(found, settings.model.image_size, settings.data)
    labels = face_labels(list(found.sequences), settings.data)
    model = settings.model
    return Clips(store, list(found.sequences), model.frames, model.image_size, labels, device=device)


def loaded(clips: Clips, batch: int) -> float:
    """Return the clips a second that the loader makes when nobody else works."""
    took = [seconds(partial(deque, clips.training(epoch, batch, 0), 0)) for epoch in (1, 2, 3)]
    return len(clips) / min(took[1:])  # the first decodes the frames


def epoch(game: Game, clips: Clips, batch: int, steps: int) -> tuple[float, float, int]:
    """Return seconds in all, seconds of waiting for the loader, and clips."""
    waiting, count, ready = 0.0, 0, clips.training(1, batch, 0)
    waited()
    start = time.perf_counter()
    for step in range(1, steps + 1):
        before = time.perf_counter()
        one = next(ready, None)
        waiting += time.perf_counter() - before
        if one is None:
            break
        game.play(one, step, 1)
        count += len(one.expressions)
    waited()
    return time.perf_counter() - start, waiting, count


def operations(game: Game, one: Batch) -> float:
    """Return the operations of an average step for one clip, both players' steps at their turns."""
    with FlopCounterMode(display=False) as network:
        game.network_step(one)
    with FlopCounterMode(display=False) as adversary:
        game.adversary_step(one)
    turns = 1 / game.settings.adversary_interval
    return (network.get_total_flops() * (1 - turns) + adversary.get_total_flops() * turns) / len(one.expressions)


def options(found: PreparedSet, settings: Settings, batch: int) -> None:
    def other(**train: object) -> Settings:
        own = replace(settings.train, precision="no", channels_last="yes")
        return replace(settings, train=replace(own, **train))

    one = next(iter(make_clips(found, settings, make_accelerator(settings).device).testing(batch)))
    for name, changed, base in (
        ("channels last against plain", other(), other(channels_last="no")),
        ("bf16 against single precision, both channels last", other(precision="bf16"), other()),
        ("torch.compile against none, both channels last", other(compile=True), other()),
    ):
        games = (make_game(base, 12), make_game(changed, 12))
        times = [[seconds(partial(game.network_step, one)) for game in games] for _ in range(11)]
        ratios = [first / second for first, second in times[2:]]
        print(f"{name}: {statistics.median(ratios):.2f} times as fast")


def main() -> None:
    on_cpu, texts = "--cpu" in sys.argv, [text for text in sys.argv[1:] if text != "--cpu"]
    sizes = [tuple(int(x) for x in text.split("x")) for text in texts] or [(16, 64, 16), (32, 112, 8), (64, 224, 4)]
    here = {"device": "cpu" if on_cpu else "auto"}
    device = make_accelerator(make_settings("synth", {"train": here})).device
    best = peak(device)
    print(f"{device.type}, {torch.get_num_threads()} threads")
    for width, size, batch in sizes:
        settings = make_settings("synth", {"model": {"width": width, "image_size": size}, "train": here})
        with tempfile.TemporaryDirectory() as folder:
            make_frames(Path(folder), round(size * 244 / 224))
            found = open_set(Path(folder))
            clips = make_clips(found, settings, device)
            game = make_game(settings, 12)
            steps = max(6, round(1.5e6 * batch / (size**2 * width)))
            epoch(game, clips, batch, 10**6 if size < 100 else steps)  # decodes the frames
            runs = [epoch(game, clips, batch, steps) for _ in range(3)]
            took, waited, count = (sum(values) for values in zip(*runs))
            alone = loaded(clips, batch)
            for_accelerator = loaded(make_clips(found, settings, torch.device("meta")), batch)  # computes nothing
            flops = operations(game, next(iter(clips.testing(batch))))
            print(
                f"width {width}, {size} pixels, batches of {batch}: {count / took:.2f} clips/s, "
                f"{100 * waited / took:.1f} % of the time waiting for the loader (alone it makes {alone:.0f} clips/s, "
                f"and {for_accelerator:.0f} where an accelerator normalises), "
                f"{flops * count / took / best:.2f} of the rate of large matrix products ({flops / 1e9:.1f} GFLOP a clip)"
            )
            if (width, size, batch) == sizes[0]:
                options(found, settings, batch)


if __name__ == "__main__":
    main()
