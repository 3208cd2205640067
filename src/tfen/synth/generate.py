"""Makes a set: many subjects, every expression, on all cores; stopped and started again it goes on."""

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tfen.data.prepared import SequenceRecord, write_set
from tfen.device import device_named
from tfen.files import clear_errors, read_json, whole_folder, write_csv, write_json
from tfen.folders import Format, claim
from tfen.labels import EXPRESSIONS
from tfen.progress import meter
from tfen.stopping import end_with_parent
from tfen.synth.dynamics import DYNAMICS
from tfen.synth.expressions import ACTION_UNITS
from tfen.synth.film import Performer
from tfen.synth.people import Subject, make_subject
from tfen.synth.settings import SynthSettings

SYNTHETIC_SET = Format("a synthetic set", "synth.json")
QUALITY = 95
"""JPEG quality of the stored frames."""


TWINS = 14
"""Where the random numbers of a group of twins begin; those of a person begin with the person's number."""


@dataclass(frozen=True)
class _Plan:
    """A sequence of a subject; `title` is its name without the subject's."""

    subject: str
    title: str
    expression: str
    dynamics: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.subject}-{self.title}"


def sequences_of(settings: SynthSettings, subject: str) -> list[_Plan]:
    """Return the sequences that a subject performs, in order."""
    plans = []
    for dynamics in settings.dynamics:
        for expression in settings.expressions:
            for repeat in range(settings.repeats + settings.more.count(expression)):
                parts = [expression]
                if len(settings.dynamics) > 1:
                    parts.append(dynamics)
                if settings.repeats > 1 or repeat > 0:
                    parts.append(str(repeat + 1))
                number = (
                    list(DYNAMICS).index(dynamics) * len(EXPRESSIONS) + EXPRESSIONS.index(expression)
                ) * 1000 + repeat
                plans.append(_Plan(subject, "-".join(parts), expression, dynamics, number))
    return plans


def make_set(out: Path, settings: SynthSettings, jobs: int | None = None) -> dict[str, Any]:
    """Make a synthetic set in `out` and return its description.

    A set that was begun with the same settings is finished. One with fewer subjects, or with fewer sequences of each,
    gets the others, too: no sequence depends on what else is there. One with other settings is left alone.

    Raises:
        InputError: `out` holds something else.
    """
    claim(out, SYNTHETIC_SET, settings.record(), SynthSettings().record(), _grows)
    first = settings.first_subject
    numbers = range(first, first + settings.subjects)
    missing = [number for number in numbers if not _complete(out, settings, number)]
    per_subject = len(sequences_of(settings, "s")) * settings.frames
    with meter(
        "faces", settings.subjects * per_subject, "frames", (settings.subjects - len(missing)) * per_subject
    ) as progress:
        for _ in run_subjects(_make_subject_files, missing, out, settings, jobs or os.cpu_count() or 1):
            progress.advance(per_subject)
    names = [f"s{number:04d}" for number in numbers]
    people = [read_json(_subject(out, name), "a synthetic subject") for name in names]
    write_csv(out / "subjects.csv", ("subject", *KNOWN), (_row(person) for person in people))
    sequences = [
        _record(number, plan, settings) for number, name in zip(numbers, names) for plan in sequences_of(settings, name)
    ]
    about = {
        "set": "synthetic",
        "action_units": list(ACTION_UNITS),
        "synth": {**SYNTHETIC_SET.stamp(), **settings.record()},
    }
    write_set(out, sequences, about)
    return read_json(out / "prepared.json", "a prepared set's description")


KNOWN = ("sex", "age", "ancestry", "hairstyle", "hair_colour", "beard", "glasses")
"""What `subjects.csv` says of each subject."""


def group_of(number: int, settings: SynthSettings) -> str:
    """Return the name of the group of twins that a subject of this number belongs to; "" if nobody has twins."""
    return f"g{number // settings.twins:04d}" if settings.twins > 1 else ""


def _record(number: int, plan: _Plan, settings: SynthSettings) -> SequenceRecord:
    group = group_of(number, settings)
    take = f"{group}-{plan.title}" if group else ""
    return SequenceRecord(plan.name, plan.subject, plan.expression, settings.frames, "synthetic", group, take)


def _row(person: dict[str, Any]) -> dict[str, Any]:
    glasses = "true" if person["glasses"] else "false"
    return {"subject": person["name"], **{name: person[name] for name in KNOWN}, "glasses": glasses}


def _grows(key: str, before: Any, now: Any) -> bool:
    """Whether a set made with `before` is part of the one made with `now`."""
    if key == "subjects" and isinstance(before, int):
        return before < now
    if key in ("expressions", "more") and isinstance(before, list):
        return all(now.count(name) >= before.count(name) for name in before)
    return False


def _complete(out: Path, settings: SynthSettings, number: int) -> bool:
    name = f"s{number:04d}"
    return _subject(out, name).exists() and all(_made(out, settings, plan) for plan in sequences_of(settings, name))


def _made(out: Path, settings: SynthSettings, plan: _Plan) -> bool:
    """Whether a sequence is there: its truth, which is written last, and every frame."""
    frames = out / "frames" / plan.name
    return _truth(out, plan).exists() and frames.is_dir() and len(list(frames.iterdir())) == settings.frames


def _subject(out: Path, name: str) -> Path:
    return out / "subjects" / f"{name}.json"


def _truth(out: Path, plan: _Plan) -> Path:
    return out / "truth" / f"{plan.name}.json"


def run_subjects(
    make: Callable[[int, Path, SynthSettings], int], numbers: list[int], out: Path, settings: SynthSettings, jobs: int
) -> Iterable[int]:
    """Make subjects with `make(number, out, settings)`, in this process or in several; yields each as it is done."""
    if not numbers:
        return
    if jobs == 1 or len(numbers) == 1:
        for number in numbers:
            yield make(number, out, settings)
        return
    the_head()  # fills Anny's and Warp's caches once, before the workers need them
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ.update(dict.fromkeys(threads, "1"))  # a process a core: more threads would only wait for each other
    pool = ProcessPoolExecutor(
        min(jobs, len(numbers)), multiprocessing.get_context("spawn"), initializer=end_with_parent
    )
    try:
        waiting = [pool.submit(make, number, out, settings) for number in numbers]
        for done in as_completed(waiting):
            yield done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in threads.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@cache
def the_head() -> Any:
    """Return the process's head, in a process that draws."""
    cv2.setNumThreads(1)
    from tfen.synth.head import load_head

    return load_head()


def performer_of(number: int, settings: SynthSettings) -> Performer:
    """Return a set's subject of this number, ready to perform; nobody depends on who else is in the set.

    Of twins everybody moves like the first: the same strength of each action, and the same variants.
    """

    def person(number: int) -> Subject:
        rng = np.random.default_rng([settings.seed, number])
        ranges = settings.ranges()
        return make_subject(number, rng, ranges.lips, ranges.shine, ranges.looks)

    subject = person(number)
    if settings.twins > 1:
        leader = person(number - number % settings.twins)
        subject = replace(subject, style=leader.style, habits=leader.habits)
    assets = None if settings.assets is None else str(settings.assets)
    return Performer(the_head(), subject, (settings.seed, number), assets, device_named(settings.device).type)


def _make_subject_files(number: int, out: Path, settings: SynthSettings) -> int:
    """Write the files of one subject that are missing."""
    performer = performer_of(number, settings)
    subject = performer.subject
    for plan in sequences_of(settings, subject.name):
        if _made(out, settings, plan):
            continue
        rng, own = np.random.default_rng([settings.seed, number, plan.number]), None
        if settings.twins > 1:
            rng, own = np.random.default_rng([settings.seed, TWINS, number // settings.twins, plan.number]), rng
        take = performer.perform(
            plan.expression, plan.dynamics, settings.frames, settings.size, rng, settings.ranges(), own=own
        )
        with whole_folder(out / "frames" / plan.name) as folder:
            for k, frame in enumerate(take.frames):
                path = folder / f"{k + 1:04d}.jpg"
                coded = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
                with clear_errors(out):
                    path.write_bytes(coded.tobytes())
        write_json(_truth(out, plan), take.truth)
    write_json(_subject(out, subject.name), subject.record())
    return number
