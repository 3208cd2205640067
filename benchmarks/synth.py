"""Synthetic faces per second on all cores, against one core of the same machine in the same run.

usage: python benchmarks/synth.py [ASSETS]     (the folder of MakeHuman's assets, to measure those too)
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from tfen.synth.generate import SynthSettings, make_set

SIZE, FRAMES = 112, 12


def rate(assets: str | None, jobs: int, subjects: int) -> float:
    """Frames per second at 112 px, the start of the processes included; Anny's and Warp's caches are warm."""
    with tempfile.TemporaryDirectory() as folder:
        settings = SynthSettings(subjects=subjects, frames=FRAMES, size=SIZE, assets=assets, variation="wild")
        start = time.perf_counter()
        about = make_set(Path(folder) / "set", settings, jobs)
        return about["counts"]["frames"] / (time.perf_counter() - start)


def main() -> None:
    cores = os.cpu_count() or 1
    rate(None, 1, 1)
    for name, assets, target in (("procedural", None, 25), ("assets", sys.argv[1] if len(sys.argv) > 1 else None, 15)):
        if name == "assets" and assets is None:
            print("assets: not measured; give their folder as the argument")
            continue
        single, all_cores = rate(assets, 1, 6), rate(assets, cores, 8 * cores)
        print(
            f"{name}: {all_cores:.1f} frames/s at {SIZE} px on {cores} cores "
            f"({all_cores / target:.2f} times the target of {target}), {all_cores / single:.2f} times one core"
        )


if __name__ == "__main__":
    main()
