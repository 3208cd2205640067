"""Films whose content is known: synthetic heads pasted where a test wants them."""

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

Image = np.ndarray
SIZE = (640, 360)


def make_actors(folder: Path) -> None:
    """Two synthetic heads, calm and smiling, the whole head in the picture."""
    done = subprocess.run(
        [sys.executable, "-m", "tfen.cli", "synth", str(folder), "--subjects", "2", "--frames", "5", "--size", "150",
         "--framing", "1.6", "--expressions", "neutral", "happiness", "--seed", "5", "--jobs", "1"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def actor(folder: Path, name: str) -> list[Image]:
    """The frames of an actor's sequence, RGB, from calm to full expression."""
    images = [cv2.imread(str(path)) for path in sorted((folder / "frames" / name).iterdir())]
    return [np.ascontiguousarray(image[..., ::-1]) for image in images if image is not None]


def scene(seed: int, size: tuple[int, int] = SIZE) -> Image:
    """Something out of focus."""
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.uniform(40, 200, (4, 6, 3)).astype(np.uint8), size, interpolation=cv2.INTER_CUBIC)


def paste(picture: Image, face: Image, x: int, y: int) -> Image:
    """A copy of the picture with a face at (x, y), cut off at the edges."""
    picture = picture.copy()
    height, width = picture.shape[:2]
    top, left = max(0, y), max(0, x)
    if left >= width or top >= height:
        return picture
    part = face[top - y : height - y, left - x : width - x]
    picture[top : top + part.shape[0], left : left + part.shape[1]] = part
    return picture


def shots(draw: Callable[[float], Image], seconds: float, rate: float = 12.5) -> tuple[list[Image], list[float]]:
    """Pictures and times of a film that `draw` tells."""
    times = [k / rate for k in range(round(seconds * rate))]
    return [draw(time) for time in times], times


def still(actors: Path, seconds: float, number: int = 0, x: int = 200) -> tuple[list[Image], list[float]]:
    """A film in which one actor looks into the camera."""
    face, back = actor(actors, f"s000{number}-neutral")[0], scene(number)
    return shots(lambda time: paste(back, face, x, 90), seconds)


def write_film(
    path: Path,
    images: list[Image],
    times: list[float],
    codec: str = "libx264",
    form: str = "yuv420p",
    rotation: int = 0,
) -> Path:
    """Write a film with these frames at these times."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = form
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "16", "g": "5"}
        for image, time in zip(images, times):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return path
