"""What a GPU does, and whether anything keeps it waiting; eight minutes at most.

usage: python benchmarks/gpu.py [--device cpu] [--small] [--parts PART ...]

Needs no data: sets of noise and synthetic faces are made on the way. Prints, each beside the card's own rate for products of
large matrices in the same run:

- the network alone on batches that are ready, both players' turns, for the paper's size (width 64, 224 pixels, batches of
  32) in single precision without TF32, then with TF32, channels last, bf16, and compiled, as times the first;
- a training end to end as a share of the network alone at the same settings (wanted: at least 0.85), for the paper's size
  and for the preset `release`; face pretraining likewise;
- `tfen.Analyzer` on films with one and with eight faces, frames a second against the processor's, and by how much
  probabilities differ (by 0.004 on an H200: landmarks differ in their last bits, and faces are cut out by them);
- `tfen synth --device cuda` against the processor with one process each, and by how much pixels differ.

--small: the same on small networks and sets, to try this script where there is no GPU, with --device cpu.
--parts: some of network, paper, release, faces, analysis, rendering; all if not given.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from speed import make_clips, make_game, operations, peak, seconds, waited

from tfen import Analyzer
from tfen.config import Settings, make_settings
from tfen.data.clips import Batch
from tfen.data.prepared import PreparedSet, SequenceRecord, open_set, write_set
from tfen.synth.generate import make_set
from tfen.synth.settings import SynthSettings
from tfen.training.adversarial import Game
from tfen.training.devices import make_accelerator
from tfen.training.faces import FaceNetwork, pretrain_faces
from tfen.video.photographs import read_image
from tfen.video.reading import Frame

EXPRESSIONS = ("anger", "fear", "happiness", "neutral", "sadness", "surprise")


def noise_set(folder: Path, people: int, frames: int, size: int) -> PreparedSet:
    """Make a set of six sequences a person; all of them show the same few pictures, so that it is quickly made."""
    rng = np.random.default_rng(0)
    pictures = []
    for k in range(frames):
        path = folder / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(rng.integers(0, 255, (size // 4, size // 4, 3), np.uint8), (size, size)))
        pictures.append(path)
    sequences = []
    for person in range(people):
        for expression in EXPRESSIONS:
            place = folder / "frames" / f"p{person}-{expression}"
            place.mkdir(parents=True)
            for path in pictures:
                os.link(path, place / path.name)
            sequences.append(SequenceRecord(place.name, f"p{person}", expression, frames))
    write_set(folder, sequences, {"set": "noise"})
    return open_set(folder)


def both_turns(game: Game, one: Batch, steps: int) -> float:
    """Return the seconds of a step, both players' at their turns."""

    def play() -> None:
        for step in range(1, steps + 1):
            game.play(one, step, 1)

    play()
    return min(seconds(play) for _ in range(3)) / steps


def network_alone(found: PreparedSet, settings: Settings, rates: dict[str, float], cuda: bool, steps: int) -> None:
    device = make_accelerator(settings).device
    one = next(iter(make_clips(found, settings, device).testing(settings.train.batch_size)))
    first = flops = 0.0
    for name, precision, last, compiled, tf32 in (
        ("single precision", "no", "no", False, False),
        ("TF32", "no", "no", False, True),
        ("TF32, channels last", "no", "yes", False, True),
        ("bf16", "bf16", "no", False, True),
        ("bf16, channels last", "bf16", "yes", False, True),
        ("bf16, channels last, compiled", "bf16", "yes", True, True),
    ):
        if not cuda and ("TF32" in name or compiled):  # compiling takes minutes there
            continue
        train = replace(settings.train, precision=precision, channels_last=last, compile=compiled)
        began = time.perf_counter()
        game = make_game(replace(settings, train=train), len(found.subjects), len(EXPRESSIONS))
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        if not flops:
            flops = operations(game, one) * len(one.expressions)
        game.network_step(one)
        waited()
        start = time.perf_counter() - began
        took = both_turns(game, one, steps)
        first = first or took
        rate = rates["bf16" if precision == "bf16" else "TF32" if tf32 and cuda else "single"]
        print(
            f"  {name:<32}{1000 * took:>8.1f} ms a step{first / took:>7.2f} times the first{flops / took / rate:>7.2f} of "
            f"the rate of products{start:>7.1f} s before the second step"
        )
        if cuda:
            print(f"  {'':<32}{torch.cuda.max_memory_allocated() / 2**30:>8.2f} GB of the card's memory at most")
            torch.cuda.reset_peak_memory_stats()


def trained(clips: Any, game: Game, settings: Settings) -> Iterator[int]:
    """Train without end; yield how many clips each step took."""
    epoch, step = 0, 0
    while True:
        epoch += 1
        for batch in clips.training(epoch, settings.train.batch_size, 0):
            step += 1
            game.play(batch, step, 1)
            yield len(batch.expressions)


def end_to_end(found: PreparedSet, settings: Settings, steps: int) -> None:
    device = make_accelerator(settings).device
    clips = make_clips(found, settings, device)
    game = make_game(settings, len(found.subjects), len(EXPRESSIONS))
    one = next(iter(clips.training(1, settings.train.batch_size, 0)))
    alone = len(one.expressions) / both_turns(game, one, 12)
    training = trained(clips, game, settings)
    for _ in islice(training, 2 * (len(clips) // settings.train.batch_size + 1)):  # two epochs: all frames are there
        pass
    waited()
    began = time.perf_counter()
    count = sum(islice(training, steps))
    waited()
    whole = count / (time.perf_counter() - began)
    where = "the accelerator" if clips.store.card(device) is not None else "the processor's memory"
    print(f"  {whole:,.0f} clips/s, {whole / alone:.2f} of the network alone ({alone:,.0f}); frames lie in {where}")


def faces(found: PreparedSet, settings: Settings) -> None:
    accelerator = make_accelerator(settings)
    clips = make_clips(found, settings, accelerator.device)
    size, batch = settings.model.image_size, settings.face.batch_size
    network = FaceNetwork(len(found.subjects), settings.model.width).to(accelerator.device).train()
    optimiser = torch.optim.SGD(network.parameters(), 0.01)
    pixels = torch.randn(batch, 3, size, size, device=accelerator.device)
    numbers = torch.zeros(batch, dtype=torch.int64, device=accelerator.device)

    def step() -> None:
        with accelerator.autocast():
            loss = torch.nn.functional.cross_entropy(network(pixels).float(), numbers)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    step()
    alone = batch / statistics.median(seconds(step) for _ in range(9))
    own = list(found.sequences)
    pretrain = partial(pretrain_faces, clips.store, own, clips.face_labels, settings, accelerator, 0)
    pretrain()  # brings the frames
    took = seconds(pretrain)
    count = settings.face.epochs * sum(one.frames for one in own)
    print(f"  {count / took:,.0f} frames/s, {count / took / alone:.2f} of the network alone ({alone:,.0f})")


def film(heads: list[np.ndarray], people: int, count: int) -> list[Frame]:
    frames = []
    for k in range(count):
        picture = np.full((720, 1280, 3), 96, np.uint8)
        for person in range(people):
            top, left = 40 + 340 * (person // 4), 20 + 315 * (person % 4)
            picture[top : top + 280, left : left + 280] = heads[(person * 5 + k // 8) % len(heads)]
        frames.append(Frame(k, k / 25, picture))
    return frames


def analysis(folder: Path, device: str, count: int) -> None:
    make_set(folder, SynthSettings(subjects=2, frames=5, size=280, framing=1.6, expressions=EXPRESSIONS[:3]))
    heads = [read_image(path) for path in sorted(folder.glob("frames/*/*.jpg"))]
    for people in (1, 8):
        frames, took, said = film(heads, people, count), {}, {}
        for name in ("cpu", device):
            analyzer = Analyzer(device=name)  # type: ignore[arg-type]
            list(analyzer(iter(frames[:50])))
            began = time.perf_counter()
            said[name] = [list((one.probabilities or {}).values()) for one in analyzer(iter(frames))]
            took[name] = time.perf_counter() - began
        apart = np.abs(np.array(said["cpu"]) - np.array(said[device])).max()
        print(
            f"  {people} face{'s' if people > 1 else ''}: {count / took[device]:,.0f} frames/s, "
            f"{took['cpu'] / took[device]:.2f} times the processor's; probabilities differ by {apart:.1e} at most"
        )


def rendering(folder: Path, device: str, people: int) -> None:
    settings = SynthSettings(subjects=people, frames=6, size=112, variation="strangers", expressions=EXPRESSIONS[:3])
    make_set(folder / "warm", replace(settings, subjects=1, device=device), jobs=1)  # type: ignore[arg-type]
    took, pictures = {}, {}
    for name in dict.fromkeys(("cpu", device)):
        out = folder / name
        took[name] = seconds(lambda out=out, name=name: make_set(out, replace(settings, device=name), jobs=1))
        pictures[name] = np.stack([read_image(path) for path in sorted(out.glob("frames/*/*.jpg"))]).astype(int)
    apart = np.abs(pictures["cpu"] - pictures[device])
    print(
        f"  {len(apart) / took[device]:.1f} frames/s, {took['cpu'] / took[device]:.2f} times the processor's; pixels differ "
        f"by {apart.mean():.3f} of 255 on average, {apart.max()} at most"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true")
    names = ("network", "paper", "release", "faces", "analysis", "rendering")
    parser.add_argument("--parts", nargs="+", choices=names, default=names)
    given = parser.parse_args()
    cuda = given.device == "cuda"
    if cuda and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU here; try the script with --device cpu --small")
    began = time.perf_counter()
    device = torch.device(given.device)
    print(torch.cuda.get_device_name() if cuda else "processor", f"torch {torch.__version__}", sep=", ")
    side = 8192 if cuda else 1024
    torch.backends.cuda.matmul.allow_tf32 = False
    rates = {"single": peak(device, side=side)}
    torch.backends.cuda.matmul.allow_tf32 = True
    rates["TF32"] = peak(device, side=side) if cuda else rates["single"]
    rates["bf16"] = peak(device, torch.bfloat16, side) if cuda else rates["single"]
    print(", ".join(f"{name} {rate / 1e12:.3g} TFLOP/s" for name, rate in rates.items()) + " in products of matrices")
    here = {"device": "auto" if cuda else "cpu"}
    small = {"width": 8, "image_size": 32, "frames": 3}
    paper = make_settings(
        changes={"model": small if given.small else {}, "train": {**here, "batch_size": 8 if given.small else 32},
                 "data": {"grey": True}, "face": {"epochs": 1, "batch_size": 8 if given.small else 32}}
    )  # fmt: skip
    release = make_settings("release", {"model": small if given.small else {}, "train": here})
    people, frames, steps = (4, 4, 6) if given.small else (60, 16, 120)
    with tempfile.TemporaryDirectory() as place:
        big = noise_set(Path(place) / "big", people, frames, 40 if given.small else 244)
        little = noise_set(Path(place) / "little", 3 * people, 6, 40 if given.small else 80)
        parts: tuple[tuple[str, Callable[[], None]], ...] = (
            ("the network alone, the paper's size", lambda: network_alone(big, paper, rates, cuda, steps // 6)),
            ("training, the paper's size", lambda: end_to_end(big, paper, steps)),
            ("training, the preset release", lambda: end_to_end(little, release, 3 * steps)),
            ("face pretraining, the paper's size", lambda: faces(big, paper)),
            ("analysis", lambda: analysis(Path(place) / "heads", given.device, 100 if given.small else 400)),
            ("rendering", lambda: rendering(Path(place), given.device, 1 if given.small else 4)),
        )
        for name, (title, part) in zip(names, parts, strict=True):
            if name not in given.parts:
                continue
            print(f"{title} ({time.perf_counter() - began:.0f} s since the start)", flush=True)
            part()
    print(f"{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
