"""Choices by name: listed in order, checked everywhere, extended in one place."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from conftest import SMALL

from tfen.choices import Choices, choices_in
from tfen.cli import main
from tfen.config import (
    DataSettings,
    FoldSettings,
    ModelSettings,
    TrainSettings,
    make_settings,
    plain,
    settings_from,
)
from tfen.data.augmentations import AUGMENTATIONS
from tfen.data.folds import by_subject
from tfen.data.normalisations import NORMALISATIONS, Normalisation
from tfen.data.protocols import PROTOCOLS, SELECTIONS, Protocol
from tfen.errors import InputError
from tfen.models.decoupler import FUSIONS
from tfen.models.tfen import TEMPORAL_NETWORKS
from tfen.models.variants import VARIANTS, Variant, ablations
from tfen.models.weights import build
from tfen.presets import PRESETS, Preset
from tfen.training.norms import NORMS, Norm
from tfen.training.optimisers import OPTIMISERS, SCHEDULES
from tfen.training.turns import TURNS


def test_an_unknown_name_is_an_error_that_lists_the_names_and_the_nearest() -> None:
    table = Choices("norm", {"squared": 2, "absolute": 1})
    assert table["absolute"] == 1
    with pytest.raises(InputError, match=r"the norm 'squard' is unknown; choose from squared, absolute \(did you mean"):
        table["squard"]
    with pytest.raises(InputError, match=r"--norm is 'x'; choose from squared, absolute$"):
        table.check("x", "--norm")


def test_what_is_added_is_there_until_it_is_removed_and_no_name_is_taken_twice() -> None:
    table = Choices("norm", {"squared": 2})
    table.add("cubed", 3)
    assert list(table) == ["squared", "cubed"]
    with pytest.raises(InputError, match="there already"):
        table.add("cubed", 4)
    table.remove("cubed")
    assert "cubed" not in table


def test_a_type_knows_its_table() -> None:
    table = Choices("norm", {"squared": 2})
    assert choices_in(Annotated[str, table]) is table
    assert choices_in(tuple[Annotated[str, table], ...]) is table
    assert choices_in(Annotated[str, table] | None) is table
    assert choices_in(int) is None


def test_a_name_that_is_no_text_is_unknown() -> None:
    with pytest.raises(InputError, match=r"model.variant is \['tfen'\]; choose from"):
        settings_from({"model": {"variant": ["tfen"]}})


class Subtraction(torch.nn.Module):
    """A fusion without weights: E less F."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, expression_BCHW: torch.Tensor, face_BCHW: torch.Tensor) -> torch.Tensor:
        return expression_BCHW - face_BCHW


@pytest.fixture
def added() -> Iterator[None]:
    """One of each kind of choice, there for the length of a test."""
    halves = Protocol(text="halves", split=lambda dataset, settings, seed: by_subject(dataset, 2))
    entries: list[tuple[Choices[Any], str, Any]] = [
        (FUSIONS, "subtraction", Subtraction),
        (VARIANTS, "subtracting", Variant(text="TFEN by subtraction", fusion="subtraction")),
        (NORMS, "halved", Norm(text="half of it", identification=_half("identification"), confusion=_half("confusion"))),
        (NORMALISATIONS, "none", Normalisation(text="as it is", apply=lambda clips: clips)),
        (PROTOCOLS, "halves", halves),
        (PRESETS, "own", Preset("a preset of one's own", {
            "model": {"variant": "subtracting"}, "train": {"norm": "halved"}, "data": {"normalise": "none"},
            "folds": {"protocol": "halves", "select": "last"},
        })),
    ]  # fmt: skip
    for table, name, entry in entries:
        table.add(name, entry)
    yield
    for table, name, _ in reversed(entries):
        table.remove(name)


def run(arguments: list[str]) -> None:
    """Run the command in this process, where the added choices are."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code


def _half(part: str) -> Callable[..., torch.Tensor]:
    return lambda *arguments: getattr(NORMS["squared"], part)(*arguments) / 2


def test_one_of_each_added_at_run_time_is_found_in_settings_info_training_and_report(
    added: None, tiny_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_settings("own")
    assert settings_from(plain(settings)) == settings
    assert "subtracting" in ablations()
    run(["info", "--help"])
    said = capsys.readouterr().out
    assert "subtracting" in said
    assert "own: a preset of one's own" in " ".join(said.split())
    run(["info", "--preset", "own", "--json"])
    own = json.loads(capsys.readouterr().out)
    assert own["variant"] == "subtracting"
    assert [part["parameters"] for part in own["parts"] if part["part"] == "D"] == [0]
    logs = {}
    for norm in ("halved", "squared"):
        run(["crossval", str(tiny_set), str(tmp_path / norm), *SMALL, "--preset", "own", "--train.norm", norm,
              "--folds.only", "0", "--train.adversary-interval", "2"])  # fmt: skip
        logs[norm] = [json.loads(line) for line in (tmp_path / norm / "fold-00/metrics.jsonl").read_text().splitlines()]
    assert logs["halved"][0]["confusion_loss"] == pytest.approx(logs["squared"][0]["confusion_loss"] / 2)
    assert json.loads((tmp_path / "halved/summary.json").read_text())["protocol"] == "halves"
    assert len(json.loads((tmp_path / "halved/fold-00/fold.json").read_text())["test_subjects"]) == 2
    run(["report", str(tmp_path / "halved")])
    page = (tmp_path / "halved/report/index.html").read_text()
    assert "<h1>subtracting on folder</h1>" in page
    for name, value in (("normalise", "none"), ("norm", "halved"), ("variant", "subtracting"), ("protocol", "halves")):
        assert f"<td>{name}</td><td>{value}</td>" in page


def test_what_was_removed_is_unknown_again() -> None:
    for changes in ({"model": {"variant": "subtracting"}}, {"train": {"norm": "halved"}}):
        with pytest.raises(InputError, match="choose from"):
            make_settings(None, changes)
    with pytest.raises(InputError, match="the preset 'own' is unknown; choose from paper-ckplus"):
        make_settings("own")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ModelSettings(variant="tfem"),
        lambda: ModelSettings(shortcut="C"),  # type: ignore[arg-type]
        lambda: DataSettings(normalise="frames"),
        lambda: DataSettings(augment="weak"),
        lambda: TrainSettings(norm="cubed"),
        lambda: TrainSettings(turns="often"),
        lambda: TrainSettings(optimiser="adam"),
        lambda: TrainSettings(schedule="linear"),
        lambda: FoldSettings(protocol="subject"),
        lambda: FoldSettings(select="best"),
    ],
)
def test_no_settings_are_made_with_an_unknown_choice(wrong: Callable[[], object]) -> None:
    with pytest.raises(InputError, match="choose from"):
        wrong()


def test_every_entry_can_be_told_in_a_line() -> None:
    tables = (
        VARIANTS,
        NORMS,
        OPTIMISERS,
        SCHEDULES,
        TURNS,
        NORMALISATIONS,
        AUGMENTATIONS,
        PROTOCOLS,
        SELECTIONS,
        PRESETS,
    )
    for table in tables:
        assert list(table.texts()) == list(table)
        assert all(table.texts().values())


def test_every_variant_names_parts_that_exist() -> None:
    for name, one in VARIANTS.items():
        assert one.temporal in TEMPORAL_NETWORKS, name
        assert one.fusion is None or one.fusion in FUSIONS, name


def test_a_variant_whose_parts_cannot_be_had_together_is_refused() -> None:
    with pytest.raises(InputError, match="nothing is decoupled"):
        Variant(text="no D", fusion=None)
    with pytest.raises(InputError, match="has no E"):
        Variant(text="no E", extracts=False)
    VARIANTS.add("impossible", Variant(text="gathers frames", temporal="framewise", gathers=True))
    try:
        with pytest.raises(InputError, match="no features of a whole clip"):
            build(make_settings(None, {"model": {"variant": "impossible", "width": 8}}), 3, 3)
    finally:
        VARIANTS.remove("impossible")
