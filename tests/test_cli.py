"""The command line: help by purpose and part, defaults of the preset, settings printed, choices from their tables."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from running import run as tfen

from tfen.choices import Choices
from tfen.cli import main
from tfen.config import make_settings, plain
from tfen.data.prepared import open_set
from tfen.data.sources import READERS
from tfen.data.sources.recordings import DatasetReader, Findings, Recording
from tfen.presets import PRESETS, Preset


def words(text: str) -> str:
    """Return a help page's words without frames and line breaks."""
    return " ".join(re.sub(r"[\u2500-\u257f]", " ", text).split())


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with contextlib.suppress(SystemExit):
        main(list(arguments))
    return words(capsys.readouterr().out)


@pytest.fixture
def added() -> Iterator[list[tuple[Choices, str]]]:
    """Tables and names that a test adds, and that are taken out again."""
    names: list[tuple[Choices, str]] = []
    yield names
    for table, name in names:
        table.remove(name)


def test_commands_stand_by_purpose_each_with_a_sentence() -> None:
    text = tfen(["--help"]).stdout
    for title in ("Films", "Sets", "Experiments", "Results", "Weights"):
        assert f" {title} " in text
    for line in re.findall(r"^\u2502 (\w[\w-]*)(.*)\u2502$", text, re.M):
        assert len(line[1].split()) > 3, line


def test_settings_stand_by_part_with_the_defaults_of_the_preset() -> None:
    text = tfen(["crossval", "--preset", "synth", "--help"]).stdout
    positions = [
        text.index(title) for title in ("Network", "Frames and clips", "Face pretraining", " Training ", "Folds")
    ]
    assert positions == sorted(positions)
    shown = dict(re.findall(r"--([a-z]+\.[a-z-]+) .*?\[default: ([^\]]*)\]", words(text)))
    base = plain(make_settings("synth"))
    assert shown["model.width"] == str(base["model"]["width"]) == "16"
    assert shown["train.optimiser"] == "adamw"
    assert shown["folds.exclude"] == "neutral"
    usual = dict(
        re.findall(r"--([a-z]+\.[a-z-]+) .*?\[default: ([^\]]*)\]", words(tfen(["crossval", "--help"]).stdout))
    )
    assert usual["model.width"] == "64"
    assert usual["train.optimiser"] == "sgd"


def test_printed_settings_are_those_in_force_and_can_be_read_again(tmp_path: Path) -> None:
    flags = ["--preset", "synth", "--seed", "3", "--train.epochs", "7", "--folds.exclude", "neutral", "fear"]
    done = tfen(["crossval", str(tmp_path / "no-set"), *flags, "--print-settings"])
    assert done.returncode == 0
    expected = plain(
        make_settings("synth", {"train": {"epochs": 7, "seed": 3}, "folds": {"exclude": ("neutral", "fear")}})
    )
    assert yaml.safe_load(done.stdout) == expected
    file = tmp_path / "mine.yaml"
    file.write_text(done.stdout)
    again = tfen(["crossval", "anything", "--settings", str(file), "--print-settings"])
    assert again.stdout == done.stdout
    assert tfen(["train", "a", "b", "--preset", "synth", "--train.lr", "x", "--print-settings"]).returncode == 2


def test_a_preset_of_ones_own_is_found_in_help_and_settings(added: list, capsys: pytest.CaptureFixture[str]) -> None:
    PRESETS.add("mine", Preset("eleven epochs", {"train": {"epochs": 11}}))
    added.append((PRESETS, "mine"))
    assert "mine: eleven epochs." in said(capsys, "crossval", "--help")
    with pytest.raises(SystemExit) as ended:
        main(["crossval", "set", "--preset", "mine", "--print-settings"])
    assert ended.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["train"]["epochs"] == 11


def test_a_data_set_of_ones_own_has_its_command(
    added: list, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    portraits = tmp_path / "portraits"
    portraits.mkdir()
    for name in ("anna1-fear", "anna1-anger", "bert1-fear", "bert1-anger"):
        cv2.imwrite(str(portraits / f"{name}.png"), np.zeros((40, 40, 3), np.uint8))

    def read(source: Path, options: object) -> Findings:
        return Findings(
            [Recording(path.stem, path.stem[:5], path.stem.split("-")[1], (path,)) for path in sorted(source.iterdir())]
        )

    reader = DatasetReader(
        title="Mine",
        about="pictures of mine.",
        source="Folder of pictures.",
        read=read,
        example="tfen prepare mine a b",
    )
    READERS.add("mine", reader)
    added.append((READERS, "mine"))
    assert "Prepare pictures of mine." in said(capsys, "prepare", "--help")
    text = said(capsys, "prepare", "mine", "--help")
    assert "Folder of pictures." in text
    assert "Example: tfen prepare mine a b" in text
    assert "4 sequences of 2 subjects" in said(
        capsys, "prepare", "mine", str(portraits), str(tmp_path / "out"), "--detector", "none", "--size", "32"
    )
    dataset = open_set(tmp_path / "out")
    assert dataset.name == "mine"
    assert len(dataset.sequences) == len(list(portraits.iterdir()))


def test_unknown_choices_name_what_there_is() -> None:
    for arguments, says in (
        (["crossval", "s", "r", "--preset", "paper-fer"], "--preset is 'paper-fer'; choose from paper-ckplus"),
        (["synth", "s", "--variation", "wildest"], "did you mean widest"),
        (["synth", "s", "--layout", "fer2013"], "choose from ckplus, mmi, oulu-casia, dfew"),
        (["synth", "s", "--dynamics", "sudden"], "choose from onset-apex"),
    ):
        done = tfen(arguments)
        assert done.returncode == 2, done.stderr
        assert says in " ".join(done.stderr.split()), done.stderr
