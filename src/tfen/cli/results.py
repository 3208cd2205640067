"""Commands that read what came of an experiment."""

from pathlib import Path
from typing import Annotated

from tfen.cli.options import Experiment, Files, Flags
from tfen.config import ModelSettings, Settings
from tfen.device import DeviceName


def report(run: Path, *, out: Path | None = None, set: Path | None = None) -> None:
    """Write a cross-validation's report: one HTML page with pictures, tables (CSV, LaTeX) and all settings.

    Args:
        run: Folder of a run.
        out: Folder of the report; RUN/report if not given.
        set: Where the run's set lies now, if it was moved.
    """
    from tfen.evaluation.report import write_report

    page = write_report(run, out or run / "report", set)
    print(page)


def figures(
    run: Path,
    *,
    out: Path | None = None,
    beside: Path | None = None,
    expression: str | None = None,
    set: Path | None = None,
) -> None:
    """Draw the paper's figures and tables of a run: feature maps, t-SNE, confusions, rivals, distances.

    Args:
        run: Folder of a run.
        out: Folder of the figures; RUN/figures if not given.
        beside: Another run on the same folds, drawn to the left, such as an ablation's.
        expression: Expression of the feature maps.
        set: Where the runs' set lies now, if it was moved.
    """
    from tfen.evaluation.figures import write_figures

    for path in write_figures(run, out or run / "figures", beside, expression, set):
        print(path)


def leakage(
    run: Path,
    *,
    out: Path | None = None,
    adversary: bool = True,
    set: Path | None = None,
    device: DeviceName = "auto",
) -> None:
    """Measure how much identity, and how much expression, is left in the features of people never seen in training.

    Args:
        run: Folder of a run.
        out: Folder of the figures; RUN/leakage if not given.
        adversary: Also train a fresh adversary on each place's features; the slowest part.
        set: Where the run's set lies now, if it was moved.
        device: Where networks run and the adversary learns; auto takes a GPU of NVIDIA if there is one.
    """
    from tfen.evaluation.leakage import MEASURES, PLACES, measure_leakage

    out = out or run / "leakage"
    rows = {(row.measure, row.place): row for row in measure_leakage(run, out, adversary, set, device)}
    print(f"{'':<36}" + "".join(f"{place:>8}" for place in PLACES) + f"{'chance':>8}")
    for measure, words in MEASURES.items():
        own = [rows.get((measure, place)) for place in PLACES]
        there = [row for row in own if row is not None]
        if there:
            cells = "".join(f"{'':>8}" if row is None else f"{row.value:>8.3f}" for row in own)
            chance = "" if there[0].chance is None else f"{there[0].chance:>8.3f}"
            print(f"{words:<36}{cells}{chance}")
    print(f"{out}/index.html")


def frontier(
    measured: Annotated[list[Path], Files], *, out: Path = Path("frontier.png"), names: tuple[str, ...] = ()
) -> None:
    """Draw accuracy against identity of several runs: what each pays for taking the person out.

    Args:
        measured: Folders of `tfen leakage`, two at least.
        out: Picture to write; a PDF and a CSV come beside it.
        names: Of the runs, in the same order; their folders' names if not given.
    """
    from tfen.evaluation.frontier import write_frontier
    from tfen.evaluation.leakage import MEASURES

    settings = write_frontier(measured, out, names)
    for one in sorted(settings, key=lambda one: -one.accuracy):
        identity = "; ".join(f"{MEASURES[name]} {value:.3f}" for name, value in one.identity.items())
        print(f"{one.name:<28} accuracy {one.accuracy:.3f}; {identity}")
    print(out)


def info(
    *,
    experiment: Annotated[Experiment, Flags] = Experiment(),  # noqa: B008
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
