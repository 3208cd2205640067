"""The sound of a film under another film that was made of its pictures."""

from collections.abc import Iterator
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import Any

import av

from tfen.files import whole_file
from tfen.video.reading import FORMATS

COPIED = ("aac", "mp3", "ac3", "eac3", "opus", "alac", "flac")
"""Sound that an .mp4 can hold as it is; other sound is written anew."""


def add_sound(film: Path, source: Path) -> bool:
    """Put the sound of a source under a film whose times are those of the source's clock; return whether there is any.

    A film whose source cannot be heard stays as it is.

    Args:
        film: an .mp4 file, which is replaced.
        source: the film that it was made from.
    """
    try:
        with av.open(str(source), options={"format_whitelist": FORMATS, "protocol_whitelist": "file"}) as heard:
            if not heard.streams.audio:
                return False
            with whole_file(film) as part:
                _write(part, film, heard)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _write(part: Path, film: Path, heard: Any) -> None:
    track = heard.streams.audio[0]
    begin = max(0.0, (heard.start_time or 0) / av.time_base)
    with av.open(str(film)) as seen, av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as out:
        pictures = seen.streams.video[0]
        video = out.add_stream_from_template(pictures)
        copied = track.codec_context.name in COPIED
        audio = out.add_stream_from_template(track) if copied else out.add_stream("aac", rate=track.rate or 48000)
        if not copied:
            audio.layout = "mono" if track.channels == 1 else "stereo"
        end = float(pictures.duration * (pictures.time_base or 0)) if pictures.duration else float("inf")
        sound = _copied(heard, track, begin, end) if copied else _encoded(heard, track, audio, begin, end)
        for _, track_number, packet in merge(_packets(seen, pictures), sound, key=lambda one: one[:2]):
            packet.stream = (video, audio)[track_number]
            out.mux(packet)


def _packets(film: Any, stream: Any) -> Iterator[tuple[float, int, Any]]:
    for packet in film.demux(stream):
        if packet.dts is not None:
            yield float(packet.dts * packet.time_base), 0, packet


def _copied(film: Any, stream: Any, begin: float, end: float) -> Iterator[tuple[float, int, Any]]:
    """Yield the packets of a track as they are, their times moved so that the film begins at 0."""
    shift = round(begin / stream.time_base)
    last = None
    for packet in _sane(film, stream):
        if packet.dts is None or packet.pts is None:
            continue
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        time = float(packet.dts * packet.time_base)
        if time > end:
            return
        if last is None or packet.dts > last:
            last = packet.dts
            yield time, 1, packet


def _encoded(film: Any, stream: Any, output: Any, begin: float, end: float) -> Iterator[tuple[float, int, Any]]:
    """Yield a track as AAC."""
    resampler = av.AudioResampler("fltp", output.layout, output.rate)

    def packets(frame: Any) -> Iterator[tuple[float, int, Any]]:
        for packet in output.encode(frame):
            yield float(packet.dts * packet.time_base), 1, packet

    shift, last = round(begin * output.rate), -1
    for packet in _sane(film, stream):
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):  # a damaged packet costs its own sound
            continue
        for frame in frames:
            for one in resampler.resample(frame):
                one.pts, one.time_base = max(last + 1, (one.pts or 0) - shift), Fraction(1, output.rate)
                last = one.pts + one.samples - 1
                if one.pts / output.rate > end:
                    yield from packets(None)
                    return
                yield from packets(one)
    yield from packets(None)


def _sane(film: Any, stream: Any) -> Iterator[Any]:
    """Yield a track's packets until the film breaks off."""
    try:
        yield from film.demux(stream)
    except (av.FFmpegError, OSError, ValueError):
        return
