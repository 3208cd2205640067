"""A folder of one's own: photographs, frames or films by expression and subject.

Understood: `<expression>/<subject>/<sequence>/<frame>.jpg`, `<expression>/<subject>/<frame>.jpg` (one sequence),
`<expression>/<subject>.jpg` (a still is a sequence of one frame), films in place of folders of frames, or a CSV with
the columns path, subject, expression.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfen.data.settings import Square
from tfen.data.sources.recordings import DatasetReader, Findings, ReaderOptions, Recording, children, folders
from tfen.errors import InputError
from tfen.files import read_csv
from tfen.labels import canonical
from tfen.video.media import IMAGES, VIDEOS


def find(source: Path) -> Findings:
    """Read a folder, or a CSV that lists recordings.

    Raises:
        InputError: there is nothing, or a class is empty.
    """
    if not source.exists():
        raise InputError(
            f"{source} does not exist; give a folder of expressions, or a CSV with path, subject, expression"
        )
    return _from_csv(source) if source.is_file() else _from_folders(source)


def _from_folders(source: Path) -> Findings:
    classes = folders(source)
    if not classes:
        raise InputError(f"{source} has no folders: expected one for each expression, with subjects or images inside")
    out: list[Recording] = []
    for folder in classes:
        expression, before = _expression(folder.name, folder), len(out)
        for entry in children(folder):
            if entry.is_dir():
                out += _of_subject(entry, expression)
            else:
                out += _single(entry, expression, entry.stem, f"{entry.stem}-{expression}")
        if len(out) == before:
            raise InputError(
                f"{folder} holds no images: the class {folder.name} is empty; fill it or remove the folder"
            )
    names = [one.name for one in out]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice:
        raise InputError(f"{source} gives the sequence {twice} twice; rename one of its subjects or sequences")
    return Findings(out)


def _expression(name: str, where: object) -> str:
    """Return the expression that is meant; an error says where the word stands."""
    try:
        return canonical(name)
    except InputError as error:
        raise InputError(f"{where}: {error}; rename it, or take it out") from None


def _of_subject(folder: Path, expression: str) -> list[Recording]:
    """Return a subject's sequences: inner folders and films, else all images together."""
    out: list[Recording] = []
    inner = folders(folder)
    for place in inner:
        files = _frames(place)
        if files:
            out.append(Recording(f"{folder.name}-{expression}-{place.name}", folder.name, expression, files))
    films = [path for path in children(folder) if path.suffix.lower() in VIDEOS]
    if inner:
        return out + [
            Recording(f"{folder.name}-{expression}-{path.stem}", folder.name, expression, video=path) for path in films
        ]
    pictures = [path for path in children(folder) if path.suffix.lower() in IMAGES]
    if films and pictures:
        raise InputError(
            f"{films[0]} is a video where images are expected: {folder} holds images, which are one sequence"
        )
    if pictures:
        return [Recording(f"{folder.name}-{expression}", folder.name, expression, tuple(pictures))]
    return [Recording(f"{folder.name}-{expression}-{path.stem}", folder.name, expression, video=path) for path in films]


def _single(path: Path, expression: str, subject: str, name: str) -> list[Recording]:
    if path.suffix.lower() in IMAGES:
        return [Recording(name, subject, expression, (path,))]
    if path.suffix.lower() in VIDEOS:
        return [Recording(name, subject, expression, video=path)]
    return []


def _frames(folder: Path) -> tuple[Path, ...]:
    """Return the images of a sequence's folder, in order."""
    entries = children(folder)
    film = next((path for path in entries if path.suffix.lower() in VIDEOS), None)
    if film is not None:
        raise InputError(
            f"{film} is a video where images are expected: {folder} is a sequence; move the film one folder up"
        )
    return tuple(path for path in entries if path.suffix.lower() in IMAGES)


def _from_csv(source: Path) -> Findings:
    out = []
    for number, row in enumerate(read_csv(source, ("path", "subject", "expression"), "a list of sequences"), 2):
        place = Path(row["path"])
        place = place if place.is_absolute() else source.parent / place
        if not row["subject"] or not row["expression"]:
            raise InputError(f"{source} row {number}: subject or expression is empty")
        if not place.exists():
            raise InputError(f"{source} row {number}: {place} does not exist")
        expression = _expression(row["expression"], f"{source} row {number}")
        name = f"{row['subject']}-{expression}-{number - 1:05d}"
        if place.is_dir():
            files = _frames(place)
            own = [Recording(name, row["subject"], expression, files)] if files else []
        else:
            own = _single(place, expression, row["subject"], name)
        if not own:
            raise InputError(f"{source} row {number}: {place} holds no images and is no film")
        out += own
    if not out:
        raise InputError(f"{source} lists no sequence")
    return Findings(out)


@dataclass(frozen=True, kw_only=True)
class Options(ReaderOptions):
    """What can be chosen of a folder of one's own."""

    box: str | None = None
    """The face's square, the same in every image: left,top,side in pixels; no face is looked for."""
    grey: bool = False
    """Take the colour away."""

    def changes(self) -> dict[str, Any]:
        return {"box": None if self.box is None else Square.parse(self.box), "grey": self.grey}


READER = DatasetReader(
    title="a folder of your own",
    about="photographs, frames or films of your own.",
    source="A folder EXPRESSION/SUBJECT/SEQUENCE/ with frames, or with one film or photograph for each subject or "
    "sequence; or a CSV with the columns path, subject, expression. A still is a sequence of one frame.",
    read=lambda source, options: find(source),
    example="tfen prepare folder photos prepared/photos --box 110,130,180",
    options=Options,
)
