"""Speed and memory of `tfen analyze`.

usage: python benchmarks/analyzing.py [CLIP]

Without CLIP, a film of a synthetic head is made (640x360, 25 frames/s). Prints
1. streamed against computed anew: the paper's network, windows of 7 frames that slide by one; both in the same run;
2. frames/s from the file to the table with the packaged weights: decoding, detection, landmarks, tracking, network;
3. resident memory after a film ten times as long, over that after the short one.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from tfen.config import make_settings
from tfen.inference.engine import Engine
from tfen.labels import EXPRESSIONS
from tfen.models.weights import Loaded, build

STEPS = 12


def streaming() -> None:
    """Compare one new frame and T a step with all seven frames and T a step."""
    settings = make_settings("paper-ckplus")
    torch.manual_seed(0)
    loaded = Loaded(build(settings, len(EXPRESSIONS), 0).eval(), settings, EXPRESSIONS, {})
    engine = Engine(loaded)
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (engine.size, engine.size, 3), np.uint8) for _ in range(STEPS + 6)]

    def streamed() -> list[np.ndarray]:
        codes = engine.encode(crops[:1])
        out = []
        for crop in crops[1:]:
            codes += engine.encode([crop])
            if len(codes) >= 7:
                out.append(engine.scores([codes[-7:]]))
        return out

    def anew() -> list[np.ndarray]:
        return [engine.scores([engine.encode(crops[k : k + 7])]) for k in range(len(crops) - 6)]

    for run in (streamed, anew):
        run()
    seconds = {"streamed": 0.0, "anew": 0.0}
    for _ in range(3):
        for name, run in (("streamed", streamed), ("anew", anew)):
            begin = time.perf_counter()
            said = run()
            seconds[name] += (time.perf_counter() - begin) / (len(said) if name == "anew" else len(crops))
    apart = max(float(np.abs(a - b).max()) for a, b in zip(streamed(), anew()))
    print(
        f"streamed: {seconds['anew'] / seconds['streamed']:.2f} times as fast a step; scores differ by {apart:.1e} at most"
    )


def make_film(path: Path, seconds: float) -> None:
    """Write a film of a synthetic head that walks about and smiles now and then."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tfen.cli", "synth", f"{folder}/head", "--subjects", "1", "--frames", "9",
                   "--size", "170", "--framing", "1.6", "--expressions", "neutral", "happiness"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        files = sorted((Path(folder) / "head" / "frames" / "s0000-happiness").iterdir())
        heads = [cv2.imread(str(file))[..., ::-1] for file in files]
    back = cv2.resize(
        np.random.default_rng(0).integers(40, 200, (6, 9, 3)).astype(np.uint8),
        (640, 360),
        interpolation=cv2.INTER_CUBIC,
    )
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for k in range(round(25 * seconds)):
            level = np.clip(2.5 * np.sin(k / 25), 0, 1)
            picture = back.copy()
            x, y = 220 + int(150 * np.sin(k / 60)), 90 + int(30 * np.sin(k / 35))
            picture[y : y + 170, x : x + 170] = heads[round(8 * level)]
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)


WATCHED = """
import re, sys, time
from pathlib import Path
from tfen import Analyzer
analyzer = Analyzer("packaged")
frames = 0
def watch(frame):
    global frames
    frames += 1
begin = time.perf_counter()
faces = sum(result.face is not None for result in analyzer(Path(sys.argv[1]), watch))
seconds = time.perf_counter() - begin
# not getrusage: its peak is inherited from the process that started this one
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(frames, seconds, faces, peak)
"""


def analyze(film: Path) -> tuple[int, float, int, int]:
    """Return frames, seconds, results with a face, and peak resident memory (KiB) of a fresh process."""
    done = subprocess.run([sys.executable, "-c", WATCHED, str(film)], check=True, capture_output=True, text=True)
    frames, seconds, faces, memory = done.stdout.split()
    return int(frames), float(seconds), int(faces), int(memory)


def main() -> None:
    streaming()
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.mp4", Path(folder) / "long.mp4"
        make_film(short, 20)
        make_film(long, 200)
        clip = Path(sys.argv[1]) if len(sys.argv) > 1 else short
        frames, seconds, faces, _ = analyze(clip)
        print(
            f"end to end: {frames / seconds:.0f} frames/s ({clip.name}: {frames} frames, {faces} results with a face)"
        )
        (_, _, _, less), (_, _, _, more) = analyze(short), analyze(long)
        print(
            f"memory: a film ten times as long takes {more / less:.2f} times as much ({less >> 10} and {more >> 10} MiB)"
        )


if __name__ == "__main__":
    main()
