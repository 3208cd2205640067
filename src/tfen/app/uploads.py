"""What comes from outside: taken within limits, judged by its content, never by its name."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tfen.errors import InputError
from tfen.video.reading import MOST_PIXELS, look_at


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a client may ask for."""

    megabytes: float = 200.0
    """Of an upload."""
    seconds: float = 600.0
    """Length of a film."""
    upload_seconds: float = 120.0
    """That an upload may take."""
    work_seconds: float = 900.0
    """That the analysis of a film may take."""
    waiting: int = 8
    """Films that wait or are worked on; one more is refused for the time being."""
    kept: int = 24
    """Finished analyses that are kept."""
    kept_seconds: float = 900.0
    """For which they are kept."""
    live: int = 2
    """Cameras at a time."""


class Refused(Exception):
    """An upload that is not taken: the HTTP status and one clear sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


async def receive(chunks: AsyncIterator[bytes], announced: str | None, path: Path, limits: Limits) -> None:
    """Write an upload to `path`.

    Args:
        chunks: of the body.
        announced: the header Content-Length, if there is one.

    Raises:
        Refused: too large, too slow, or empty.
    """
    most = int(limits.megabytes * 2**20)
    large = Refused(413, f"the upload is larger than {limits.megabytes:g} MB; cut the film or make it smaller")
    if announced is not None and announced.isdecimal() and int(announced) > most:
        raise large
    size, end = 0, time.monotonic() + limits.upload_seconds
    try:
        async with asyncio.timeout(limits.upload_seconds):
            with path.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > most:
                        raise large
                    if time.monotonic() > end:
                        raise TimeoutError
                    file.write(chunk)
    except TimeoutError:
        raise Refused(408, f"the upload took longer than {limits.upload_seconds:g} seconds") from None
    if size == 0:
        raise Refused(400, "the upload is empty; send a film or a photograph as the request's body")


def judge(path: Path, limits: Limits) -> tuple[str, float]:
    """Return "photograph" or "film", as the content says, and the seconds that it lasts.

    Raises:
        Refused: neither, or too large or long.
    """
    try:
        with Image.open(path) as image:  # reads the header alone
            if image.size[0] * image.size[1] > MOST_PIXELS // 2:
                raise Refused(413, f"the photograph has {image.size[0]}x{image.size[1]} pixels: too large")
            if image.format in ("JPEG", "PNG", "BMP", "TIFF", "WEBP") and not getattr(image, "is_animated", False):
                return "photograph", 0.0
    except Image.DecompressionBombError:
        raise Refused(413, "the photograph has too many pixels") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        pass
    try:
        film = look_at(path)
    except InputError as error:
        raise Refused(415, "this is neither a film nor a photograph: " + str(error).removeprefix(f"{path} ")) from None
    if film.seconds > limits.seconds:
        raise Refused(413, f"the film is {film.seconds:.0f} seconds long; at most {limits.seconds:g} are taken here")
    return "film", film.seconds


def shown_name(name: str) -> str:
    """Return a file's name as it may be shown: no folders, no control characters, not too long."""
    plain = re.sub(r"[\x00-\x1f\x7f<>\"&\\]", "", name.replace("\\", "/").rsplit("/", 1)[-1]).strip()
    return plain[:100] or "upload"
