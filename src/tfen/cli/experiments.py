"""Commands that train and test networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tfen.cli.options import Checkpoints, Experiment, Files, Flags, SettingsFlags, Start
from tfen.config import Settings, TestTimeAugmentation, plain, settings_from
from tfen.device import DeviceName
from tfen.errors import InputError
from tfen.models.variants import VARIANTS, ablations
from tfen.spread import Cluster


def crossval(
    set: Path,
    out: Path | None = None,
    *,
    experiment: Annotated[Experiment, Flags] = Experiment(),  # noqa: B008
    init: str | None = None,
    tensorboard: bool = False,
    checkpoints: Annotated[Checkpoints, Flags] = Checkpoints(),  # noqa: B008
    cluster: Annotated[Cluster, Flags] = Cluster(),  # noqa: B008
    settings: SettingsFlags = Settings(),  # noqa: B008
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
    run = begin(dataset, out, settings, init, tensorboard, checkpoints.checkpoint_minutes)
    print(headline(_finished([run], cluster)[0]))
    print(f"{out}/summary.json; make the report with: tfen report {out}")


def _finished(runs: Sequence[Any], cluster: Cluster) -> list[dict[str, Any]]:
    """Do what is missing in some runs, here or on a cluster, and return their summaries."""
    from tfen import stopping
    from tfen.training.crossval import finish, finish_spread

    with stopping.listening() as stop:
        if cluster.ray:
            return finish_spread(runs, cluster, stop)
        worker = runs[0].worker(stop)  # one for all: the runs of a comparison share their frames
        return [finish(run, worker) for run in runs]


def compare(
    set: Path,
    out: Path,
    *,
    variants: tuple[Annotated[str, VARIANTS], ...] = ("tfen", *ablations()),
    controls: bool = False,
    repeats: int = 1,
    start: Annotated[Start, Flags] = Start(),  # noqa: B008
    init: str | None = None,
    checkpoints: Annotated[Checkpoints, Flags] = Checkpoints(),  # noqa: B008
    cluster: Annotated[Cluster, Flags] = Cluster(),  # noqa: B008
    settings: SettingsFlags = Settings(),  # noqa: B008
) -> None:
    """Cross-validate several networks on the same folds, seeds and budgets, and test their differences.

    Stopped and started again, it goes on where it was: finished folds are not run again.

    Args:
        set: A prepared set.
        out: Folder of the comparison: a run for each network, and comparison/ with the table.
        variants: Networks; the others are tested against the first one.
        controls: Also train each network without an adversary as a matched control (--train.matched): with the same
            weight of the expression loss, and as many updates, as beside an adversary.
        repeats: Seeds to run each network with, counted up from --train.seed.
        init: Weights to start from: a run, a weights folder or a hub id.
    """
    from dataclasses import replace

    from tfen.data.prepared import open_set
    from tfen.evaluation.comparison import run_folder, write_comparison
    from tfen.training.crossval import begin

    if repeats < 1:
        raise InputError(f"--repeats is {repeats}, expected at least 1")
    for name in variants:
        VARIANTS.check(name, "--variants")
    chosen = {
        (f"{name}-matched" if matched else name): (name, matched)
        for name in variants
        for matched in (False, True)
        if not matched or (controls and not VARIANTS[name].adversary)
    }
    dataset = open_set(set, settings.folds.exclude)
    first = settings.train.seed
    seeds = tuple(range(first, first + repeats))
    runs = []
    for seed in seeds:
        for name, (variant, matched) in chosen.items():
            own = replace(
                settings,
                model=replace(settings.model, variant=variant),
                train=replace(settings.train, seed=seed, matched=matched),
            )
            folder = run_folder(out, name, seed, first)
            runs.append(begin(dataset, folder, own, init, minutes=checkpoints.checkpoint_minutes))
    for run, figures in zip(runs, _finished(runs, cluster)):
        print(headline(figures, run.out.name))
    write_comparison(out, tuple(chosen), seeds)
    print(f"{out}/comparison/index.html")


def sweep(
    set: Path,
    out: Path,
    *,
    over: str,
    values: tuple[str, ...],
    experiment: Annotated[Experiment, Flags] = Experiment(),  # noqa: B008
    init: str | None = None,
    checkpoints: Annotated[Checkpoints, Flags] = Checkpoints(),  # noqa: B008
    cluster: Annotated[Cluster, Flags] = Cluster(),  # noqa: B008
    settings: SettingsFlags = Settings(),  # noqa: B008
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
        begin(dataset, sweep_folder(out, over, value), own, init, minutes=checkpoints.checkpoint_minutes)
        for value, own in plans
    ]
    for value, figures in zip(values, _finished(runs, cluster)):
        print(headline(figures, f"{over} {value}"))
    write_sweep(out, over, tuple(values))
    print(f"{out}/sweep/sweep.csv")


def train(
    set: Path,
    out: Path,
    *,
    experiment: Annotated[Experiment, Flags] = Experiment(),  # noqa: B008
    init: str | None = None,
    checkpoints: Annotated[Checkpoints, Flags] = Checkpoints(),  # noqa: B008
    settings: SettingsFlags = Settings(),  # noqa: B008
) -> None:
    """Train one network on all subjects of a prepared set (less the validation split; with --folds.select last,
    on everybody).

    Args:
        set: A prepared set.
        out: Folder for the weights: model.safetensors and config.json.
        init: Weights to start from: a run, a weights folder or a hub id.
    """
    from tfen import stopping
    from tfen.data.prepared import open_set
    from tfen.training.on_all import train_on_all

    dataset = open_set(set, settings.folds.exclude)
    with stopping.listening() as stop:
        print(train_on_all(dataset, out, settings, init, checkpoints.checkpoint_minutes, stop))


def train_landmarks(
    set: Path,
    out: Path,
    *,
    epochs: int = 30,
    seed: int = 0,
    device: DeviceName = "auto",
    checkpoints: Annotated[Checkpoints, Flags] = Checkpoints(),  # noqa: B008
) -> None:
    """Train the landmark network on a synthetic set made with --framing 1.6. Stopped and started again it goes on.

    Args:
        set: A set made by `tfen synth`.
        out: Folder for landmarks.safetensors and config.json.
        epochs: Passes over the frames.
        seed: Of everything random.
        device: Where the network learns; auto takes a GPU of NVIDIA if there is one.
    """
    from tfen import stopping
    from tfen.data.prepared import open_set
    from tfen.training import landmarks

    if epochs < 1:
        raise InputError(f"--epochs is {epochs}, expected at least 1")
    with stopping.listening() as stop:
        figures = landmarks.train_landmarks(
            open_set(set),
            out,
            epochs,
            seed=seed,
            minutes=checkpoints.checkpoint_minutes,
            stop=stop,
            device=device,
        )
    print(
        f"{out}: error {100 * figures['held_out_error']:.2f} % of the eye corners' distance on "
        f"{figures['held_out_subjects']} held-out subjects"
    )


def average(
    weights: Annotated[list[str], Files],
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
    from tfen.training import averaging

    for line in averaging.average(weights, out, [open_set(folder) for folder in check]):
        print(line)


def evaluate(
    weights: str,
    set: Path,
    *,
    out: Path | None = None,
    test_time_augmentation: Annotated[TestTimeAugmentation, Parameter(alias="--looks")] = 1,
) -> None:
    """Test trained weights on another set: labels are matched by name, the others are left out of the choice.

    Where the set has a subjects.csv with sex, age, ancestry, glasses or beard, subgroups.csv has the accuracy of each.

    Args:
        weights: A run (its first fold), a weights folder, packaged (those in the package) or a hub id.
        set: A prepared set.
        out: Folder of the results; runs/SET-evaluated if not given.
        test_time_augmentation: How often each sequence is looked at: once, or 6 times and averaged, as `tfen analyze` does.
    """
    from tfen.data.prepared import open_set
    from tfen.evaluation.evaluate import evaluate as judge

    out = out or Path("runs") / f"{set.name}-evaluated"
    figures = judge(weights, open_set(set), out, test_time_augmentation)
    print(
        f"accuracy {figures['accuracy']:.3f}, UAR {figures['uar']:.3f} ({figures['sequences']} sequences of "
        f"{figures['subjects']} subjects, choice of {', '.join(figures['expressions'])})"
    )
    for leak in figures["leaks"]:
        print(leak)
    if figures["sequences_left_out"]:
        print(f"{figures['sequences_left_out']} sequences show expressions that the weights do not know")
    print(f"{out}/summary.json")


def headline(figures: dict[str, Any], name: str = "") -> str:
    """Return a run's figures in one line that begins with a name, or with what was trained."""
    count, planned = figures["folds"], figures["dataset"]["folds"]
    folds = f"{count} of {planned} folds" if count < planned else f"{count} fold{'' if count == 1 else 's'}"
    spread = "" if figures["std"] is None else f", standard deviation {figures['std']:.3f}"
    line = (
        f"{name or figures['variant']}: accuracy {figures['accuracy']:.3f}, UAR {figures['uar']:.3f}, WAR {figures['war']:.3f} "
        f"({figures['sequences']} sequences of {figures['people']}, {folds}{spread}; epoch: {figures['epoch_chosen_by']})"
    )
    return "\n".join([line, *(f"not subject-independent: {leak}" for leak in figures["leaks"])])
