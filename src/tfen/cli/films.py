"""Commands that look at films, photographs, cameras and streams."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from tfen.cli.options import Files, Flags
from tfen.config import Looks
from tfen.errors import InputError
from tfen.spread import Cluster


@dataclass
class Finding:
    """How faces are found."""

    detector: Literal["haar", "yunet", "mediapipe"] = "haar"
    "Finds the faces."
    detector_model: Path | None = None
    "Model file of the detector: needed for mediapipe, and for yunet if not fetched with `tfen fetch yunet`."


def analyze(
    inputs: Annotated[list[str], Parameter(allow_leading_hyphen=True)] | None = None,
    /,
    *,
    out: Path | None = None,
    weights: str = "packaged",
    annotate: bool = False,
    elan: bool = False,
    boris: bool = False,
    pictures: bool = True,
    window: float = 1.0,
    smoothing: float = 0.2,
    min_confidence: float = 0.0,
    engine: Literal["torch", "onnxruntime", "openvino"] = "torch",
    looks: Looks = 6,
    json_schema: bool = False,
    finding: Annotated[Finding, Flags] = Finding(),  # noqa: B008
    cluster: Annotated[Cluster, Flags] = Cluster(),  # noqa: B008
) -> None:
    """Tell the expressions of every face in films, photographs, cameras and streams, over time.

    Writes results.csv and results.jsonl (a row for each face and time), episodes.csv (onset, apex and offset of each
    expression), summary.csv (a row for each face), files.csv and a picture of each film. A file that cannot be read
    gets a line in files.csv. Stopped and started again, it goes on with the file it was in.

    Args:
        inputs: Films, photographs, folders, patterns, a camera's number, an address (rtsp://, http://), - for standard
            input.
        out: Folder of the results; INPUT-expressions if not given, after the first input.
        weights: packaged (those in the package), a weights folder, a run (its first fold) or a hub id.
        annotate: Also write each film with boxes, labels and a timeline.
        elan: Also write the episodes for ELAN.
        boris: Also write the episodes for BORIS.
        pictures: Write a picture of each film: who showed what, when.
        window: Seconds of film that a result rests on.
        smoothing: Seconds over which neighbouring results are averaged; 0 for none.
        min_confidence: Results whose confidence is below it get no label.
        engine: Runs the network; onnxruntime and openvino need the extra `export`.
        looks: How often each face is looked at, and the results averaged: 6, as it is, a little nearer and farther, and
            all mirrored; or 1, the fastest.
        json_schema: Print the schema of results.jsonl and do nothing else.
    """
    from functools import partial

    from tfen.inference import analysis
    from tfen.inference.analyzer import Analyzer
    from tfen.inference.rows import schema

    if not json_schema and not inputs:
        raise InputError("nothing to analyze: give films, photographs, folders, a camera's number or an address")
    make = partial(
        Analyzer,
        weights,
        detector=finding.detector,
        detector_model=finding.detector_model,
        window=window,
        smoothing=smoothing,
        min_confidence=min_confidence,
        engine=engine,
        looks=looks,
    )
    analyzer = make()
    if json_schema or not inputs:
        from json import dumps

        print(dumps(schema(analyzer.expressions), indent=1))
        return
    settings = {
        "weights": weights,
        "window": window,
        "smoothing": smoothing,
        "min_confidence": min_confidence,
        "looks": looks,
        "detector": finding.detector,
        "annotate": annotate,
        "elan": elan,
        "pictures": pictures,
    }
    wanted = analysis.Wanted(annotate=annotate, pictures=pictures, elan=elan, boris=boris)
    sources = analysis.find_sources(inputs)
    if out is None:
        first = Path(inputs[0])
        out = Path(f"{first.stem if first.exists() else sources[0].kind}-expressions")
    if cluster.ray:
        counts = analysis.analyze_spread(sources, out, make, analyzer.expressions, wanted, settings, cluster)
    else:
        counts = analysis.analyze(sources, out, analyzer, wanted, settings)
    failed = f", {counts['failed']} could not be read (see files.csv)" if counts["failed"] else ""
    print(f"{out}: {counts['files']} analyzed{failed}; {counts['faces']} faces, {counts['episodes']} episodes")
    if counts["failed"]:
        sys.exit(2)


def landmarks(
    files: Annotated[list[Path], Files],
    /,
    *,
    out: Path,
    draw: Path | None = None,
    weights: Path | None = None,
    finding: Annotated[Finding, Flags] = Finding(),  # noqa: B008
) -> None:
    """Find the faces of photographs and films and write their 68 landmarks as a table.

    Args:
        files: Photographs and films.
        out: CSV file to write: a row for each face in each frame, pixels.
        draw: Folder for the frames with the landmarks drawn on them.
        weights: landmarks.safetensors of a network trained with `tfen train-landmarks`; the package's own if not given.
    """
    import cv2

    from tfen.faces.detection import make_detector
    from tfen.faces.landmarks import Landmarker
    from tfen.files import whole_file, write_csv
    from tfen.inference.marking import COLUMNS, mark

    frames = faces = 0

    def rows() -> Any:
        nonlocal frames, faces
        for marked in mark(files, make_detector(finding.detector, finding.detector_model), Landmarker(weights)):
            frames, faces = frames + 1, faces + len(marked.faces)
            yield from marked.rows()
            if draw is not None:
                with whole_file(draw / f"{marked.path.stem}-{marked.number + 1:05d}.png") as part:
                    part.write_bytes(cv2.imencode(".png", marked.drawn()[..., ::-1])[1].tobytes())

    write_csv(out, COLUMNS, rows())
    print(f"{out}: {faces} faces in {frames} frames")


def app(
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    weights: str = "packaged",
    runs: Path | None = None,
    megabytes: float = 200.0,
    seconds: float = 600.0,
    waiting: int = 8,
) -> None:
    """Serve a page on this machine: films, the camera live, finished runs; and the same for programs (HTTP, JSON).

    Needs the extra `app`: pip install 'tfen[app]'.

    Args:
        host: Address to listen at. Others than 127.0.0.1 open the page to the network, without a password.
        port: Port to listen at; 0 takes a free one.
        weights: packaged (those in the package), a weights folder, a run (its first fold) or a hub id.
        runs: Folder with finished runs to show; everything below it can be read in the browser.
        megabytes: Largest upload.
        seconds: Longest film.
        waiting: Films that may wait; one more is told to come back.
    """
    try:
        from tfen.app.serve import serve
    except ImportError:
        raise InputError("the page needs more packages: pip install 'tfen[app]'") from None
    from tfen.app.uploads import Limits

    if runs is not None and not runs.is_dir():
        raise InputError(f"{runs} is no folder; --runs wants the folder in which your runs lie")
    serve(host, port, weights, runs, Limits(megabytes=megabytes, seconds=seconds, waiting=waiting))
