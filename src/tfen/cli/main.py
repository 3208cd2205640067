"""`tfen`: names and functions, and what happens to whatever goes wrong."""

import os
import sys
from collections.abc import Callable, Sequence

import cyclopts
from cyclopts import App, Group, Parameter

from tfen import __version__
from tfen.cli import experiments, films, results, sets, weights
from tfen.cli.help import Help, shown
from tfen.cli.options import FillSettings
from tfen.data.sources import READERS
from tfen.errors import InputError, TfenError
from tfen.progress import on_console, say

COMMANDS: dict[str, dict[str, tuple[Callable[..., None], str]]] = {
    "Films": {
        "analyze": (films.analyze, "tfen analyze interview.mp4 --annotate"),
        "landmarks": (films.landmarks, "tfen landmarks portrait.jpg film.mp4 --out landmarks.csv --draw pictures"),
        "app": (films.app, "tfen app --runs runs"),
    },
    "Sets": {
        "synth": (sets.synth, "tfen synth faces --subjects 60 --frames 8 --size 112 --contact-sheet sheet.png"),
        "join": (sets.join, "tfen join faces lips --out both && tfen train both weights --preset release"),
        "folds": (sets.folds, "tfen folds prepared/ckplus --preset paper-ckplus --export folds.csv"),
    },
    "Experiments": {
        "crossval": (experiments.crossval, "tfen crossval faces run --preset synth --folds.count 5"),
        "compare": (
            experiments.compare,
            "tfen compare faces comparison --preset synth --variants tfen without-adversarial",
        ),
        "sweep": (experiments.sweep, "tfen sweep faces sweep --preset synth --over train.alpha --values 1 5 25"),
        "train": (experiments.train, "tfen train faces weights --preset synth"),
        "train-landmarks": (experiments.train_landmarks, "tfen train-landmarks heads landmarks --epochs 30"),
        "average": (experiments.average, "tfen average first second --out both --check faces"),
        "evaluate": (experiments.evaluate, "tfen evaluate weights other-faces --out judged"),
    },
    "Results": {
        "report": (results.report, "tfen report run"),
        "figures": (results.figures, "tfen figures run --beside other-run"),
        "leakage": (results.leakage, "tfen leakage run"),
        "frontier": (results.frontier, "tfen frontier run-a/leakage run-b/leakage --out frontier.png"),
        "info": (results.info, "tfen info --preset paper-ckplus --json"),
    },
    "Weights": {
        "calibrate": (weights.calibrate, "tfen calibrate weights shift-people shift-camera --out calibrated"),
        "export": (weights.export, "tfen export packaged graphs --to onnx"),
    },
}
"""The commands by purpose: what each name calls, and an example."""


def make_app(arguments: Sequence[str]) -> App:
    """Return the command line as it is now: its choices are those that the tables hold.

    Args:
        arguments: those that it will be called with; help shows the defaults of a preset that they name.
    """
    app = App(
        name="tfen",
        version=__version__,
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(consume_multiple=True, show_default=shown),
        help="Video-based facial expression recognition that separates a person's identity from the expression.",
        help_epilogue="Example: tfen synth faces && tfen crossval faces run --preset synth && tfen report run",
        config=(FillSettings(),),
    )
    app["--help"].group = app["--version"].group = Group("Options", sort_key=99)
    for number, (title, commands) in enumerate(COMMANDS.items()):
        group = Group(title, sort_key=number)
        for name, (function, example) in commands.items():
            app.command(
                function,
                name=name,
                group=group,
                help_epilogue=f"Example: {example}",
                help_formatter=Help(function, arguments),
            )
        if title == "Sets":
            app.command(_prepare(group, arguments))
    return app


def _prepare(group: Group, arguments: Sequence[str]) -> App:
    """Return `tfen prepare` with a command for each data set."""
    prepare = App(name="prepare", group=group, help="Turn recordings of your own, or a data set, into a prepared set.")
    for name, reader in READERS.items():
        command = sets.prepare_command(name, reader)
        prepare.command(
            command,
            name=name,
            help_epilogue=f"Example: {reader.example}",
            help_formatter=Help(command, arguments),
        )
    return prepare


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
    with on_console():
        _run(sys.argv[1:] if arguments is None else list(arguments))


def _run(given: Sequence[str]) -> None:
    try:
        try:
            make_app(given)(given, exit_on_error=False, print_error=False)
        finally:
            sys.stdout.flush()
    except cyclopts.CycloptsError as error:
        inner = error.__cause__
        say(f"tfen: {inner if isinstance(inner, InputError) else _misuse(error)}")
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
