"""Does the label follow a face in time, and is it steady while the face is still?

usage: python benchmarks/motion.py [--variation NAME] [WEIGHTS [CLIP ...]]

Makes films of eight synthetic people that no training has seen (seed 51): calm, then an expression that comes in 0.4
seconds, stays for 1.6, goes in 0.4, then calm again; 25 frames/s, a little camera noise. Prints, for each expression, the
share of results that are right while it is shown and while the face is calm, how late the label comes and goes (against
the time at which the expression is half shown), and how often the label changes while the face is still; and, of a second
film of the same length in which the face shows the expression all the time and is never calm, the share that is right. If
the weights have learned references, all of it is done with and without them (`AnalyzerSettings.reference`). --variation:
of `tfen synth`, lab if not given. For each CLIP it prints the labels over time.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from tfen import Analyzer
from tfen.video.reading import Frame

SHOWN = ("happiness", "surprise", "anger", "sadness")
ONSET, STAYS, OFFSET, END = 1.5, 1.9, 3.5, 5.4


def level(time: float) -> float:
    """How much of the expression is shown."""
    return float(np.interp(time, (ONSET, STAYS, OFFSET, OFFSET + 0.4), (0, 1, 1, 0)))


def make_heads(folder: Path, variation: str) -> None:
    command = [sys.executable, "-m", "tfen.cli", "synth", str(folder), "--subjects", "8", "--frames", "9", "--size", "200",
               "--framing", "1.6", "--seed", "51", "--variation", variation, "--expressions", *SHOWN]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


def film(files: list[Path], rng: np.random.Generator, shown: Callable[[float], float]) -> list[Frame]:
    heads = [cv2.imread(str(file))[..., ::-1].astype(np.float32) for file in files]
    frames = []
    for k in range(round(25 * END)):
        picture = np.full((360, 640, 3), 96, np.float32)
        picture[80:280, 220:420] = heads[round((len(heads) - 1) * shown(k / 25))]
        noisy = picture + rng.normal(0, 2, picture.shape)
        frames.append(Frame(k, k / 25, noisy.clip(0, 255).astype(np.uint8)))
    return frames


def measure(analyzer: Analyzer, heads: Path) -> None:
    rng = np.random.default_rng(0)
    columns = f"{'shown':<12}{'right':>8}{'calm':>8}{'comes, s':>16}{'goes, s':>16}{'changes while still':>22}"
    print(columns + f"{'never calm: right':>20}")
    late: list[float] = []
    for expression in SHOWN:
        right, calm, changes, comes, goes, never, always = [], [], 0, [], [], 0, []
        for subject in range(8):
            files = sorted((heads / "frames" / f"s{subject:04d}-{expression}").iterdir())
            told = [(one.time, one.label) for one in analyzer(film(files, rng, level)) if one.face is not None]
            right += [label == expression for time, label in told if STAYS <= time <= OFFSET]
            calm += [label == "neutral" for time, label in told if time < ONSET - 0.5 or time > OFFSET + 0.9]
            still = ((0.0, ONSET - 0.5), (STAYS + 0.5, OFFSET - 0.5), (OFFSET + 0.9, END))
            for begin, end in still:
                labels = [label for time, label in told if begin <= time <= end]
                changes += sum(a != b for a, b in pairwise(labels))
            one_and_same = analyzer(film(files, rng, lambda time: 1.0))
            always += [one.label == expression for one in one_and_same if one.face is not None]
            shown = [time for time, label in told if label == expression and ONSET - 0.8 < time < OFFSET + 1.2]
            if not shown:
                never += 1
                continue
            comes.append(shown[0] - (ONSET + 0.2))
            goes.append(shown[-1] + analyzer.step - (OFFSET + 0.2))
        late += comes + goes
        span = [f"{np.median(x):+.2f} ({min(x):+.2f} {max(x):+.2f})" if x else "never" for x in (comes, goes)]
        print(
            f"{expression:<12}{100 * np.mean(right):>6.0f} %{100 * np.mean(calm):>6.0f} %"
            f"{span[0]:>22}{span[1]:>22}{changes:>8}{100 * np.mean(always):>10.0f} %"
            + (f"   never in {never} of 8" if never else "")
        )
    print(f"within half a second: {sum(abs(x) <= 0.5 for x in late)} of {len(late)} onsets and offsets")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", nargs="?", default="packaged")
    parser.add_argument("clips", nargs="*")
    parser.add_argument("--variation", default="lab")
    given = parser.parse_args()
    analyzers = {"": Analyzer(given.weights)}
    if analyzers[""].refers:
        analyzers = {"with references": analyzers[""], "without": Analyzer(given.weights, reference=False)}
    with tempfile.TemporaryDirectory() as folder:
        heads = Path(folder) / "heads"
        make_heads(heads, given.variation)
        for name, analyzer in analyzers.items():
            print(name)
            measure(analyzer, heads)
    for clip in given.clips:
        told = [
            f"{one.time:.1f} {one.label} {one.confidence:.2f}"
            for one in next(iter(analyzers.values()))(Path(clip))
            if one.confidence is not None
        ]
        print(f"{Path(clip).name}: {', '.join(told) or 'no face'}")


if __name__ == "__main__":
    main()
