"""The command `tfen`. Heavy imports sit inside the command that needs them, so that --help is quick."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import App, Parameter

from tfen import __version__
from tfen.config import (
    ABLATIONS,
    CHECKPOINT_MINUTES,
    PRESETS,
    VARIANTS,
    FoldSettings,
    Looks,
    ModelSettings,
    Settings,
    TrainSettings,
    make_settings,
    plain,
    settings_from,
    settings_in,
)
from tfen.errors import InputError, TfenError
from tfen.labels import EXPRESSIONS
from tfen.progress import say
from tfen.spread import Cluster


def _shown(default: Any) -> Any:
    """Return a default as one would type it."""
    return (" ".join(map(str, default)) or "none") if isinstance(default, tuple) else default


app = App(
    name="tfen",
    version=__version__,
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(consume_multiple=True, show_default=_shown),
    help="Video-based facial expression recognition that separates a person's identity from the expression.",
    help_epilogue="Example: tfen synth faces && tfen crossval faces run --preset synth && tfen report run",
)
prepare = App(name="prepare", help="Turn recordings of your own, or a data set, into a prepared set.")
app.command(prepare)

Preset = Literal[
    "paper-ckplus", "paper-mmi", "paper-oulu", "paper-dfew", "dfew-official", "synth", "synth-fast-adversary", "release"
]
assert set(Preset.__args__) == set(PRESETS)  # type: ignore[attr-defined]
Dynamics = Literal["onset-apex", "onset-apex-offset", "apex-neutral", "held", "speaking"]
Detector = Literal["haar", "yunet", "mediapipe"]
Shared = Parameter(name="*")
All = Annotated[Settings, Shared]
"""Every setting as a flag of its own: --model.width, --train.epochs ..."""


@dataclass
class Start:
    """Where settings come from before flags change them."""

    preset: Preset | None = None
    "Named settings to start from; flags change them one by one."
    settings: Path | None = None
    "A YAML file with settings (the parts model, data, face, train, folds), such as a run's config.yaml."
    seed: int | None = None
    "Short for --train.seed."


@dataclass
class Experiment(Start):
    """The same for one network."""

    variant: str | None = None
    "Short for --model.variant."


@dataclass
class Training:
    """How a training is kept safe."""

    checkpoint_minutes: float = CHECKPOINT_MINUTES
    "Minutes between checkpoints, from which an interrupted training goes on; 0: after every step."

    def __post_init__(self) -> None:
        if self.checkpoint_minutes < 0:
            raise InputError(f"--checkpoint-minutes is {self.checkpoint_minutes}, expected at least 0")


@app.command(help_epilogue="Example: tfen synth faces --subjects 60 --frames 8 --size 112 --contact-sheet sheet.png")
def synth(
    out: Path,
    *,
    subjects: int = 60,
    frames: int = 12,
    size: int = 112,
    seed: int = 0,
    dynamics: tuple[Dynamics, ...] = ("onset-apex",),
    expressions: tuple[str, ...] = EXPRESSIONS,
    repeats: int = 1,
    more: tuple[str, ...] = (),
    variation: Literal["lab", "wild", "wider", "widest", "shiny"] = "lab",
    framing: float = 1.0,
    assets: Path | None = None,
    first_subject: int = 0,
    layout: Literal["ckplus", "mmi", "oulu-casia", "dfew"] | None = None,
    jobs: int | None = None,
    contact_sheet: Path | None = None,
) -> None:
    """Make synthetic people showing expressions, with everything known about them.

    Stopped and started again, it goes on where it was; a prepared set asked for more subjects or expressions gets what
    is missing. The same settings give the same bytes.

    Args:
        out: Folder of the prepared set to make.
        subjects: Number of people.
        frames: Frames in each sequence.
        size: Side of the frames, pixels.
        seed: Other seeds, other people.
        dynamics: How the expression goes over time; several may be given.
        expressions: Expressions to make.
        repeats: Sequences of each expression and dynamics for every subject.
        more: Expressions of which there is one sequence more, for every time that they are named.
        variation: lab: frontal faces and even light. wild: poses, lights and cameras differ widely. wider:
            flat light and odd faces at rest, too. widest: also fuller lips, lighter or darker than the face. shiny: also
            skin and lips that shine.
        framing: Side of the frames in sides of the face's box; 1 shows the face alone, 1.6 the whole head.
        assets: Folder of MakeHuman's assets, for photographic skin, hair, brows and teeth.
        first_subject: Number of the first person; with the same seed, other numbers are other people.
        layout: Write the official folders of that data set instead of a prepared set, with its own expressions,
            dynamics and framing; size is then the height of the pictures.
        jobs: Processes; all cores if not given.
        contact_sheet: Also write a picture of every expression of some subjects.
    """
    from dataclasses import replace

    from tfen.synth.film import VARIATIONS
    from tfen.synth.generate import SynthSettings, make_set

    if not 0.8 <= framing <= 3:
        raise InputError(f"--framing is {framing}, expected 0.8 to 3")
    if layout is not None:
        no_choice = {
            "dynamics": dynamics != ("onset-apex",),
            "expressions": expressions != EXPRESSIONS,
            "repeats": repeats != 1,
            "more": more,
            "framing": framing != 1,
            "contact-sheet": contact_sheet,
        }
        for name in (name for name, given in no_choice.items() if given):
            raise InputError(f"--{name} is no choice in {layout}'s official folders; leave it or --layout out")
    plan = SynthSettings(
        subjects=subjects,
        frames=frames,
        size=size,
        seed=seed,
        dynamics=dynamics,
        expressions=expressions,
        repeats=repeats,
        more=more,
        first_subject=first_subject,
        assets=None if assets is None else str(assets),
        variation=replace(VARIATIONS[variation], framing=framing),
    )
    if layout is not None:
        from tfen.synth.layouts import make_layout

        counts = make_layout(out, plan, layout, jobs or os.cpu_count() or 1)
        print(f"{out}: {counts['sequences']} sequences of {counts['subjects']} subjects as {layout}'s official folders")
        return
    about = make_set(out, plan, jobs)
    counts = about["counts"]
    print(f"{out}: {counts['sequences']} sequences of {counts['subjects']} subjects, {counts['frames']} frames")
    if contact_sheet is not None:
        from tfen.data.prepared import open_set
        from tfen.evaluation.sheet import contact_sheet as draw

        draw(open_set(out), contact_sheet)
        print(f"{contact_sheet}: contact sheet")


@dataclass
class Cutting:
    """How faces are found and cut out."""

    detector: Literal[Detector, "none"] = "haar"
    "Finds the faces. none: the box, or the largest centred square."
    detector_model: Path | None = None
    "Model file of the detector: needed for mediapipe, and for yunet if not fetched with `tfen fetch yunet`."
    align: Literal["none", "eyes"] = "eyes"
    "eyes: crops are turned until the eyes are level, where landmarks are known. none: as in the paper."
    size: int = 244
    "Side of the stored crops, pixels."
    jobs: int | None = None
    "Processes; all cores if not given."
    contact_sheet: Path | None = None
    "Also write a picture of every expression of some subjects."


Cuts = Annotated[Cutting, Shared]


def _prepare(
    set_name: str, source: Path, out: Path, cutting: Cutting, findings: Any, expected: Any, **more: Any
) -> None:
    """Prepare what a reader found, and say what came of it."""
    from tfen.data.prepare import PrepareSettings, prepare

    settings = PrepareSettings(
        size=cutting.size,
        detector=cutting.detector,
        detector_model=None if cutting.detector_model is None else str(cutting.detector_model),
        align=cutting.align,
        **more,
    )
    counts = prepare(source, out, set_name, findings, settings, expected, cutting.jobs)
    marked = f", {counts['marked']} frames without a face" if counts["marked"] else ""
    print(
        f"{out}: {counts['sequences']} sequences of {counts['subjects']} subjects, "
        f"{counts['left_out']} left out{marked}"
    )
    if cutting.contact_sheet is not None:
        from tfen.data.prepared import open_set
        from tfen.evaluation.sheet import contact_sheet as draw

        dataset = open_set(out)
        stills = all(sequence.frames == 1 for sequence in dataset.sequences)
        draw(dataset, cutting.contact_sheet, steps=1 if stills else 3)
        print(f"{cutting.contact_sheet}: contact sheet")


@prepare.command(name="folder", help_epilogue="Example: tfen prepare folder photos prepared/photos --box 110,130,180")
def prepare_folder_command(
    source: Path,
    out: Path,
    *,
    box: str | None = None,
    grey: bool = False,
    cutting: Cuts = Cutting(),  # noqa: B008
) -> None:
    """Prepare photographs, frames or films of your own.

    Args:
        source: A folder EXPRESSION/SUBJECT/SEQUENCE/ with frames, or with one film or photograph for each subject or
            sequence; or a CSV with the columns path, subject, expression. A still is a sequence of one frame.
        out: Folder of the prepared set to make.
        box: The face's square, the same in every image: left,top,side in pixels; no face is looked for.
        grey: Take the colour away.
    """
    from tfen.data.prepare import Square
    from tfen.data.sources.folder import find

    square = None if box is None else Square.parse(box)
    _prepare("folder", source, out, cutting, find(source), None, box=square, grey=grey)


@prepare.command(name="ckplus", help_epilogue="Example: tfen prepare ckplus ~/CK+ prepared/ckplus --align none")
def prepare_ckplus(source: Path, out: Path, *, colour: bool = False, cutting: Cuts = Cutting()) -> None:  # noqa: B008
    """Prepare CK+ from its official folders: 327 labelled sequences of 118 subjects, grey as in the paper.

    Args:
        source: Folder with cohn-kanade-images, Emotion and Landmarks.
        out: Folder of the prepared set to make.
        colour: Keep the colour of the few colour films.
    """
    from tfen.data.sources.ckplus import EXPECTED, find

    _prepare("ckplus", source, out, cutting, find(source), EXPECTED, grey=not colour)


@prepare.command(name="mmi", help_epilogue="Example: tfen prepare mmi ~/MMI prepared/mmi --align none")
def prepare_mmi(source: Path, out: Path, *, cutting: Cuts = Cutting()) -> None:  # noqa: B008
    """Prepare MMI from its official folders: 208 films of 31 subjects, whole from onset to offset.

    Args:
        source: Folder with Sessions.
        out: Folder of the prepared set to make.
    """
    from tfen.data.sources.mmi import EXPECTED, find

    _prepare("mmi", source, out, cutting, find(source), EXPECTED)


@prepare.command(name="oulu-casia", help_epilogue="Example: tfen prepare oulu-casia ~/Oulu prepared/oulu --align none")
def prepare_oulu(
    source: Path,
    out: Path,
    *,
    camera: Literal["VL", "NI"] = "VL",
    light: Literal["Strong", "Weak", "Dark"] = "Strong",
    cropped: bool = False,
    cutting: Cuts = Cutting(),  # noqa: B008
) -> None:
    """Prepare Oulu-CASIA from its official folders: 480 sequences of 80 subjects for each camera and light.

    Args:
        source: Folder with OriginalImg or PreProcess_Img, however they are spelled, or with films.
        out: Folder of the prepared set to make.
        camera: VL (visible light, the paper's) or NI (near infrared).
        light: The paper's is Strong.
        cropped: Take the images that come cropped.
    """
    from tfen.data.sources.oulu_casia import EXPECTED, find

    _prepare("oulu-casia", source, out, cutting, find(source, camera, light, cropped), EXPECTED)


@prepare.command(name="dfew", help_epilogue="Example: tfen prepare dfew ~/DFEW prepared/dfew")
def prepare_dfew(
    source: Path,
    out: Path,
    *,
    form: Literal["clip_224x224", "clip_224x224_16f", "clip_224x224_avi", "original"] | None = None,
    cutting: Cuts = Cutting(),  # noqa: B008
) -> None:
    """Prepare DFEW from its official folders: 11,697 clips with a single label, and the five official folds.

    Args:
        source: Folder with Clip and EmoLabel_DataSplit (or Annotation).
        out: Folder of the prepared set to make.
        form: Which form of the clips; the first of the four that is there.
    """
    from tfen.data.sources.dfew import EXPECTED, find

    _prepare("dfew", source, out, cutting, find(source, form), EXPECTED)


@app.command(help_epilogue="Example: tfen crossval faces run --preset synth --folds.count 5")
def crossval(
    set: Path,
    out: Path | None = None,
    *,
    experiment: Annotated[Experiment, Shared] = Experiment(),  # noqa: B008
    init: str | None = None,
    tensorboard: bool = False,
    training: Annotated[Training, Shared] = Training(),  # noqa: B008
    cluster: Annotated[Cluster, Shared] = Cluster(),  # noqa: B008
    settings: All = Settings(),  # noqa: B008
) -> None:
    """Train and test a network on a prepared set, fold by fold, nobody in training and test at once.

    Stopped and started again, it goes on where it was: finished folds are not run again.

    Args:
        set: A prepared set.
        out: Folder of the run; runs/SET-VARIANT if not given.
        init: Weights to start from: a run, a weights folder or a hub id.
        tensorboard: Also log for TensorBoard.
    """
    from tfen.data.prepared import open_set
    from tfen.training.crossval import begin

    out = out or Path("runs") / f"{set.name}-{settings.model.variant}"
    dataset = open_set(set, settings.folds.exclude)
    run = begin(dataset, out, settings, init, tensorboard, training.checkpoint_minutes)
    print(headline(_finished([run], cluster)[0]))
    print(f"{out}/summary.json; make the report with: tfen report {out}")


def _finished(runs: Sequence[Any], cluster: Cluster) -> list[dict[str, Any]]:
    """Do what is missing in some runs, here or on a cluster, and return their summaries."""
    from tfen import stopping
    from tfen.training.crossval import finish, finish_spread

    with stopping.listening():
        return finish_spread(list(runs), cluster) if cluster.ray else [finish(run) for run in runs]


@app.command(name="folds", help_epilogue="Example: tfen folds prepared/ckplus --preset paper-ckplus --export folds.csv")
def folds_command(
    set: Path,
    *,
    export: Path | None = None,
    start: Annotated[Start, Shared] = Start(),  # noqa: B008
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

    made = make_folds(open_set(set, folds.exclude), folds, train.seed)
    print(f"{'fold':>4}{'training':>10}{'validation':>12}{'test':>6}  test subjects")
    for fold in made:
        names = subjects_of(fold.test)
        shown = ", ".join(names[:6]) + (f" ... {names[-1]} ({len(names)})" if len(names) > 6 else "")
        print(f"{fold.number:>4}{len(fold.train):>10}{len(fold.validation):>12}{len(fold.test):>6}  {shown}")
    if export is not None:
        write_folds(export, made)
        print(export)


@app.command(help_epilogue="Example: tfen compare faces comparison --preset synth --variants tfen without-adversarial")
def compare(
    set: Path,
    out: Path,
    *,
    variants: tuple[str, ...] = ("tfen", *ABLATIONS),
    repeats: int = 1,
    start: Annotated[Start, Shared] = Start(),  # noqa: B008
    init: str | None = None,
    training: Annotated[Training, Shared] = Training(),  # noqa: B008
    cluster: Annotated[Cluster, Shared] = Cluster(),  # noqa: B008
    settings: All = Settings(),  # noqa: B008
) -> None:
    """Cross-validate several networks on the same folds, seeds and budgets, and test their differences.

    Stopped and started again, it goes on where it was: finished folds are not run again.

    Args:
        set: A prepared set.
        out: Folder of the comparison: a run for each network, and comparison/ with the table.
        variants: Networks; the others are tested against the first one.
        repeats: Seeds to run each network with, counted up from --train.seed.
        init: Weights to start from: a run, a weights folder or a hub id.
    """
    from dataclasses import replace

    from tfen.data.prepared import open_set
    from tfen.evaluation.comparison import run_folder, write_comparison
    from tfen.training.crossval import begin

    if repeats < 1:
        raise InputError(f"--repeats is {repeats}, expected at least 1")
    chosen = tuple(dict.fromkeys(variants))
    unknown = [name for name in chosen if name not in VARIANTS]
    if unknown:
        raise InputError(f"--variants names {unknown[0]!r}; choose from {', '.join(VARIANTS)}")
    dataset = open_set(set, settings.folds.exclude)
    first = settings.train.seed
    seeds = tuple(range(first, first + repeats))
    runs = []
    for seed in seeds:
        for variant in chosen:
            own = replace(
                settings,
                model=replace(settings.model, variant=variant),  # type: ignore[arg-type]
                train=replace(settings.train, seed=seed),
            )
            folder = run_folder(out, variant, seed, first)
            runs.append(begin(dataset, folder, own, init, minutes=training.checkpoint_minutes))
    for run, figures in zip(runs, _finished(runs, cluster)):
        print(f"{run.out.name}: {headline(figures)}")
    write_comparison(out, chosen, seeds)
    print(f"{out}/comparison/index.html")


@app.command(help_epilogue="Example: tfen sweep faces sweep --preset synth --over train.alpha --values 1 5 25")
def sweep(
    set: Path,
    out: Path,
    *,
    over: str,
    values: tuple[str, ...],
    experiment: Annotated[Experiment, Shared] = Experiment(),  # noqa: B008
    init: str | None = None,
    training: Annotated[Training, Shared] = Training(),  # noqa: B008
    cluster: Annotated[Cluster, Shared] = Cluster(),  # noqa: B008
    settings: All = Settings(),  # noqa: B008
) -> None:
    """Cross-validate one network with several values of one setting, everything else the same.

    Stopped and started again, it goes on where it was: finished folds are not run again.

    Args:
        set: A prepared set.
        out: Folder of the sweep: a run for each value, and sweep/ with table and picture.
        over: The setting, such as train.alpha, model.frames or train.adversary-interval.
        values: Its values.
        init: Weights to start from: a run, a weights folder or a hub id.
    """
    import yaml

    from tfen.data.prepared import open_set
    from tfen.evaluation.comparison import sweep_folder, write_sweep
    from tfen.training.crossval import begin

    part, _, name = over.replace("-", "_").partition(".")
    base = plain(settings)
    if part not in base or name not in base[part]:
        raise InputError(
            f"--over names {over!r}, which is no setting; expected one such as train.alpha or model.frames"
        )
    plans = []
    for value in values:
        base[part][name] = yaml.safe_load(value)
        plans.append((value, settings_from(base)))
    dataset = open_set(set, settings.folds.exclude)
    runs = [
        begin(dataset, sweep_folder(out, over, value), own, init, minutes=training.checkpoint_minutes)
        for value, own in plans
    ]
    for value, figures in zip(values, _finished(runs, cluster)):
        print(f"{over} {value}: {headline(figures)}")
    write_sweep(out, over, tuple(values))
    print(f"{out}/sweep/sweep.csv")


@app.command(name="train", help_epilogue="Example: tfen train faces weights --preset synth")
def train_command(
    set: Path,
    out: Path,
    *,
    experiment: Annotated[Experiment, Shared] = Experiment(),  # noqa: B008
    init: str | None = None,
    training: Annotated[Training, Shared] = Training(),  # noqa: B008
    settings: All = Settings(),  # noqa: B008
) -> None:
    """Train one network on all subjects of a prepared set (less the inner validation split, if one is asked for).

    Args:
        set: A prepared set.
        out: Folder for the weights: model.safetensors and config.json.
        init: Weights to start from: a run, a weights folder or a hub id.
    """
    from tfen import stopping
    from tfen.data.prepared import open_set
    from tfen.training.crossval import train_on_all

    dataset = open_set(set, settings.folds.exclude)
    with stopping.listening():
        print(train_on_all(dataset, out, settings, init, training.checkpoint_minutes))


@dataclass
class Finding:
    """How faces are found."""

    detector: Detector = "haar"
    "Finds the faces."
    detector_model: Path | None = None
    "Model file of the detector: needed for mediapipe, and for yunet if not fetched with `tfen fetch yunet`."


@app.command(help_epilogue="Example: tfen analyze interview.mp4 --annotate")
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
    finding: Annotated[Finding, Shared] = Finding(),  # noqa: B008
    cluster: Annotated[Cluster, Shared] = Cluster(),  # noqa: B008
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

    from tfen.inference.analysis import Wanted, analyze_spread, find_sources
    from tfen.inference.analysis import analyze as run
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
    wanted = Wanted(annotate=annotate, pictures=pictures, elan=elan, boris=boris)
    sources = find_sources(inputs)
    if out is None:
        first = Path(inputs[0])
        out = Path(f"{first.stem if first.exists() else sources[0].kind}-expressions")
    if cluster.ray:
        counts = analyze_spread(sources, out, make, analyzer.expressions, wanted, settings, cluster)
    else:
        counts = run(sources, out, analyzer, wanted, settings)
    failed = f", {counts['failed']} could not be read (see files.csv)" if counts["failed"] else ""
    print(f"{out}: {counts['files']} analyzed{failed}; {counts['faces']} faces, {counts['episodes']} episodes")
    if counts["failed"]:
        sys.exit(2)


@app.command(name="app", help_epilogue="Example: tfen app --runs runs")
def app_command(
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


@app.command(help_epilogue="Example: tfen fetch yunet && tfen analyze film.mp4 --out found --detector yunet")
def fetch(what: Literal["yunet"]) -> None:
    """Fetch a model that is not in the package, over the network, and check that it is the right one.

    Args:
        what: yunet: a better face detector (0.2 MB, MIT licence).
    """
    from tfen.faces.detection import fetch_yunet

    print(fetch_yunet())


@app.command(help_epilogue="Example: tfen average first second --out both --check faces")
def average(
    weights: Annotated[list[str], Parameter(allow_leading_hyphen=False)],
    /,
    *,
    out: Path,
    check: tuple[Path, ...] = (),
) -> None:
    """Make one network of several: the mean of their weights, often better than each, at the cost of one.

    It works where one was trained from the other, or both from a third (--init); check it.

    Args:
        weights: Weights of the same shape; one that is named twice counts twice.
        out: Folder to write.
        check: Prepared sets. How good each network and the mean are on the people whom `tfen train` on that set holds
            back is printed, and the mean's confidence is calibrated on them.
    """
    from tfen.data.prepared import open_set
    from tfen.training.averaging import average as write

    for line in write(weights, out, [open_set(folder) for folder in check]):
        print(line)


@app.command(help_epilogue="Example: tfen join faces lips --out both && tfen train both weights --preset release")
def join(
    sets: Annotated[list[Path], Parameter(allow_leading_hyphen=False)],
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
    from tfen.data.joining import join as write
    from tfen.data.prepared import open_set

    made = write([open_set(folder) for folder in sets], out, names)
    print(f"{out}: {len(made.sequences)} sequences of {len(made.subjects)} subjects of {len(sets)} sets")


@app.command(help_epilogue="Example: tfen export packaged graphs --to onnx")
def export(
    weights: str,
    out: Path,
    *,
    to: Literal["torch", "onnx", "openvino"] = "onnx",
    half: bool = False,
    int8: Path | None = None,
) -> None:
    """Write weights for another engine: one graph for a single frame, one for a window, checked against the original.

    What is written can be used wherever weights can.

    Args:
        weights: packaged (those in the package), a weights folder, a run (its first fold) or a hub id.
        out: Folder to write.
        to: onnx (ONNX Runtime), openvino, or torch (safetensors).
        half: Store torch weights in half precision, at half the size.
        int8: A prepared set; half of it sets the ranges of eight-bit integers, the other half measures what they cost.
    """
    from tfen.inference.export import export as write
    from tfen.inference.export import write_integers

    if int8 is None:
        if half and to != "torch":
            raise InputError(f"--half stores torch weights, not {to}; give --to torch")
        difference = write(weights, out, to, half)
        print(f"{out}: {to}; probabilities differ by {difference:.1e} at most")
        return
    if to != "onnx":
        raise InputError(f"--int8 writes onnx, not {to}; leave --to away")
    from tfen.data.prepared import open_set

    figures = write_integers(weights, out, open_set(int8))
    print(
        f"{out}: onnx with eight-bit integers; on {figures['sequences']} sequences the same decision in "
        f"{100 * figures['agreement']:.1f} %, right {100 * figures['accuracy_int8']:.1f} % instead of "
        f"{100 * figures['accuracy']:.1f} %"
    )


@app.command(help_epilogue="Example: tfen landmarks portrait.jpg film.mp4 --out landmarks.csv --draw pictures")
def landmarks(
    files: Annotated[list[Path], Parameter(allow_leading_hyphen=False)],
    /,
    *,
    out: Path,
    draw: Path | None = None,
    weights: Path | None = None,
    finding: Annotated[Finding, Shared] = Finding(),  # noqa: B008
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


@app.command(help_epilogue="Example: tfen train-landmarks heads landmarks --epochs 30")
def train_landmarks(set: Path, out: Path, *, epochs: int = 30, seed: int = 0) -> None:
    """Train the landmark network on a synthetic set made with --framing 1.6.

    Args:
        set: A set made by `tfen synth`.
        out: Folder for landmarks.safetensors and config.json.
        epochs: Passes over the frames.
        seed: Of everything random.
    """
    from tfen.data.prepared import open_set
    from tfen.training.landmarks import train_landmarks as train_them

    if epochs < 1:
        raise InputError(f"--epochs is {epochs}, expected at least 1")
    figures = train_them(open_set(set), out, epochs, seed=seed)
    print(
        f"{out}: error {100 * figures['held_out_error']:.2f} % of the eye corners' distance on "
        f"{figures['held_out_subjects']} held-out subjects"
    )


@app.command(help_epilogue="Example: tfen evaluate weights other-faces --out judged")
def evaluate(weights: str, set: Path, *, out: Path | None = None, looks: Looks = 1) -> None:
    """Test trained weights on another set: labels are matched by name, the others are left out of the choice.

    Where the set has a subjects.csv with sex, age, ancestry, glasses or beard, subgroups.csv has the accuracy of each.

    Args:
        weights: A run (its first fold), a weights folder, packaged (those in the package) or a hub id.
        set: A prepared set.
        out: Folder of the results; runs/SET-evaluated if not given.
        looks: How often each sequence is looked at: once, or 6 times and averaged, as `tfen analyze` does.
    """
    from tfen.data.prepared import open_set
    from tfen.training.crossval import evaluate as judge

    out = out or Path("runs") / f"{set.name}-evaluated"
    figures = judge(weights, open_set(set), out, looks)
    print(
        f"accuracy {figures['accuracy']:.3f}, UAR {figures['uar']:.3f} ({figures['sequences']} sequences of "
        f"{figures['subjects']} subjects, choice of {', '.join(figures['expressions'])})"
    )
    if figures["sequences_left_out"]:
        print(f"{figures['sequences_left_out']} sequences show expressions that the weights do not know")
    print(f"{out}/summary.json")


@app.command(help_epilogue="Example: tfen report run")
def report(run: Path, *, out: Path | None = None) -> None:
    """Write a cross-validation's report: one HTML page with pictures, tables (CSV, LaTeX) and all settings.

    Args:
        run: Folder of a run.
        out: Folder of the report; RUN/report if not given.
    """
    from tfen.evaluation.report import write_report

    page = write_report(run, out or run / "report")
    print(page)


@app.command(help_epilogue="Example: tfen figures run --beside other-run")
def figures(run: Path, *, out: Path | None = None, beside: Path | None = None, expression: str | None = None) -> None:
    """Draw the paper's figures and tables of a run: feature maps, t-SNE, confusions, rivals, distances.

    Args:
        run: Folder of a run.
        out: Folder of the figures; RUN/figures if not given.
        beside: Another run on the same folds, drawn to the left, such as an ablation's.
        expression: Expression of the feature maps.
    """
    from tfen.evaluation.figures import write_figures

    for path in write_figures(run, out or run / "figures", beside, expression):
        print(path)


@app.command(help_epilogue="Example: tfen leakage run")
def leakage(run: Path, *, out: Path | None = None, adversary: bool = True) -> None:
    """Measure how much identity, and how much expression, is left in the features of people never seen in training.

    Args:
        run: Folder of a run.
        out: Folder of the figures; RUN/leakage if not given.
        adversary: Also train a fresh adversary on each place's features; the slowest part.
    """
    from tfen.evaluation.leakage import MEASURES, PLACES, measure_leakage

    out = out or run / "leakage"
    rows = {(row.measure, row.place): row for row in measure_leakage(run, out, adversary)}
    print(f"{'':<36}" + "".join(f"{place:>8}" for place in PLACES) + f"{'chance':>8}")
    for measure, words in MEASURES.items():
        own = [rows.get((measure, place)) for place in PLACES]
        there = [row for row in own if row is not None]
        if there:
            cells = "".join(f"{'':>8}" if row is None else f"{row.value:>8.3f}" for row in own)
            chance = "" if there[0].chance is None else f"{there[0].chance:>8.3f}"
            print(f"{words:<36}{cells}{chance}")
    print(f"{out}/index.html")


@app.command(help_epilogue="Example: tfen info --preset paper-ckplus --json")
def info(
    *,
    experiment: Annotated[Experiment, Shared] = Experiment(),  # noqa: B008
    model: ModelSettings = ModelSettings(),  # noqa: B008
    expressions: int = 7,
    faces: int = 100,
    json: bool = False,
) -> None:
    """Print every part of a network with its output's shape, parameters and operations, and the total.

    Args:
        expressions: Number of expressions.
        faces: Number of face labels.
        json: Print JSON.
    """
    from json import dumps

    from tfen.models.describe import describe

    figures = describe(Settings(model=model), expressions, faces)
    if json:
        print(dumps(figures, indent=1))
        return
    print(
        f"{figures['variant']}, input {'x'.join(map(str, figures['input']))}, {expressions} expressions, {faces} faces"
    )
    for part in figures["parts"]:
        shape = "x".join(map(str, part["output"]))
        print(
            f"{part['part']}  {part['name']:<22}{shape:>18}{part['parameters']:>14,}{part['operations'] / 1e9:>10.2f} GFLOP"
        )
    print(
        f"   {'without A':<22}{'':>18}{figures['total_parameters']:>14,}{figures['total_operations'] / 1e9:>10.2f} GFLOP"
    )


def headline(figures: dict[str, Any]) -> str:
    """Return a run's figures in one line."""
    one = figures["folds"] == 1
    spread = "" if one else f", standard deviation {figures['std']:.3f}"
    return (
        f"{figures['variant']}: accuracy {figures['accuracy']:.3f}, UAR {figures['uar']:.3f}, WAR {figures['war']:.3f} "
        f"({figures['sequences']} sequences of {figures['subjects']} unseen subjects, {figures['folds']} "
        f"fold{'' if one else 's'}{spread}; epoch: {figures['epoch_chosen_by']})"
    )


class _PresetSource:
    """Fills in the settings that no flag gave: from --settings, then from --preset, then from the short forms."""

    def __call__(self, app: App, commands: Sequence[str], arguments: Any) -> None:
        given = {argument.name.lstrip("-"): argument for argument in arguments}
        if not {"train.epochs", "model.width", "folds.count"} & set(given):
            return

        def given_value(name: str) -> str | None:
            argument = given.get(name)
            return argument.tokens[0].value if argument is not None and argument.tokens else None

        preset = given_value("preset")
        if preset is not None and preset not in PRESETS:
            raise InputError(f"--preset {preset!r} is unknown; choose from {', '.join(PRESETS)}")
        changes: dict[str, dict[str, Any]] = {}
        file = given_value("settings")
        if file is not None:
            changes = _read_settings(Path(file))
        for short, (part, name) in {"variant": ("model", "variant"), "seed": ("train", "seed")}.items():
            value = given_value(short)
            if value is not None:
                changes.setdefault(part, {})[name] = int(value) if short == "seed" and value.isdigit() else value
        base = make_settings(preset, changes)
        reference = make_settings()
        for part in ("model", "data", "face", "train", "folds"):
            for name, value in vars(getattr(base, part)).items():
                argument = given.get(f"{part}.{name.replace('_', '-')}")
                if argument is None or argument.tokens or value == vars(getattr(reference, part))[name]:
                    continue
                for k, item in enumerate(value if isinstance(value, tuple) else (value,)):
                    argument.append(cyclopts.Token(keyword=argument.name, value=str(item), source="preset", index=k))


def _read_settings(path: Path) -> dict[str, dict[str, Any]]:
    from tfen.files import read_yaml

    if not path.exists():
        raise InputError(f"{path} does not exist; --settings wants a YAML file")
    dataset = read_yaml(path, "a file with settings")
    if "settings" in dataset:
        dataset = dataset["settings"]
    if not isinstance(dataset, dict) or not all(isinstance(part, dict) for part in dataset.values()):
        raise InputError(f"{path} holds no settings: expected the parts model, data, face, train, folds")
    settings_in(dataset, path)
    return dataset


app.config = (_PresetSource(),)


def _misuse(error: cyclopts.CycloptsError) -> str:
    """Return what is wrong with a command line, in one sentence, and where to read on."""
    command = " ".join(("tfen", *(error.command_chain or ())))
    text = " ".join(str(error).split())
    if isinstance(error, cyclopts.UnusedCliTokensError):
        text = f"{command} has no use for {' '.join(error.unused_tokens or ())!r}"
    elif not isinstance(error, cyclopts.MissingArgumentError):
        return text
    return f"{text.removesuffix('.')}; see {command} --help"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; bad input exits with 2, a failure with 1, an interruption with 130."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        app(arguments if arguments is None else list(arguments), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except cyclopts.CycloptsError as error:
        say(f"tfen: {_misuse(error)}")
        sys.exit(2)
    except TfenError as error:
        say(f"tfen: {' '.join(str(error).split())}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("tfen: stopped; the same command goes on where it was")
        sys.exit(130)
    except BrokenPipeError:  # whoever read the output is gone; what is left to be written goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno == 28:
            say(f"tfen: the disk is full ({error.filename or 'while writing'}); free some space and run it again")
            sys.exit(1)
        raise


if __name__ == "__main__":
    main()
