"""Preparing a set: its rate against decoding and detection alone, and its memory for a set ten times as large.

usage: python benchmarks/preparing.py [SEQUENCES]     (2,000 if not given)
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import psutil
import torch

from tfen.faces.detectors import DEFAULT_DETECTOR, make_detector
from tfen.faces.landmarks import packaged_landmarker
from tfen.synth.generate import SynthSettings
from tfen.synth.layouts import make_layout
from tfen.video.photographs import read_image

FRAMES = 3


def lay(root: Path, sequences: int, images: list[np.ndarray]) -> None:
    """Lay sequences of shifted copies of synthetic frames, two expressions by turns."""
    rng = np.random.default_rng(0)
    for k in range(sequences):
        folder = root / ("anger", "fear")[k % 2] / f"subject {k // 2:05d}"
        folder.mkdir(parents=True)
        for frame in range(FRAMES):
            shift = np.float32([[1, 0, rng.integers(-6, 7)], [0, 1, rng.integers(-6, 7)]])
            image = images[int(rng.integers(len(images)))]
            moved = cv2.warpAffine(image, shift, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
            cv2.imwrite(str(folder / f"{frame}.jpg"), moved[..., ::-1])


def prepare(source: Path, out: Path) -> tuple[float, float]:
    """Return seconds, and the peak memory (MiB) of the largest process, looked at five times a second."""
    start, peak = time.perf_counter(), 0
    work = psutil.Popen(
        [sys.executable, "-m", "tfen.cli", "prepare", "folder", str(source), str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while work.poll() is None:
        for process in (work, *work.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                peak = max(peak, process.memory_info().rss)
        time.sleep(0.2)
    if work.returncode != 0:
        sys.exit(f"preparing {source} failed")
    return time.perf_counter() - start, peak / 2**20


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        plan = SynthSettings(subjects=2, frames=2, size=240, variation="lab", first_subject=3)
        make_layout(place / "faces", plan, "oulu-casia", 1)
        images = [read_image(path) for path in sorted((place / "faces/OriginalImg/VL/Strong").rglob("*.jpeg"))]
        small, large = place / "small", place / "large"
        lay(small, count // 10, images)
        lay(large, count, images)
        files = sorted(large.rglob("*.jpg"))[:600]
        detector, landmarker = make_detector(DEFAULT_DETECTOR), packaged_landmarker()
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        start = time.perf_counter()
        for path in files:
            image = read_image(path)
            faces = detector.detect(image)
            if faces:
                landmarker.locate(image, faces[0].box)
        alone = (time.perf_counter() - start) / len(files)
        _, memory_small = prepare(small, place / "out-small")
        seconds, memory_large = prepare(large, place / "out-large")
        rate = count * FRAMES / seconds
        print(
            f"preparing: {rate:.0f} frames/s on {cores} cores, {rate * alone / cores:.2f} of what decoding and detection "
            f"alone allow; {seconds:.0f} s for {count} sequences"
        )
        print(
            f"peak memory of the largest process: {memory_large:.0f} MiB for {count} sequences, "
            f"{memory_large / memory_small:.2f} times that for {count // 10}"
        )


if __name__ == "__main__":
    main()
