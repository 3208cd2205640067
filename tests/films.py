"""Films whose content is known: synthetic heads pasted where a test wants them."""

import subprocess
import sys
from collections.abc import Callable, Iterable
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
    aspect: Fraction | None = None,
) -> Path:
    """Write a film with these frames at these times; `aspect` is that of its pixels."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = form
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "16", "g": "5"}
        elif codec == "libx265":
            stream.options = {"x265-params": "pools=none:frame-threads=1:log-level=none"}
        for image, time in zip(images, times):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return path


def damage(film: Path, packets: Iterable[int]) -> Path:
    """Overwrite some of a film's packets, less their first bytes."""
    with av.open(str(film)) as opened:
        places = [(packet.pos, bytes(packet)) for packet in opened.demux(opened.streams.video[0]) if packet.size]
    data = bytearray(film.read_bytes())
    for k in packets:
        at = data.index(places[k][1], places[k][0])
        size = len(places[k][1])
        data[at + 4 : at + size] = np.random.default_rng(k).bytes(size - 4)
    film.write_bytes(data)
    return film


def write_heic(path: Path, tiles: list[Image], columns: int) -> Path:
    """Write a photograph as phones do: tiles that are HEVC pictures of their own, and an item that lays them out."""
    coded, settings = [], b""
    for tile in tiles:
        film = write_film(path.with_suffix(".hevc"), [tile], [0], "libx265")
        units = [unit.rstrip(b"\0") for unit in film.read_bytes().split(b"\0\0\1")[1:]]
        film.unlink()
        of = {unit[0] >> 1: unit for unit in units}
        coded.append(b"".join(len(unit).to_bytes(4, "big") + unit for unit in units if unit[0] >> 1 < 32))
        profile = of[33].replace(b"\0\0\3", b"\0\0")[3:15]
        headers = [
            bytes([0x80 | kind]) + b"\0\1" + len(of[kind]).to_bytes(2, "big") + of[kind] for kind in (32, 33, 34)
        ]
        settings = b"\1" + profile + b"\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\3" + b"".join(headers)
    count, (high, wide) = len(tiles), tiles[0].shape[:2]
    rows, grid = count // columns, count + 1

    def box(kind: bytes, *content: bytes) -> bytes:
        inner = b"".join(content)
        return (8 + len(inner)).to_bytes(4, "big") + kind + inner

    def n(value: int, size: int = 2) -> bytes:
        return value.to_bytes(size, "big")

    layout = b"\0\0" + bytes([rows - 1, columns - 1]) + n(wide * columns) + n(high * rows)
    names = [box(b"infe", n(2, 1), n(0, 3), n(k), n(0), kind, b"\0") for k, kind in
             [*((k, b"hvc1") for k in range(1, count + 1)), (grid, b"grid")]]  # fmt: skip
    properties = box(
        b"ipco", box(b"hvcC", settings), box(b"ispe", n(0, 4), n(wide, 4), n(high, 4)),
        box(b"ispe", n(0, 4), n(wide * columns, 4), n(high * rows, 4)),
    )  # fmt: skip
    owners = b"".join(n(k) + b"\2\x81\2" for k in range(1, count + 1)) + n(grid) + b"\1\3"
    parts = [*coded, layout]

    def meta(begin: int) -> bytes:
        places, at = b"", begin
        for k, part in enumerate(parts, 1):
            places += n(k) + n(0) + n(1) + n(at, 4) + n(len(part), 4)
            at += len(part)
        return box(
            b"meta", n(0, 4),
            box(b"hdlr", n(0, 8), b"pict", n(0, 12), b"\0"),
            box(b"pitm", n(0, 4), n(grid)),
            box(b"iloc", n(0, 4), b"\x44\0", n(len(parts)), places),
            box(b"iinf", n(0, 4), n(len(names)), *names),
            box(b"iref", n(0, 4), box(b"dimg", n(grid), n(count), *(n(k) for k in range(1, count + 1)))),
            box(b"iprp", properties, box(b"ipma", n(0, 4), n(grid, 4), owners)),
        )  # fmt: skip

    head = box(b"ftyp", b"heic", n(0, 4), b"mif1heic")
    begin = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(begin) + box(b"mdat", *parts))
    return path
