"""Several prepared sets as one, so that a network learns from all of them at once."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfen.data.prepare import safe_name
from tfen.data.prepared import PreparedSet, SequenceRecord, write_set
from tfen.errors import InputError
from tfen.files import must_be_new, read_csv, whole_folder, write_csv
from tfen.progress import meter, say


def join(sets: Sequence[PreparedSet], out: Path, names: Sequence[str] = ()) -> PreparedSet:
    """Write one set that holds the sequences of several; sequences and subjects get their set's name before them.

    Frames are links to the same files where the disk can link them (they take no room), else copies. What is known of
    subjects and frames (`subjects.csv`, `truth`, and `subjects` where all sets have it) comes along; official folds do
    not.

    Args:
        sets: two at least, none of them joined itself.
        out: folder to write.
        names: of the sets; their folders' names if not given.

    Raises:
        InputError: names that are missing, unusable or alike; a set that cannot be joined or lacks frames.
    """
    must_be_new(out)
    if len(sets) < 2:
        raise InputError("there is nothing to join; give two prepared sets at least")
    names = list(names) or [dataset.folder.resolve().name for dataset in sets]
    _check(sets, names)
    units = [dataset.about["action_units"] for dataset in sets if dataset.about.get("action_units")]
    alike = all(one == units[0] for one in units)
    if not alike:
        say("the sets name different action units: what is known of their frames is left out")
    people_known = alike and len(units) == len(sets) and all((dataset.folder / "subjects").is_dir() for dataset in sets)
    sequences: list[SequenceRecord] = []
    people: list[dict[str, str]] = []
    with (
        whole_folder(out) as part,
        meter("joining", sum(len(dataset.sequences) for dataset in sets), "sequences") as bar,
    ):
        for dataset, name in zip(sets, names, strict=True):
            for one in dataset.sequences:
                own = _renamed(one, name)
                for path in dataset.frame_files(one):
                    _link(path, part / "frames" / own.name / path.name)
                truth = Path("truth", f"{one.name}.json")
                if alike and (dataset.folder / truth).exists():
                    _link(dataset.folder / truth, part / "truth" / f"{own.name}.json")
                sequences.append(own)
                bar.advance()
            for subject in dataset.subjects if people_known else ():
                own_file = dataset.folder / "subjects" / f"{subject}.json"
                _link(own_file, part / "subjects" / name / own_file.name)
            table = dataset.folder / "subjects.csv"
            rows = read_csv(table, ("subject",), "a table of subjects") if table.exists() else []
            people += [{**row, "subject": f"{name}/{row['subject']}"} for row in rows]
        if people:
            write_csv(part / "subjects.csv", tuple(dict.fromkeys(column for row in people for column in row)), people)
        about: dict[str, Any] = {"set": "joined"}
        if units and alike:
            about["action_units"] = units[0]
        about["joined"] = {name: dataset.about for dataset, name in zip(sets, names, strict=True)}
        write_set(part, sequences, about)
    return PreparedSet(out, tuple(sequences), about)


def _check(sets: Sequence[PreparedSet], names: list[str]) -> None:
    if len(names) != len(sets):
        raise InputError(f"there are {len(names)} names for {len(sets)} sets; give one for each, in the same order")
    for dataset, name in zip(sets, names, strict=True):
        if name != safe_name(name):
            raise InputError(f"{name!r} cannot be a set's name: letters, digits, -, _ and dots inside are understood")
        if names.count(name) > 1:
            raise InputError(f"two sets are called {name}; tell them apart with --names, one name for each set")
        if "joined" in dataset.about:
            raise InputError(f"{dataset.folder} is a joined set; name the sets that it was made of instead")


def _renamed(one: SequenceRecord, name: str) -> SequenceRecord:
    """Return a sequence with its set's name before its own, its subject's, its group's and its take's."""

    def own(value: str) -> str:
        return f"{name}/{value}" if value else ""

    return replace(one, name=own(one.name), subject=own(one.subject), group=own(one.group), take=own(one.take))


def _link(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    source = source.resolve()  # of a link, what it leads to
    if not source.is_file():
        raise InputError(f"{source} is missing; make or prepare its set again")
    try:
        os.link(source, place)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, place)
