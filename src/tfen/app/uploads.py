"""What comes from outside: taken within limits, judged by its content, never by its name."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from tfen.app.settings import Limits
from tfen.errors import InputError
from tfen.video.photographs import UNREADABLE, is_cut_off, is_still, open_picture
from tfen.video.reading import look_at

PICTURES = ("JPEG", "MPO", "PNG", "BMP", "TIFF", "WEBP", "HEIF", "AVIF")
"""Pillow's names of the kinds of pictures that are taken; MPO is a JPEG with further pictures behind the first."""
MOVING = ("PNG", "WEBP", "AVIF")
"""Those that may be animated: then they are films."""


class Refused(Exception):
    """A request that is not met: the HTTP status and one clear sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


async def receive(chunks: AsyncIterator[bytes], announced: str | None, path: Path, limits: Limits) -> None:
    """Write an upload to `path`.

    Args:
        chunks: of the file.
        announced: the header Content-Length, if there is one.

    Raises:
        Refused: too large, too slow, or empty.
    """
    most = int(limits.megabytes * 2**20)
    large = Refused(413, f"the upload is larger than {limits.megabytes:g} MB; cut the film or make it smaller")
    if announced is not None and announced.isdecimal() and int(announced) > most:
        raise large
    size = 0
    try:
        async with asyncio.timeout(limits.upload_seconds):
            with path.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > most:
                        raise large
                    file.write(chunk)
    except TimeoutError:
        raise Refused(408, f"the upload took longer than {limits.upload_seconds:g} seconds") from None
    if size == 0:
        raise Refused(400, "the upload is empty; send a film or a photograph")


class FormFile:
    """The file in a form (`curl -F file=@film.mp4`), as it comes; `name` is known with the first bytes.

    Args:
        chunks: of the request's body.
        content_type: of the request.
    """

    def __init__(self, chunks: AsyncIterator[bytes], content_type: str) -> None:
        self.name = ""
        self._chunks = chunks
        self._files = 0
        self._inside = False
        self._header, self._value, self._headers = b"", b"", dict[bytes, bytes]()
        self._got: list[bytes] = []
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise Refused(
                400, "the form has no boundary; send the file as the request's body, or with `curl -F file=@NAME`"
            )
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
            },
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            try:
                self._parser.write(chunk)
            except MultipartParseError:
                raise Refused(400, "the form is damaged; send the file again") from None
            for part in self._got:
                yield part
            self._got.clear()
        if not self._files:
            raise Refused(400, "the form has no file; send one with `curl -F file=@NAME`")

    def _begin(self) -> None:
        self._headers = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _headers_end(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition"))[1]
        if b"filename" not in options:
            raise Refused(400, "the form may hold a file and nothing else; settings belong into the address")
        self._files += 1
        if self._files > 1:
            raise Refused(400, "the form holds several files; send one at a time")
        self.name = options[b"filename"].decode("utf-8", "replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._got.append(data[start:end])


@dataclass(frozen=True)
class Judged:
    """What an upload is: `kind` film or photograph, the `seconds` that it lasts, and the `suffix` with which it is read."""

    kind: str
    seconds: float
    suffix: str


def judge(path: Path, limits: Limits) -> Judged:
    """Return what an upload is, as its content says.

    Raises:
        Refused: neither a film nor a photograph, or too large or long.
    """
    picture = _picture(path, limits)
    if picture is not None:
        return picture
    try:
        film = look_at(path)
    except InputError as error:
        raise Refused(415, "this is neither a film nor a photograph: " + str(error).removeprefix(f"{path} ")) from None
    if film.seconds > limits.seconds:
        raise Refused(413, f"the film is {film.seconds:.0f} seconds long; at most {limits.seconds:g} are taken here")
    size, pixels = f"{film.width}x{film.height} pixels", film.width * film.height / 1e6
    if pixels > limits.megapixels:
        raise Refused(
            413, f"the film has {size}; at most {limits.megapixels:g} million are taken here: make it smaller"
        )
    if pixels * film.rate > limits.megapixels_per_second:
        raise Refused(
            413,
            f"the film has {size} at {film.rate:.0f} frames a second; at most {limits.megapixels_per_second:g} million "
            "pixels a second are taken here: make it smaller, or take fewer frames a second",
        )
    return Judged("film", film.seconds, ".film")


def _picture(path: Path, limits: Limits) -> Judged | None:
    """Return what a picture is, from its header alone; None where it is none.

    Raises:
        Refused: it is too large.
    """
    if is_cut_off(path):
        raise Refused(415, "the photograph ends before its picture does; send it again")
    try:
        with open_picture(path) as picture:
            width, height = picture.size
            if picture.format not in PICTURES:
                return None
            moving = picture.format in MOVING and getattr(picture, "is_animated", False)
    except Image.DecompressionBombError:
        raise Refused(413, "the photograph has too many pixels") from None
    except UNREADABLE:
        if is_still(path):
            raise Refused(415, "this is neither a film nor a photograph that can be read: it is damaged") from None
        return None
    most = limits.megapixels if moving else limits.photograph_megapixels
    if width * height > most * 2**20:
        raise Refused(413, f"the picture has {width}x{height} pixels; at most {most:g} million are taken here")
    return Judged("film", 0.0, ".png") if moving else Judged("photograph", 0.0, ".jpg")


def shown_name(name: str) -> str:
    """Return a file's name as it may be shown: no folders, no control characters, not too long."""
    plain = re.sub(r"[\x00-\x1f\x7f<>\"&\\]", "", name.replace("\\", "/").rsplit("/", 1)[-1]).strip()
    return plain[:100] or "upload"
