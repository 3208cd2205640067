"""Commands that look at films, photographs, cameras and streams."""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tfen.app.settings import Limits, ServerSettings
from tfen.cli.options import Files, Flags
from tfen.errors import InputError, needs_extra
from tfen.faces.detectors import DETECTORS
from tfen.inference.settings import AnalyzerSettings
from tfen.spread import Cluster, cores, use_threads

STAGES = 2
"""Parts of an analysis that compute at the same time, finding faces and the network: each gets its share of the cores."""
DAMAGED = 3
"""Exit code where all files were read, and one of them is damaged or broke off."""


@dataclass(frozen=True)
class Finding:
    """How faces are found."""

    detector: Annotated[str, DETECTORS] = AnalyzerSettings.detector
    "Finds the faces."
    detector_model: Path | None = None
    "Model file of the detector: needed for mediapipe; for yunet another one than the package has."


def analyze(
    inputs: Annotated[list[str], Parameter(allow_leading_hyphen=True)] | None = None,
    /,
    *,
    out: Path | None = None,
    weights: str = "packaged",
    annotate: bool = False,
    elan: bool = False,
    boris: bool = False,
    xlsx: bool = False,
    pictures: bool = True,
    json_schema: bool = False,
    settings: Annotated[AnalyzerSettings, Flags] = AnalyzerSettings(),  # noqa: B008
    cluster: Annotated[Cluster, Flags] = Cluster(),  # noqa: B008
) -> None:
    """Measure the expressions of every face in films, photographs, cameras and streams, over time.

    Writes results.csv and results.jsonl (a row for each face and time), episodes.csv (onset, apex and offset of each
    expression), summary.csv (a row for each face), files.csv and a picture of each film. Of several files, one that
    cannot be read gets a line in files.csv. Stopped and started again, it goes on with the file it was in. Ends with code 2 if a file
    could not be read, and with 3 if one broke off or has damaged frames.

    Args:
        inputs: Films, photographs, folders, patterns, a camera's number, an address (rtsp://, http://), - for standard
            input.
        out: Folder of the results; if not given, INPUT-expressions after the first input (camera-, stream- or
            file-expressions where that is no file).
        weights: packaged (those in the package), a weights folder, a run (its first fold) or a hub id.
        annotate: Also write each film with boxes, labels and a timeline.
        elan: Also write the episodes for ELAN.
        boris: Also write the episodes for BORIS.
        xlsx: Also write all tables as one workbook, results.xlsx.
        pictures: Write a picture of each film: who showed what, when.
        json_schema: Print the schema of results.jsonl and do nothing else.
    """
    from functools import partial

    from tfen.inference import analysis
    from tfen.inference.analyzer import Analyzer
    from tfen.inference.inputs import find_sources
    from tfen.inference.rows import schema

    if not json_schema and not inputs:
        raise InputError("nothing to analyze: give films, photographs, folders, a camera's number or an address")
    use_threads(max(1, cores() // STAGES))
    make = partial(Analyzer, weights, settings=settings)
    analyzer = make()
    if json_schema or not inputs:
        from json import dumps

        print(dumps(schema(analyzer.expressions), indent=1))
        return
    wanted = analysis.Wanted(annotate=annotate, pictures=pictures, elan=elan, boris=boris, xlsx=xlsx)
    about = {"weights": weights, **analysis.noted(settings), "annotate": annotate, "elan": elan, "pictures": pictures}
    sources = find_sources(inputs)
    out = out or Path(f"{analysis.short_stem(inputs[0]) if Path(inputs[0]).exists() else sources[0].kind}-expressions")
    if cluster.ray:
        counts = analysis.analyze_spread(sources, out, make, analyzer.expressions, wanted, about, cluster)
    else:
        counts = analysis.analyze(sources, out, analyzer, wanted, about)
    failed = f", {counts['failed']} could not be read" if counts["failed"] else ""
    damaged = f", {counts['damaged']} are damaged" if counts["damaged"] else ""
    where = " (see files.csv)" if failed or damaged else ""
    print(
        f"{out}: {counts['files']} analyzed{failed}{damaged}{where}; {counts['faces']} faces, {counts['episodes']} episodes"
    )
    if failed or damaged:
        sys.exit(2 if failed else DAMAGED)


def landmarks(
    files: Annotated[list[Path], Files],
    /,
    *,
    out: Path,
    draw: Path | None = None,
    weights: Path | None = None,
    finding: Annotated[Finding, Flags] = Finding(),
) -> None:
    """Find the faces of photographs and films and write their 68 landmarks as a table.

    A file that cannot be read is named, the others go on, and the command ends with code 2.

    Args:
        files: Photographs, films and folders of them.
        out: CSV file to write: a row for each face in each frame, pixels.
        draw: Folder for the frames with the landmarks drawn on them.
        weights: landmarks.safetensors of a network trained with `tfen train-landmarks`; the package's own if not given.
    """
    from tfen.faces.detectors import make_detector
    from tfen.faces.landmarks import Landmarker
    from tfen.inference.inputs import find_sources
    from tfen.inference.marking import write_landmarks

    paths = [source.file for source in find_sources([str(path) for path in files]) if source.kind == "file"]
    detector = make_detector(finding.detector, finding.detector_model)
    counts = write_landmarks(paths, out, detector, Landmarker(weights), draw)
    failed = f"; {counts['failed']} files could not be read" if counts["failed"] else ""
    print(f"{out}: {counts['faces']} faces in {counts['frames']} frames{failed}")
    if failed:
        sys.exit(2)


def app(
    settings: Annotated[ServerSettings, Flags] = ServerSettings(),  # noqa: B008
    limits: Annotated[Limits, Flags] = Limits(),  # noqa: B008
) -> None:
    """Serve a page on this machine: films, the camera live, finished runs; and the same for programs (HTTP, JSON).

    Needs the extra `app` (pip install '.[app]' in the checkout). The environment variable TFEN_TOKEN stands for --token, too.
    """
    try:
        from tfen.app.serve import serve
    except ImportError:
        raise needs_extra("the page", "app") from None

    use_threads(max(1, cores() // STAGES))
    # a word on the command line can be read by everybody on this machine
    serve(replace(settings, token=settings.token or os.environ.get("TFEN_TOKEN")), limits)
