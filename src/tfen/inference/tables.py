"""The growing tables of `tfen analyze`, valid whenever a run breaks off."""

import csv
import io
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tfen.files import read_csv
from tfen.inference.rows import EPISODES, columns, escaped

FILES = ("file", "stem", "status", "frames", "frames_lost", "seconds", "faces", "note")
SUMMARY_BEFORE = ("file", "face", "first", "last", "results", "main", "confidence", "episodes")


class Tables:
    """The growing tables of a run. A file's rows count when the state has noted their end; on resume the rest is cut."""

    NAMES = ("results.csv", "results.jsonl", "episodes.csv", "summary.csv", "files.csv")

    def __init__(self, out: Path, expressions: Sequence[str], sizes: dict[str, int] | None) -> None:
        summary = (*SUMMARY_BEFORE, *(f"share_{name}" for name in expressions))
        self._columns = {
            "results.csv": columns(expressions), "episodes.csv": EPISODES, "summary.csv": summary, "files.csv": FILES,
        }  # fmt: skip
        self._open: dict[str, Any] = {}
        for name in self.NAMES:
            path = out / name
            if sizes is not None:
                with path.open("r+b") as file:
                    file.truncate(sizes[name])
            self._open[name] = path.open("ab" if sizes is not None else "wb")
            if sizes is None and name in self._columns:
                self._line(name, self._columns[name])

    def add(self, name: str, values: dict[str, Any]) -> None:
        self._line(name, ["" if values[key] is None else escaped(values[key]) for key in self._columns[name]])

    def append(self, part: Path, stem: str) -> None:
        """Append the tables of one source's own folder, which has the same columns; its files are called `stem` here."""
        for name in self.NAMES:
            if name == "files.csv":
                for one in read_csv(part / name, FILES, "a table of files"):
                    self._line(name, [{**one, "stem": stem}[key] for key in FILES])
                continue
            with (part / name).open("rb") as file:
                if name in self._columns:
                    file.readline()
                shutil.copyfileobj(file, self._open[name])

    def add_json(self, values: dict[str, Any]) -> None:
        self._open["results.jsonl"].write((json.dumps(values, ensure_ascii=False) + "\n").encode())

    def _line(self, name: str, cells: Iterable[object]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        self._open[name].write(text.getvalue().encode())

    def flush(self) -> dict[str, int]:
        """Bring all rows to disk and return the tables' sizes."""
        for file in self._open.values():
            file.flush()
        return {name: file.tell() for name, file in self._open.items()}

    def close(self) -> None:
        """Close the tables; where the disk was full, a row that is not whole is cut off."""
        for file in self._open.values():
            with suppress(OSError):
                file.close()
            with open(file.name, "r+b") as again:  # noqa: PTH123
                end = again.seek(0, 2)
                again.seek(max(0, end - 65536))
                tail = again.read()
                again.truncate(end - len(tail) + tail.rfind(b"\n") + 1)
