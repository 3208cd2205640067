"""Commands that make sets: synthetic people, recordings of one's own, official data sets, several as one, folds."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from tfen.cli.options import Files, Flags, Start
from tfen.config import FoldSettings, TrainSettings
from tfen.data.settings import CropSettings, PrepareSettings
from tfen.data.sources.recordings import DatasetReader
from tfen.errors import InputError
from tfen.synth.settings import LAYOUTS, SynthSettings


def synth(
    out: Path,
    *,
    settings: Annotated[SynthSettings, Flags] = SynthSettings(),  # noqa: B008
    layout: Annotated[str, LAYOUTS] | None = None,
    jobs: int | None = None,
    contact_sheet: Path | None = None,
) -> None:
    """Make synthetic people showing expressions, with everything known about them.

    Stopped and started again, it goes on where it was; a prepared set asked for more subjects or expressions gets what
    is missing. The same settings give the same bytes.

    Args:
        out: Folder of the prepared set to make.
        layout: Write the official folders of that data set instead of a prepared set, with its own expressions,
            dynamics and framing; --size is then the height of the pictures.
        jobs: Processes; all cores if not given.
        contact_sheet: Also write a picture of every expression of some subjects.
    """
    from tfen.synth.generate import make_set

    if layout is not None:
        _make_layout(out, settings, layout, jobs, contact_sheet)
        return
    about = make_set(out, settings, jobs)
    counts = about["counts"]
    print(f"{out}: {counts['sequences']} sequences of {counts['subjects']} subjects, {counts['frames']} frames")
    if contact_sheet is not None:
        _draw_sheet(out, contact_sheet)


def _make_layout(out: Path, settings: SynthSettings, layout: str, jobs: int | None, contact_sheet: Path | None) -> None:
    LAYOUTS.check(layout, "--layout")
    usual = SynthSettings()
    for name in ("dynamics", "expressions", "twins", "repeats", "more", "framing"):
        if getattr(settings, name) != getattr(usual, name):
            raise InputError(f"--{name} is no choice in {layout}'s official folders; leave it or --layout out")
    if contact_sheet is not None:
        raise InputError(f"--contact-sheet is no choice in {layout}'s official folders; leave it or --layout out")
    from tfen.synth.layouts import make_layout

    counts = make_layout(out, settings, layout, jobs or os.cpu_count() or 1)
    print(f"{out}: {counts['sequences']} sequences of {counts['subjects']} subjects as {layout}'s official folders")


def _draw_sheet(folder: Path, path: Path) -> None:
    from tfen.data.prepared import open_set
    from tfen.evaluation.sheet import contact_sheet

    dataset = open_set(folder)
    stills = all(sequence.frames == 1 for sequence in dataset.sequences)
    contact_sheet(dataset, path, steps=1 if stills else 3)
    print(f"{path}: contact sheet")


def prepare_command(name: str, reader: DatasetReader) -> Callable[..., None]:
    """Return the command that prepares a data set: its own options, then how faces are cut out."""

    def command(
        source: Path,
        out: Path,
        *,
        options: Any,
        crops: Annotated[CropSettings, Flags] = CropSettings(),  # noqa: B008
        jobs: int | None = None,
        contact_sheet: Path | None = None,
    ) -> None:
        from tfen.data.prepare import prepare

        settings = PrepareSettings(**vars(crops), **options.changes())
        counts = prepare(
            source, out, name, reader.read(source, options), settings, reader.published, jobs, reader.subjects_named
        )
        marked = f", {counts['marked']} frames without a face" if counts["marked"] else ""
        print(
            f"{out}: {counts['sequences']} sequences of {counts['subjects']} subjects, "
            f"{counts['left_out']} left out{marked}"
        )
        if contact_sheet is not None:
            _draw_sheet(out, contact_sheet)

    command.__annotations__["options"] = Annotated[reader.options, Flags]
    command.__kwdefaults__ = {**(command.__kwdefaults__ or {}), "options": reader.options()}
    command.__doc__ = f"""Prepare {reader.about}

    Args:
        source: {reader.source}
        out: Folder of the prepared set to make.
        jobs: Processes; all cores if not given.
        contact_sheet: Also write a picture of every expression of some subjects.
    """
    return command


def join(
    sets: Annotated[list[Path], Files],
    /,
    *,
    out: Path,
    names: tuple[str, ...] = (),
) -> None:
    """Make one prepared set of several, so that a network learns from all of them at once.

    Sequences and subjects get their set's name before them: nobody of one set is taken for somebody of another. `tfen
    train` holds back the same people of each set as it does of that set alone.

    Args:
        sets: Prepared sets.
        out: Folder to write. Frames are links where the disk can do it, and take no room.
        names: What to call the sets, in the same order; their folders' names if not given.
    """
    from tfen.data import joining
    from tfen.data.prepared import open_set

    made = joining.join([open_set(folder) for folder in sets], out, names)
    print(f"{out}: {len(made.sequences)} sequences of {len(made.subjects)} subjects of {len(sets)} sets")


def folds(
    set: Path,
    *,
    export: Path | None = None,
    start: Annotated[Start, Flags] = Start(),  # noqa: B008
    train: TrainSettings = TrainSettings(),  # noqa: B008
    folds: FoldSettings = FoldSettings(),  # noqa: B008
) -> None:
    """Print who is tested in which fold, and write it as a file that --folds.file reads.

    Args:
        set: A prepared set.
        export: File to write: CSV with the columns fold, sequence, part.
    """
    from tfen.data.folds import make_folds, subjects_of, write_folds
    from tfen.data.prepared import open_set
    from tfen.evaluation.claims import leaks_of

    dataset = open_set(set, folds.exclude)
    made = make_folds(dataset, folds, train.seed)
    print(f"{'fold':>4}{'training':>10}{'validation':>12}{'test':>6}  test subjects")
    for fold in made:
        names = subjects_of(fold.test)
        shown = ", ".join(names[:6]) + (f" ... {names[-1]} ({len(names)})" if len(names) > 6 else "")
        print(f"{fold.number:>4}{len(fold.train):>10}{len(fold.validation):>12}{len(fold.test):>6}  {shown}")
    for leak in leaks_of(made):
        print(f"not subject-independent: {leak}")
    if export is not None:
        write_folds(export, made)
        print(export)
