"""One clear sentence each, the right exit code, nothing half-written."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import pytest
from conftest import SMALL, refuses, tfen, write_tiny_set
from films import still, write_film

from tfen import Analyzer
from tfen.data.prepared import open_set
from tfen.inference.analysis import Wanted, analyze
from tfen.inference.inputs import find_sources

RUN = [*SMALL, "--folds.count", "2"]


def test_a_missing_folder() -> None:
    refuses("crossval", "/no/such/set", "/no/such/run", *RUN, says="/no/such/set does not exist")


def test_a_folder_that_is_no_set(tmp_path: Path) -> None:
    refuses("crossval", tmp_path, tmp_path / "run", *RUN, says="no prepared set")


def test_a_wrong_command_line_says_where_to_read_on() -> None:
    refuses("figures", "run", "out", "more", says="tfen figures has no use for 'out more'; see tfen figures --help")
    refuses("crossval", says="requires an argument; see tfen crossval --help")
    refuses("synth", "faces", "--subject", 4, says="Did you mean --subjects?")


def test_a_reader_that_is_gone_is_no_error_to_report() -> None:
    command = [sys.executable, "-m", "tfen.cli", "analyze", "--json-schema"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1


def test_fewer_subjects_than_folds(tiny_set: Path, tmp_path: Path) -> None:
    sentence = refuses("crossval", tiny_set, tmp_path / "run", *SMALL, "--folds.count", "10")
    assert "4 subjects, fewer than the 10 folds" in sentence
    assert not (tmp_path / "run").exists()


def test_one_subject_only(tmp_path: Path) -> None:
    one = write_tiny_set(tmp_path / "set", subjects=1)
    refuses("crossval", one, tmp_path / "run", *RUN, says="1 subject, fewer than the 2 folds")


def test_one_expression_only(tmp_path: Path) -> None:
    one = write_tiny_set(tmp_path / "set", expressions=("anger",))
    refuses("crossval", one, tmp_path / "run", *RUN, says="at least two")


def test_an_unreadable_image(tiny_set: Path, tmp_path: Path) -> None:
    broken = tiny_set / "frames/p1-anger/02.png"
    broken.write_bytes(broken.read_bytes()[:40])
    sentence = refuses("crossval", tiny_set, tmp_path / "run", *RUN)
    assert str(broken) in sentence
    assert not list((tmp_path / "run").glob("fold-*/fold.json"))


def test_a_sequence_with_missing_frames(tiny_set: Path, tmp_path: Path) -> None:
    (tiny_set / "frames/p1-anger/02.png").unlink()
    refuses("crossval", tiny_set, tmp_path / "run", *RUN, says="holds 3 frames but sequences.csv says 4")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("sequence,subject", "sequence,who", "no column subject"),
        ("p1-anger,p1,anger,4", "p1-anger,p1,anger,four", "row 2: frames is 'four'"),
        ("p1-anger,p1,anger,4", "../p1-anger,p1,anger,4", "is not a place inside frames/"),
        ("p1-happiness,", "p1-anger,", "names the sequence p1-anger twice"),
    ],
)
def test_a_damaged_table(tiny_set: Path, tmp_path: Path, old: str, new: str, says: str) -> None:
    table = tiny_set / "sequences.csv"
    table.write_text(table.read_text().replace(old, new))
    refuses("crossval", tiny_set, tmp_path / "run", *RUN, says=says)


def test_damaged_truth_is_told_before_the_work(synthetic_set: Path, weights: Path, tmp_path: Path) -> None:
    """An evaluation may take an hour; here its last frame would stop it, and the truth stops it before."""
    shutil.copytree(synthetic_set, tmp_path / "set")
    last = open_set(tmp_path / "set").sequences[-1].name
    for frame in (tmp_path / "set/frames" / last).iterdir():
        frame.write_bytes(b"no picture")
    refuses("evaluate", weights, tmp_path / "set", "--out", tmp_path / "out", says=f"{last}/0001.jpg")
    (tmp_path / f"set/truth/{last}.json").write_text('{"pose": 7}')
    refuses("evaluate", weights, tmp_path / "set", "--out", tmp_path / "out", says=f"truth/{last}.json is not")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--model.width", "7"], "model.width is 7"),
        (["--train.lr", "-1"], "train.lr is -1"),
        (["--train.epochs", "0"], "train.epochs is 0"),
        (["--variant", "tfem"], "tfem"),
        (["--preset", "paper-fer"], "choose from"),
        (["--settings", "/no/file.yaml"], "/no/file.yaml does not exist"),
        (["--train.epoch", "5"], "--train.epoch"),
        (["--init", "/no/weights"], "holds no weights"),
    ],
)
def test_bad_settings(tiny_set: Path, tmp_path: Path, flags: list[str], says: str) -> None:
    keep = {flag for flag in flags if flag.startswith("--")}
    pairs = [RUN[k : k + 2] for k in range(0, len(RUN), 2)]
    run = [item for pair in pairs if pair[0] not in keep for item in pair]
    refuses("crossval", tiny_set, tmp_path / "run", *run, *flags, says=says)


def test_an_output_that_holds_something_else(tiny_set: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep me")
    refuses("crossval", tiny_set, tmp_path / "mine", *RUN, says="holds no run")
    refuses("synth", tmp_path / "mine", "--subjects", 1, says="holds no synthetic set")
    assert (tmp_path / "mine/notes.txt").read_text() == "keep me"


def test_a_report_of_nothing(tmp_path: Path) -> None:
    refuses("report", tmp_path, says="holds no finished run")


def test_missing_imagenet_weights_say_what_to_do(tiny_set: Path, tmp_path: Path) -> None:
    sentence = refuses("crossval", tiny_set, tmp_path / "run", *RUN, "--model.expression-weights", "imagenet",
                       "--model.block", "timm", code=1)  # fmt: skip
    assert "model.safetensors of timm/legacy_seresnet18.in1k could not be fetched" in sentence
    assert "download it by hand and give --model.expression-weights its path" in sentence
    assert not (tmp_path / "run").exists()  # nothing is claimed
    refuses(
        "crossval",
        tiny_set,
        tmp_path / "run",
        *RUN,
        "--model.expression-weights",
        "imagenet",
        says="add --model.block timm",
    )


def interrupted(command: list[str], when: Path, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tfen.cli", *command],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # a shell starts what runs in the background with interruptions ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(600):
        if when.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    time.sleep(0.3)
    for patience in (20, 20, 60):  # an interruption that falls into a library's clean-up is lost: press again
        process.send_signal(number)
        try:
            out, error = process.communicate(timeout=patience)
            break
        except subprocess.TimeoutExpired:
            continue
    else:
        process.kill()
        raise AssertionError("the command does not stop")
    return subprocess.CompletedProcess(command, process.returncode, out, error)


def test_ctrl_c_says_so_and_the_same_command_goes_on(tiny_set: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = [item for k, item in enumerate(RUN) if item != "--train.epochs" and RUN[k - 1] != "--train.epochs"]
    done = interrupted(
        ["crossval", str(tiny_set), str(run), *flags, "--train.epochs", "100000"],
        run / "fold-00/metrics.jsonl",
        signal.SIGINT,
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "stopped" in done.stderr
    assert not (run / "fold-00/fold.json").exists()
    assert not (run / "summary.json").exists()
    assert {path.parent.name for path in run.rglob("*.safetensors")} == {"checkpoint"}
    assert not list(run.rglob(".*"))


def test_an_annotated_film_that_is_broken_off_can_be_played(actors: Path, weights: Path, tmp_path: Path) -> None:
    film, out = write_film(tmp_path / "long.mp4", *still(actors, 240)), tmp_path / "out"
    command = ["analyze", str(film), "--out", str(out), "--weights", str(weights), "--annotate"]
    done = interrupted(command, out / "films/long.mp4", signal.SIGINT)
    assert done.returncode == 130
    with av.open(str(out / "films/long.mp4")) as annotated:
        assert 0 < sum(1 for _ in annotated.decode(video=0)) < 3000


def test_an_annotated_film_can_be_played_whatever_ends_it(actors: Path, weights: Path, tmp_path: Path) -> None:
    film, told = write_film(tmp_path / "film.mp4", *still(actors, 30)), []

    def listen(row: dict[str, Any]) -> None:
        told.append(row)
        if len(told) == 8:
            raise RuntimeError("whoever listens is gone")

    sources, wanted = find_sources([str(film)]), Wanted(annotate=True)
    with pytest.raises(RuntimeError):
        analyze(sources, tmp_path / "out", Analyzer(str(weights)), wanted, {}, listen)
    with av.open(str(tmp_path / "out/films/film.mp4")) as annotated:
        assert sum(1 for _ in annotated.decode(video=0)) > 0


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs a small file system of its own")
def test_a_full_disk(tiny_set: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        refuses("crossval", tiny_set, small / "run", *RUN, code=1, says="of free disk and 2 folds need")
        sentence = refuses("train", tiny_set, small / "weights", *SMALL, code=1)
        assert "disk is full" in sentence
        assert not list(small.rglob("*.safetensors"))
        assert not list(small.rglob(".*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_help_shows_an_example() -> None:
    for command in (
        [],
        ["synth"],
        ["crossval"],
        ["report"],
        ["info"],
        ["train"],
        ["prepare", "folder"],
        ["analyze"],
        ["app"],
    ):
        done = tfen(*command, "--help")
        assert done.returncode == 0
        assert "Example: tfen" in done.stdout


def test_help_loses_no_words_in_angle_brackets() -> None:
    for command, words in (
        ("crossval", "runs/SET-VARIANT"),
        ("report", "RUN/report"),
        ("evaluate", "runs/SET-evaluated"),
    ):
        assert words in tfen(command, "--help").stdout
    commands = Path(__file__).parent.parent / "src/tfen/cli"
    for path in commands.glob("*.py"):
        assert not re.findall(r"^ {8}[^\"#']*<\w+>.*", path.read_text(), re.M), path
