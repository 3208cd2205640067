"""Faces that a user has named, and numbers that are one person: the same results, told anew."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from defusedxml.ElementTree import parse

from tfen.app.answers import Person
from tfen.app.jobs import Job
from tfen.app.uploads import Refused
from tfen.files import read_csv, write_csv
from tfen.inference.analysis import Wanted, analyze
from tfen.inference.analyzer import Result
from tfen.inference.inputs import AnalysisInput
from tfen.inference.rows import escaped
from tfen.inference.tables import FILES
from tfen.inference.workbook import write_workbook
from tfen.video.reading import Frame, ReadReport

TABLES = ("results.csv", "episodes.csv", "summary.csv")


@dataclass(frozen=True)
class Known:
    """What a user knows: the name of a face, and under which number it is told."""

    names: Mapping[int, str]
    numbers: Mapping[int, int]

    @classmethod
    def of(cls, people: Sequence[Person], rows: Sequence[Mapping[str, Any]]) -> "Known":
        """Return what is known, checked against the results.

        Raises:
            Refused: a face that is not there, or two that are seen at the same time and cannot be one person.
        """
        there = {row["face"] for row in rows if row["face"] is not None}
        told = {one.face: one for one in people}
        for face in (*told, *(one.same_as for one in people if one.same_as is not None)):
            if face not in there:
                raise Refused(422, f"there is no face {face} in this film")
        numbers = {face: _end(face, told) for face in there}
        seen: dict[tuple[float, int], int] = {}
        for row in rows:
            if row["face"] is None:
                continue
            other = seen.setdefault((row["time"], numbers[row["face"]]), row["face"])
            if other != row["face"]:
                raise Refused(
                    422, f"faces {other} and {row['face']} are both seen at {row['time']:g} s: they are not one person"
                )
        names = {one.face: one.name.strip() for one in people if one.name.strip() and numbers[one.face] == one.face}
        return cls(names, numbers)


def _end(face: int, told: Mapping[int, Person]) -> int:
    """Return the number under which a face is told, through others that are the same."""
    passed = {face}
    while face in told and told[face].same_as not in (None, face):
        face = told[face].same_as or 0
        if face in passed:
            raise Refused(422, f"face {face} is said to be the same as itself")
        passed.add(face)
    return face


class _Replay:
    """Stands in for an analyzer: gives the results of a finished analysis under other numbers."""

    def __init__(self, rows: Sequence[dict[str, Any]], expressions: Sequence[str], known: Known) -> None:
        self._rows, self._known = rows, known
        self.expressions, self.step = tuple(expressions), 1.0

    def __call__(self, source: object, watch: Callable[[Frame], None], report: ReadReport) -> Iterator[Result]:
        for row in sorted(self._rows, key=lambda row: (row["time"], self._number(row) or 0)):
            watch(Frame(row["frame"], row["time"], np.zeros((1, 1, 3), np.uint8)))
            yield self._result(row)

    def images(self, pictures: Sequence[object]) -> list[list[Result]]:
        """Return nothing: a single photograph is told like a film."""
        return []

    def _number(self, row: Mapping[str, Any]) -> int | None:
        return None if row["face"] is None else self._known.numbers[row["face"]]

    def _result(self, row: Mapping[str, Any]) -> Result:
        if row["face"] is None:
            return Result(row["time"], row["frame"])
        return Result(
            row["time"],
            row["frame"],
            self._number(row),
            (row["left"], row["top"], row["width"], row["height"]),
            row["score"],
            row["size"],
            row["sharpness"],
            row["yaw"],
            row["pitch"],
            row["roll"],
            window=(row["window_start"], row["window_end"]),
            probabilities={name: row[name] for name in self.expressions},
            label=row["label"],
            confidence=row["confidence"],
        )


def tell_anew(job: Job, people: Sequence[Person], expressions: Sequence[str]) -> Path:
    """Write a finished analysis again as the user knows the people, and return the folder.

    Raises:
        Refused: as for `Known.of`.
    """
    rows = job.results()
    known = Known.of(people, rows)
    out = job.folder / "people"
    shutil.rmtree(out, ignore_errors=True)
    replay: Any = _Replay(rows, expressions, known)
    source = AnalysisInput(job.name, "file", job.path)
    analyze(
        [source],
        out,
        replay,
        Wanted(pictures=False, elan=True, boris=True, xlsx=True, media=False),
        {},
        lambda row: None,
    )
    _tell_of_reading(job.out / "files.csv", out / "files.csv")
    if known.names:
        for name in TABLES:
            _name_rows(out / name, known.names)
        path = out / "results.jsonl"
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        named = [{**line, "name": known.names.get(line["face"], "")} for line in lines]
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in named), encoding="utf-8")
        for path in out.glob("elan/*.eaf"):
            _name_tiers(path, known.names)
        _name_subjects(out / "boris" / "tfen.boris", known.names)
    write_workbook(out / "results.xlsx", [out / name for name in (*TABLES, "files.csv")])
    return out


def _tell_of_reading(before: Path, now: Path) -> None:
    """Write how the film was read as it was told before, with the number of faces as it is now."""
    rows, told = (read_csv(path, FILES, "a table of files") for path in (before, now))
    write_csv(now, FILES, ({**row, "faces": own["faces"]} for row, own in zip(rows, told, strict=True)))


def _name_rows(path: Path, names: Mapping[int, str]) -> None:
    """Add a column with the person's name to a table."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
        file.seek(0)
        columns = next(csv.reader(file))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*columns, "name"], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            name = names.get(int(row["face"]), "") if row["face"] else ""
            writer.writerow({**row, "name": escaped(name)})


def _name_tiers(path: Path, names: Mapping[int, str]) -> None:
    """Call the tiers of an ELAN document as the people."""
    document = parse(path)
    for tier in document.iter("TIER"):
        face = int(tier.attrib["TIER_ID"].removeprefix("face "))
        if face in names:
            tier.set("TIER_ID", f"face {face} {names[face]}")
    document.write(path, encoding="UTF-8", xml_declaration=True)


def _name_subjects(path: Path, names: Mapping[int, str]) -> None:
    """Call the subjects of a BORIS project as the people."""
    project = json.loads(path.read_text(encoding="utf-8"))
    called = {f"face {face}": f"face {face} {name}" for face, name in names.items()}
    for subject in project["subjects_conf"].values():
        subject["name"] = called.get(subject["name"], subject["name"])
    for observation in project["observations"].values():
        observation["events"] = [[time, called.get(who, who), *rest] for time, who, *rest in observation["events"]]
    path.write_text(json.dumps(project, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
