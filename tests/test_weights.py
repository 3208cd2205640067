import json
import pickle
from pathlib import Path

import pytest
import torch
from conftest import refuses

from tfen.config import make_settings, plain, settings_from
from tfen.errors import InputError, TfenError
from tfen.models import weights as weights_module
from tfen.models.resnet3d import Temporal3D
from tfen.models.seresnet import LowerHalf
from tfen.models.weights import build, imagenet_weights, load, load_imagenet, load_kinetics, read_weights, save_network

SMALL = make_settings(changes={"model": {"width": 8, "image_size": 32, "frames": 3}})


def test_a_saved_network_gives_the_same_scores(tmp_path: Path) -> None:
    network = build(SMALL, 3, 4).eval()
    save_network(tmp_path, network, SMALL, ("anger", "fear", "sadness"), {"set": "x"})
    loaded = load(tmp_path)
    clip = torch.randn(2, 3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(clip), loaded.network(clip))
    assert loaded.expressions == ("anger", "fear", "sadness")
    assert plain(loaded.settings) == plain(SMALL)
    assert not loaded.network.training


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    save_network(tmp_path, build(SMALL, 3, 4), SMALL, ("anger", "fear", "sadness"), {})
    config = json.loads((tmp_path / "config.json").read_text())
    config["settings"]["model"]["width"] = 16
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="does not fit its config"):
        load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="no weights file that can be read safely"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no configuration of tfen weights"):
        load(tmp_path)


class Bomb:
    def __reduce__(self) -> tuple:
        return (Path("/tmp/tfen-bomb-went-off").touch, ())


def test_code_in_a_weights_file_is_never_run(tmp_path: Path) -> None:
    mark = Path("/tmp/tfen-bomb-went-off")
    mark.unlink(missing_ok=True)
    for name, write in (
        ("a.pth", lambda path: path.write_bytes(pickle.dumps(Bomb()))),
        ("b.pth", lambda path: torch.save(Bomb(), path)),
    ):
        path = tmp_path / name
        write(path)
        with pytest.raises(InputError):
            read_weights(path)
    assert not mark.exists()


def test_imagenet_weights_fit_by_timm_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The names and shapes of timm's legacy_seresnet18, laid out by hand."""
    weights = {"layer0.conv1.weight": torch.randn(64, 3, 7, 7), "layer0.bn1.running_var": torch.rand(64)}
    weights |= {
        "layer2.0.se_module.fc1.weight": torch.randn(8, 128, 1, 1),
        "layer2.0.downsample.0.weight": torch.randn(128, 64, 1, 1),
    }
    weights["last_linear.weight"] = torch.randn(1000, 512)
    torch.save(weights, tmp_path / "imagenet.pth")
    lower = LowerHalf(form="timm")
    with caplog.at_level("INFO", "tfen"):
        load_imagenet(lower, path=str(tmp_path / "imagenet.pth"))
    for name, value in weights.items():
        if name in lower.state_dict():
            assert torch.equal(lower.state_dict()[name], value)
    assert "weights of 4 of 66 tensors" in caplog.text


@pytest.mark.parametrize("form", ["hara", "torchvision"])
def test_kinetics_weights_fit_by_hara_and_torchvision_names(tmp_path: Path, form: str) -> None:
    plain_name, norm = ("conv1", "bn1") if form == "hara" else ("conv1.0", "conv1.1")
    prefix = "module." if form == "hara" else ""
    weights = {
        f"{prefix}layer3.0.{plain_name}.weight": torch.randn(256, 128, 3, 3, 3),
        f"{prefix}layer4.1.{norm}.weight": torch.randn(512),
        f"{prefix}fc.weight": torch.randn(400, 512),
    }
    torch.save({"state_dict": weights} if form == "hara" else weights, tmp_path / "kinetics.pth")
    temporal = Temporal3D(7, shortcut="A" if form == "hara" else "B")
    fc = temporal.fc.weight.clone()
    load_kinetics(temporal, tmp_path / "kinetics.pth")
    first, second, _ = weights.values()
    assert torch.equal(temporal.state_dict()["layer3.0.conv1.weight"], first)
    assert torch.equal(temporal.state_dict()["layer4.1.bn1.weight"], second)
    assert torch.equal(temporal.fc.weight, fc)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    torch.save({"somewhere.else": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="none of its 1 weights fits"):
        load_kinetics(Temporal3D(7, width=8), tmp_path / "other.pth")


def test_weights_of_another_width_are_refused_although_their_counters_fit(tmp_path: Path) -> None:
    torch.save(LowerHalf(32, "timm").state_dict(), tmp_path / "wide.pth")
    with pytest.raises(InputError, match="is it of another architecture or width"):
        load_imagenet(LowerHalf(16, "timm"), path=str(tmp_path / "wide.pth"))


def test_a_whole_load_says_how_much_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(LowerHalf(16, "timm").state_dict(), tmp_path / "same.pth")
    with caplog.at_level("INFO", "tfen"):
        load_imagenet(LowerHalf(16, "timm"), path=str(tmp_path / "same.pth"))
    text = caplog.text
    assert "lower half: weights of 66 of 66 tensors" in text
    assert "afresh" not in text


def test_none_is_no_file() -> None:
    settings = make_settings("paper-ckplus", {"model": {"expression_weights": "none", "temporal_weights": "none"}})
    assert settings.model.expression_weights is None
    assert settings.model.temporal_weights is None


def test_without_network_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TfenError, match=r"by hand and give --model\.expression-weights its path"):
        imagenet_weights()


def test_settings_survive_plain_values() -> None:
    for preset in (None, "paper-ckplus", "paper-dfew", "synth", "release"):
        settings = make_settings(preset)
        assert settings_from(plain(settings)) == settings


def test_presets_are_the_paper_settings() -> None:
    ckplus, dfew = make_settings("paper-ckplus"), make_settings("paper-dfew")
    train = ckplus.train
    assert (train.epochs, train.batch_size, train.lr, train.momentum, train.weight_decay) == (300, 32, 0.01, 0.9, 0.008)
    assert (train.alpha, train.adversary_interval, train.lr_step, train.lr_gamma) == (5, 3, 100, 0.1)
    assert (ckplus.model.frames, ckplus.model.image_size, ckplus.model.width, ckplus.model.dropout) == (7, 224, 64, 0.2)
    assert ckplus.data.grey
    assert not make_settings("paper-oulu").data.grey
    assert (dfew.train.epochs, dfew.train.lr_gamma, dfew.data.face_label) == (200, 0.5, "sequence")
    assert ckplus.folds.count == 10
    assert ckplus.folds.select == "last"


def test_info_prints_the_paper_network() -> None:
    from conftest import tfen

    figures = json.loads(tfen("info", "--preset", "paper-ckplus", "--json").stdout)
    assert figures["total_parameters"] == 32_451_959
    assert "32,451,959" in tfen("info", "--preset", "paper-ckplus").stdout
    refuses("info", "--model.width", 3)


def test_packaged_weights_are_loaded_by_that_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings("synth", {"model": {"width": 8, "image_size": 32}})
    monkeypatch.setattr(weights_module, "PACKAGED", tmp_path / "weights")
    with pytest.raises(InputError, match="carries no weights"):
        load("packaged")
    save_network(tmp_path / "weights", build(settings, 2, 0), settings, ("anger", "fear"), {})
    assert load("packaged").expressions == ("anger", "fear")
