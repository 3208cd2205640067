"""Films and photographs in the forms that people have: read, or named with the reason."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from films import damage, scene, write_film, write_heic
from PIL import Image

from tfen.errors import InputError
from tfen.video.media import IMAGES, VIDEOS
from tfen.video.photographs import read_image
from tfen.video.reading import Frame, ReadReport, read_file, read_frames

RATE = 25


def quadrants(width: int = 128, height: int = 96) -> np.ndarray:
    """Red, green, blue and white, from the upper left to the lower right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = (255, 0, 0), (0, 255, 0)
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = (0, 0, 255), (255, 255, 255)
    return image


def corners(image: np.ndarray) -> str:
    """The colours of an image's quarters, row by row."""
    height, width = image.shape[:2]
    spots = [image[y, x] for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return "".join("w" if spot.min() > 128 else "rgb"[int(spot.argmax())] for spot in spots)


def moving(count: int) -> tuple[list[np.ndarray], list[float]]:
    images = []
    for k in range(count):
        image = scene(1, (160, 120))
        image[40:60, k : k + 20] = 255
        images.append(image)
    return images, [k / RATE for k in range(count)]


def read(path: Path) -> tuple[list[Frame], ReadReport]:
    report = ReadReport()
    return list(read_frames(path, report)), report


@pytest.mark.parametrize(
    ("ending", "codec", "form"),
    [(".mp4", "libx264", "yuv420p"), (".avi", "mpeg4", "yuv420p"), (".webm", "libvpx", "yuv420p"),
     (".mov", "mjpeg", "yuvj420p"), (".flv", "flv", "yuv420p")],
)  # fmt: skip
def test_damaged_packets_cost_their_own_frames_alone(ending: str, codec: str, form: str, tmp_path: Path) -> None:
    film = write_film(tmp_path / f"a{ending}", *moving(80), codec, form)
    whole, report = read(film)
    assert (len(whole), report) == (80, ReadReport())
    damage(film, range(40, 49))
    frames, report = read(film)
    assert len(frames) >= 70
    assert frames[-1].time == pytest.approx(whole[-1].time)
    assert report.lost > 0
    assert not report.broke_off


def test_a_film_that_is_all_damaged_is_named(tmp_path: Path) -> None:
    film = damage(write_film(tmp_path / "a.webm", *moving(10), "libvpx"), range(10))
    with pytest.raises(InputError, match="none of its frames can be decoded"):
        list(read_frames(film))


def with_sound(path: Path, pictures_from: float, sound_from: float, seconds: float, sound_seconds: float) -> Path:
    """A film whose tracks begin and end at different times."""
    with av.open(str(path), "w") as out:
        video, audio = out.add_stream("libx264", rate=RATE), out.add_stream("mp3", rate=44100)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        packets = []
        for k, image in enumerate(moving(round(RATE * seconds))[0]):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = k + round(RATE * pictures_from), Fraction(1, RATE)
            packets += video.encode(frame)
        packets += video.encode(None)
        for k in range(round(sound_seconds * 44100 / 1152)):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16p", layout="mono")
            frame.rate, frame.pts, frame.time_base = 44100, round(44100 * sound_from) + 1152 * k, Fraction(1, 44100)
            packets += audio.encode(frame)
        packets += audio.encode(None)
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            out.mux(packet)
    return path


@pytest.mark.parametrize("ending", [".mkv", ".ts", ".mp4"])
def test_a_film_begins_where_its_first_track_begins(ending: str, tmp_path: Path) -> None:
    late, report = read(with_sound(tmp_path / f"late{ending}", 1.5, 0, 2, 3.5))
    assert late[0].time == pytest.approx(1.5, abs=0.05)
    assert late[-1].time == pytest.approx(1.5 + 2 - 1 / RATE, abs=0.05)
    assert report == ReadReport()


@pytest.mark.parametrize("ending", [".mkv", ".ts"])
def test_stamps_that_begin_late_and_sound_that_ends_later_are_no_damage(ending: str, tmp_path: Path) -> None:
    frames, report = read(with_sound(tmp_path / f"late{ending}", 100, 100, 2, 6))
    assert (frames[0].time, frames[-1].time) == (pytest.approx(0, abs=0.06), pytest.approx(1.96, abs=0.06))
    assert report == ReadReport()
    half = tmp_path / f"half{ending}"
    data = with_sound(tmp_path / f"early{ending}", 0, 0, 6, 6).read_bytes()
    half.write_bytes(data[: len(data) // 2])
    if ending == ".mkv":  # a transport stream does not say how long it is
        assert "it ends at" in read(half)[1].broke_off


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), "rgbw"),
        ((-1, 0, 0, 1), "grwb"),  # mirrored
        ((1, 0, 0, -1), "bwrg"),  # upside down in a mirror
        ((-1, 0, 0, -1), "wbgr"),  # half a turn
        ((0, 1, -1, 0), "brwg"),  # a quarter clockwise
        ((0, -1, 1, 0), "gwrb"),  # a quarter back
        ((0, 1, 1, 0), "rbgw"),  # a quarter in a mirror
    ],
)
def test_pictures_are_turned_and_mirrored_as_players_do(
    matrix: tuple[int, int, int, int], expected: str, tmp_path: Path
) -> None:
    film = write_film(tmp_path / "a.mp4", [quadrants()] * 3, [0, 0.04, 0.08])
    data = bytearray(film.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (value * 0x10000 & 0xFFFFFFFF for value in matrix)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big") for value in (a, b, 0, c, d, 0, 0, 0, 0x40000000))
    film.write_bytes(bytes(data))
    image = read(film)[0][1].image
    assert corners(image) == expected
    assert image.shape[:2] == ((96, 128) if matrix[0] else (128, 96))


@pytest.mark.parametrize(("aspect", "shape"), [((16, 9), (96, 228)), ((8, 9), (108, 128))])
def test_pixels_become_square(aspect: tuple[int, int], shape: tuple[int, int], tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", [quadrants()] * 3, [0, 0.04, 0.08], aspect=Fraction(*aspect))
    image = read(film)[0][0].image
    assert (corners(image), image.shape[:2]) == ("rgbw", shape)


@pytest.mark.parametrize("ending", [".3gp", ".m2ts", ".mts", ".ts", ".m4v", ".f4v", ".mkv", ".mov"])
def test_containers_of_cameras_and_phones_are_read(ending: str, tmp_path: Path) -> None:
    assert ending in VIDEOS
    frames, report = read(write_film(tmp_path / f"a{ending}", *moving(12)))
    assert (len(frames), report) == (12, ReadReport())


@pytest.mark.parametrize("ending", [".png", ".webp", ".gif"])
def test_animated_pictures_are_films(ending: str, tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.roll(quadrants(), 8 * k, 1)) for k in range(4)]
    path = tmp_path / f"a{ending}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=200, loop=0)
    frames = list(read_file(path))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6])
    assert corners(frames[0].image) == "rgbw"
    pictures[0].save(tmp_path / f"still{ending}")
    assert len(list(read_file(tmp_path / f"still{ending}"))) == 1


def test_of_a_jpeg_with_several_pictures_the_first_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(quadrants()).save(
        path, format="MPO", save_all=True, append_images=[Image.fromarray(quadrants() // 2)]
    )
    assert Image.open(path).n_frames == 2  # type: ignore[attr-defined]
    (frame,) = read_file(path)
    assert corners(frame.image) == "rgbw"


def test_all_tiles_of_a_phones_photograph_are_read(tmp_path: Path) -> None:
    image = quadrants(256, 128)
    path = write_heic(tmp_path / "a.heic", [image[:64, :128], image[:64, 128:], image[64:, :128], image[64:, 128:]], 2)
    assert path.suffix in IMAGES
    found = read_image(path)
    assert (found.shape, corners(found)) == ((128, 256, 3), "rgbw")


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    for ending in (".jpg", ".webp"):
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was held a quarter to the left
        Image.fromarray(quadrants()).save(tmp_path / f"a{ending}", exif=exif)
        assert corners(read_image(tmp_path / f"a{ending}")) == "brwg"


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    for name in ("a.heic", "b.png", "c.webp"):
        (tmp_path / name).write_bytes(b"no picture")
        with pytest.raises(InputError, match="cannot be read as an image"):
            list(read_file(tmp_path / name))
    cv2.imwrite(str(tmp_path / "d.png"), quadrants())
    (tmp_path / "d.mp4").write_bytes((tmp_path / "d.png").read_bytes())
    with pytest.raises(InputError, match="cannot be read as a film"):
        list(read_file(tmp_path / "d.mp4"))
