"""What `tfen analyze` is given: films, photographs, folders, patterns, cameras and addresses."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfen.errors import InputError
from tfen.folders import Format
from tfen.progress import say
from tfen.video.media import IMAGES, VIDEOS, is_hidden
from tfen.video.photographs import is_animated
from tfen.video.reading import ADDRESS

ANALYSIS = Format("an analysis", "analysis.json", 2)
"""In the folder of an analysis: nothing in it is analyzed again."""


@dataclass(frozen=True)
class AnalysisInput:
    """Something to analyze: `name` as the user gave it, `kind` file, camera or stream; `path` where a file has that name
    for the user alone."""

    name: str
    kind: str
    path: Path | None = None

    @property
    def file(self) -> Path:
        """Where a file lies."""
        return self.path or Path(self.name)

    @property
    def still(self) -> bool:
        """Whether it is a photograph."""
        return self.kind == "file" and self.file.suffix.lower() in IMAGES and not is_animated(self.file)

    @property
    def opened(self) -> Path | str | int:
        """What `Analyzer` takes."""
        return self.file if self.kind == "file" else int(self.name) if self.kind == "camera" else self.name


def find_sources(inputs: Sequence[str]) -> list[AnalysisInput]:
    """Return what the inputs stand for: files, folders (searched through), patterns, cameras, addresses, "-".

    Hidden files and the folders of analyses are left out; what else a folder holds is reported.

    Raises:
        InputError: an input that does not exist, or a folder without films and photographs.
    """
    sources: dict[str, AnalysisInput] = {}
    for given in inputs:
        for one in _sources_of(given):
            sources.setdefault(one.name, one)
    return list(sources.values())


def _sources_of(given: str) -> list[AnalysisInput]:
    path = Path(given)
    if given == "-" or ADDRESS.match(given):
        return [AnalysisInput(given, "stream")]
    if path.is_dir():
        files = files_below(path)
    elif path.is_file():
        files = [path]
    elif given.isdecimal():
        return [AnalysisInput(given, "camera")]
    elif any(sign in given for sign in "*?["):
        base = Path(path.anchor) if path.is_absolute() else Path()
        files = sorted(one for one in base.glob(str(path.relative_to(path.anchor))) if one.is_file())
        if not files:
            raise InputError(f"no file matches {given}")
    else:
        raise InputError(f"{given} does not exist; give films, photographs, folders, a camera's number or an address")
    return [AnalysisInput(str(file), "file") for file in files]


def files_below(folder: Path) -> list[Path]:
    """Return the films and photographs in a folder and below it, and say what is passed over.

    Raises:
        InputError: there are none.
    """
    files: list[Path] = []
    others: Counter[str] = Counter()
    analyses = [marker.parent for marker in folder.rglob(ANALYSIS.marker)]
    for path in sorted(folder.rglob("*")):
        if is_hidden(path, folder) or not path.is_file() or any(path.is_relative_to(one) for one in analyses):
            continue
        if path.suffix.lower() in (*IMAGES, *VIDEOS):
            files.append(path)
        else:
            others[path.suffix.lower() or "no ending"] += 1
    passed_over = ", ".join(f"{count} {ending}" for ending, count in others.most_common(8))
    if not files:
        hint = f"; it holds {passed_over}" if others else ""
        raise InputError(f"{folder} holds no films or photographs ({', '.join((*VIDEOS, *IMAGES))}){hint}")
    if others:
        say(f"{folder}: passed over what is neither film nor photograph: {passed_over}")
    return files
