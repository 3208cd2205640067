"""Synthetic people in the official folders of CK+, MMI, Oulu-CASIA and DFEW: `tfen synth --layout`.

What the licensed sets look like on disk, so that everything that reads them can be run whole without them. Knows
nothing of the readers. What is needed to go on after a stop lies in a hidden folder.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tfen.choices import function_at
from tfen.data.prepared import SYNTHETIC_MARK
from tfen.files import clear_errors, whole_file, whole_folder, write_csv, write_json, write_text
from tfen.folders import Format, claim
from tfen.progress import meter
from tfen.synth.expressions import ACTION_UNITS
from tfen.synth.film import Performer, Take
from tfen.synth.generate import QUALITY, performer_of, run_subjects
from tfen.synth.settings import LAYOUTS, SIX, Layout, SynthSettings, Variation

Array = np.ndarray
OFFICIAL_FOLDERS = Format("synthetic people as official folders", f"{SYNTHETIC_MARK}/settings.json")

CKPLUS_NUMBERS = {"anger": 1, "contempt": 2, "disgust": 3, "fear": 4, "happiness": 5, "sadness": 6, "surprise": 7}
MMI_NUMBERS = {name: number for number, name in enumerate(SIX, 1)}
DFEW_NUMBERS = {"happiness": 1, "sadness": 2, "neutral": 3, "anger": 4, "surprise": 5, "disgust": 6, "fear": 7}
DFEW_VOTES = ("1happy", "2sad", "3neutral", "4angry", "5surprise", "6disgust", "7fear")


def make_layout(out: Path, settings: SynthSettings, layout: str, jobs: int) -> dict[str, int]:
    """Write synthetic people as the official folders of a data set and return the counts.

    Raises:
        InputError: an unknown layout, or `out` holds something else.
    """
    form = LAYOUTS[layout]
    claim(out, OFFICIAL_FOLDERS, {"layout": layout, **settings.record()})
    numbers = range(settings.first_subject, settings.first_subject + settings.subjects)
    missing = [number for number in numbers if not _done(out, number).exists()]
    each = len(form.expressions) * settings.frames
    with meter(layout, settings.subjects * each, "frames", (settings.subjects - len(missing)) * each) as progress:
        for _ in run_subjects(function_at(form.write), missing, out, settings, jobs):
            progress.advance(each)
    if layout == "dfew":
        _dfew_tables(out, settings)
    return {"subjects": settings.subjects, "sequences": settings.subjects * len(form.expressions)}


def _done(out: Path, number: int) -> Path:
    return out / SYNTHETIC_MARK / f"{number:05d}.json"


def _takes(performer: Performer, number: int, settings: SynthSettings, layout: str) -> Iterator[tuple[int, str, Take]]:
    """Perform a subject's sequences: number from 1, expression, take in the layout's shape."""
    form = LAYOUTS[layout]
    variation = replace(settings.ranges(), framing=form.framing)
    for k, expression in enumerate(form.expressions, 1):
        rng = np.random.default_rng([settings.seed, number, 100 + k])
        yield k, expression, _shoot(performer, expression, form, settings, rng, variation)


def _shoot(
    performer: Performer,
    expression: str,
    form: Layout,
    settings: SynthSettings,
    rng: np.random.Generator,
    how: Variation,
) -> Take:
    """Perform at the layout's aspect: `size` is the height; landmarks move along."""
    width = round(settings.size * form.aspect / 2) * 2
    take = performer.perform(expression, form.dynamics, settings.frames, width, rng, how)
    height = round(settings.size / 2) * 2
    top = (width - height) // 2
    truth = {**take.truth, "landmarks": (np.array(take.truth["landmarks"]) - [0, top]).round(2).tolist()}
    return Take(take.frames[:, top : top + height], truth)


def _write_image(path: Path, image: Array) -> None:
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if path.suffix != ".png" else []
    coded = cv2.imencode(path.suffix, np.ascontiguousarray(image[..., ::-1]), quality)[1]
    with clear_errors(path):
        path.write_bytes(coded.tobytes())


def _write_images(folder: Path, frames: Array, name: str) -> None:
    """Write frames as `name` % number, from 1."""
    with whole_folder(folder) as part:
        for k, frame in enumerate(frames, 1):
            _write_image(part / (name % k), frame)


def _finish(out: Path, number: int, performer: Performer) -> int:
    write_json(_done(out, number), performer.subject.record())
    return number


def write_ckplus(number: int, out: Path, settings: SynthSettings) -> int:
    performer = performer_of(number, settings)
    for k, expression, take in _takes(performer, number, settings, "ckplus"):
        subject, sequence = f"S{number + 5:03d}", f"{k:03d}"
        place = Path(subject) / sequence
        stem = f"{subject}_{sequence}_"
        _write_images(out / "cohn-kanade-images" / place, take.frames, stem + "%08d.png")
        last = f"{stem}{len(take.frames):08d}"
        label = CKPLUS_NUMBERS.get(expression)
        with clear_errors(out):
            (out / "Emotion" / place).mkdir(parents=True, exist_ok=True)  # empty where there is no label, as in CK+
        if label is not None:
            write_text(out / "Emotion" / place / f"{last}_emotion.txt", f"   {label:.7e}\n")
        for frame, points in enumerate(take.truth["landmarks"], 1):
            lines = "".join(f"   {x:.7e}   {y:.7e} \n" for x, y in points)
            write_text(out / "Landmarks" / place / f"{stem}{frame:08d}_landmarks.txt", lines)
        units = zip(ACTION_UNITS, take.truth["action_units"][-1])
        coded = [(float(name[2:]), min(5.0, round(5 * weight))) for name, weight in units if weight > 0.1]
        facs = "".join(f"   {unit:.7e}   {strength:.7e}\n" for unit, strength in coded)
        write_text(out / "FACS" / place / f"{last}_facs.txt", facs)
    return _finish(out, number, performer)


def write_mmi(number: int, out: Path, settings: SynthSettings) -> int:
    form = LAYOUTS["mmi"]
    performer = performer_of(number, settings)
    for k, expression, take in _takes(performer, number, settings, "mmi"):
        session = (number + 1) * 10 + k
        stem = f"S{number + 1:03d}-{k:03d}"
        frames, view = take.frames, 0
        if k % 3 == 0:  # some films show a second view beside the frontal one
            rng = np.random.default_rng([settings.seed, number, 100 + k])
            how = replace(settings.ranges(), framing=form.framing, turned=80.0)
            side = _shoot(performer, expression, form, settings, rng, how)
            frames, view = np.concatenate([frames, side.frames], 2), 2
        if (number + k) % 2:  # many lie on their side
            frames = np.rot90(frames, 1, (1, 2))
        with whole_folder(out / "Sessions" / str(session)) as folder:
            _write_film(folder / f"{stem}.avi", frames)
            label = MMI_NUMBERS.get(expression)
            emotion = "" if label is None else f'  <Metatag Name="Emotion" Value="{label}"/>\n'
            (folder / f"{stem}.xml").write_text(
                f'<?xml version="1.0" encoding="utf-8"?>\n<Recording>\n  <Metatag Name="Subject" Value="{number + 1}"/>\n'
                f"{emotion}</Recording>\n"
            )
            (folder / f"{stem}-oao_aucs.xml").write_text(_onset_apex_offset(take))
            (folder / "session.xml").write_text(
                f'<?xml version="1.0" encoding="utf-8"?>\n<session sessionId="{session}">\n'
                f'  <subject id="{number + 1}"/>\n  <track filename="{stem}.avi" view="{view}"/>\n</session>\n'
            )
    return _finish(out, number, performer)


def _onset_apex_offset(take: Take) -> str:
    """Return the coding of phases: frames in which each action unit is at onset, apex or offset."""
    curve = np.array(take.truth["intensity"])
    apex = int(take.truth["apex"])
    rising = int(np.argmax(curve > 0.05))
    falling = len(curve) - 1 - int(np.argmax(curve[::-1] > 0.05))
    units = [name for k, name in enumerate(ACTION_UNITS) if np.array(take.truth["action_units"])[:, k].max() > 0.1]
    lines = "".join(
        f'  <ActionUnit Number="{name[2:]}"><Marker Frame="{rising}" Value="onset"/><Marker Frame="{apex}" '
        f'Value="apex"/><Marker Frame="{falling}" Value="offset"/></ActionUnit>\n'
        for name in units
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n<AUCoding>\n{lines}</AUCoding>\n'


def _write_film(path: Path, frames: Array) -> None:
    """Write frames (T, height, width, 3) as an AVI of 25 frames a second; the same frames give the same bytes."""
    import av

    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as film:
        stream = film.add_stream("mpeg4", rate=Fraction(25))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        stream.codec_context.thread_count = 1
        for frame in frames:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        film.mux(stream.encode())


def write_oulu_casia(number: int, out: Path, settings: SynthSettings) -> int:
    performer = performer_of(number, settings)
    for _, expression, take in _takes(performer, number, settings, "oulu-casia"):
        place = Path(f"P{number + 1:03d}") / expression.capitalize()
        for light, factor in (("Strong", 1.0), ("Weak", 0.55), ("Dark", 0.25)):
            visible = (take.frames * factor).astype(np.uint8)
            infrared = np.repeat(take.frames.mean(3, keepdims=True), 3, 3).astype(np.uint8)
            for camera, frames in (("VL", visible), ("NI", infrared)):
                with whole_folder(out / "OriginalImg" / camera / light / place) as folder:
                    for k, frame in enumerate(frames):
                        _write_image(folder / f"{k:03d}.jpeg", frame)
                with whole_folder(out / "PreProcess_Img" / f"{camera}_Acropped" / light / place) as folder:
                    for k, (frame, points) in enumerate(zip(frames, take.truth["landmarks"])):
                        _write_image(folder / f"{k:03d}.jpeg", _face_of(frame, np.array(points)))
    return _finish(out, number, performer)


def _face_of(frame: Array, points: Array) -> Array:
    """Return the square around the landmarks, as the pre-cropped images have it, 72x72."""
    centre, reach = (points.min(0) + points.max(0)) / 2, float((points.max(0) - points.min(0)).max()) * 0.58
    matrix = np.array([[36 / reach, 0, 36 - 36 * centre[0] / reach], [0, 36 / reach, 36 - 36 * centre[1] / reach]])
    return cv2.warpAffine(frame, matrix, (72, 72), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def write_dfew(number: int, out: Path, settings: SynthSettings) -> int:
    performer = performer_of(number, settings)
    for k, _, take in _takes(performer, number, settings, "dfew"):
        clip = _dfew_clip(number, k)
        frames = np.stack([cv2.resize(frame, (224, 224)) for frame in take.frames])
        _write_images(out / "Clip" / "clip_224x224" / f"{clip:05d}", frames, f"{clip:05d}_%05d.jpg")
    return _finish(out, number, performer)


def _dfew_clip(number: int, k: int) -> int:
    return number * len(LAYOUTS["dfew"].expressions) + k


def _dfew_tables(out: Path, settings: SynthSettings) -> None:
    """Write the official folds and the annotation: five folds, ten votes a clip, 0 where no label is clear."""
    from openpyxl import Workbook

    rng = np.random.default_rng([settings.seed, 77])
    labelled: list[tuple[int, int]] = []
    book = Workbook()
    sheet: Any = book.active
    sheet.append([*DFEW_VOTES, "order", "annotation"])
    for number in range(settings.first_subject, settings.first_subject + settings.subjects):
        for k, expression in enumerate(LAYOUTS["dfew"].expressions, 1):
            label = DFEW_NUMBERS.get(expression, 0)
            votes = rng.multinomial(3, np.ones(7) / 7)
            if label:
                votes[label - 1] += 7
                labelled.append((_dfew_clip(number, k), label))
            sheet.append([*votes.tolist(), _dfew_clip(number, k), label])
    with whole_file(out / "Annotation" / "annotation.xlsx") as part:
        book.save(part)
    fold_of = {clip: int(fold) for (clip, _), fold in zip(labelled, rng.permutation(len(labelled)) % 5)}
    for fold in range(5):
        for part_name, chosen in (("test", True), ("train", False)):
            rows = [
                {"video_name": clip, "label": label} for clip, label in labelled if (fold_of[clip] == fold) == chosen
            ]
            folder = out / "EmoLabel_DataSplit" / f"{part_name}(single-labeled)"
            write_csv(folder / f"set_{fold + 1}.csv", ("video_name", "label"), rows)
