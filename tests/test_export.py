"""Weights for other engines: the numbers stay, and what is written is taken wherever weights are."""

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from conftest import refuses, tfen, write_tiny_set

from tfen import load
from tfen.config import make_settings
from tfen.data.prepared import open_set
from tfen.data.transforms import normalised
from tfen.errors import InputError
from tfen.evaluation.runs import read_predictions
from tfen.inference.engine import Engine
from tfen.inference.export import export, load_for, write_integers
from tfen.models.formats import EXPORT_FORMATS, ExportFormat
from tfen.models.weights import Loaded, build, save_network

EXPRESSIONS = ("anger", "happiness", "surprise")

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.extra("openvino")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    settings = make_settings("release", {"model": {"width": 8, "image_size": 32, "frames": 3, "variant": "tfen"}})
    torch.manual_seed(1)
    save_network(folder, build(settings, 3, 0), settings, EXPRESSIONS, {"set": "none", "temperature": 2.0})
    return folder


def clips(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 3, 32, 32, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("form", ["onnx", "openvino", "torch"])
def test_what_is_exported_gives_the_same_numbers(form: str, weights: Path, tmp_path: Path) -> None:
    done = tfen("export", weights, tmp_path / "out", "--to", form)
    assert done.returncode == 0, done.stderr
    ours, theirs = load(weights), load(tmp_path / "out")
    assert (theirs.expressions, theirs.settings, theirs.about) == (ours.expressions, ours.settings, ours.about)
    for count in (1, 5):
        with torch.inference_mode():
            expected, said = ours.network(clips(count)), theirs.network(clips(count))
            codes = theirs.network.features(clips(count)[:, 0])
        assert said.shape == (count, 3)
        assert (said.softmax(1) - expected.softmax(1)).abs().max() < 1e-4
        assert (codes - ours.network.features(clips(count)[:, 0])).abs().max() < 1e-3
    refuses("export", weights, tmp_path / "out", says="is not empty")
    if form != "torch":
        refuses("export", tmp_path / "out", tmp_path / "again", says="was exported to graphs; export the weights")
        refuses("average", weights, tmp_path / "out", "--out", tmp_path / "again", says="graphs; average the weights")


def test_the_two_graphs_stand_alone(weights: Path, tmp_path: Path) -> None:
    """Whoever has ONNX Runtime alone can chain the graphs: frames to codes, S codes to scores."""
    assert tfen("export", weights, tmp_path / "out").returncode == 0
    frame, window = (
        onnxruntime.InferenceSession(str(tmp_path / "out" / f"{part}.onnx")) for part in ("frame", "window")
    )
    pixels = clips(1).numpy()
    codes = frame.run(None, {frame.get_inputs()[0].name: pixels[0]})[0]
    scores = window.run(None, {window.get_inputs()[0].name: codes[None]})[0]
    with torch.inference_mode():
        expected = load(weights).network(clips(1)).numpy()
    assert np.abs(scores - expected).max() < 1e-3


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
@pytest.mark.parametrize("normalise", ["local", "clip"])
def test_six_looks_at_a_face_are_averaged(normalise: str, engine: str) -> None:
    """Whether frames are computed once (local) or with the whole clip, and whatever runs the network."""
    settings = make_settings("release", {"model": {"width": 8, "image_size": 48, "frames": 3}})
    settings.data.normalise = normalise  # type: ignore[assignment]
    torch.manual_seed(2)
    plain = Loaded(build(settings, 3, 0).eval(), settings, EXPRESSIONS, {"temperature": 0.5})
    alone, six = Engine(plain), Engine(load_for(plain, engine), 6)
    films = np.random.default_rng(3).integers(0, 256, (2, 3, six.size, six.size, 3), np.uint8)
    films = np.stack([[cv2.GaussianBlur(image, (9, 9), 0) for image in film] for film in films])
    said, turned = (six.scores([six.encode(film) for film in some]) for some in (films, films[:, :, :, ::-1]))
    assert np.abs(said - turned).max() < 1e-4
    grey = np.stack([[cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in film] for film in films])
    likely = []
    for margin in (0, 2, 4):  # of the 52 pixels of a frame
        cut = grey[:, :, margin : 52 - margin, margin : 52 - margin].astype(np.float32)
        fitted = functional.interpolate(torch.from_numpy(cut), (48, 48), mode="bilinear", antialias=True) / 255
        for look in (fitted, fitted.flip(-1)):
            clips = normalised(look[:, :, None].expand(-1, -1, 3, -1, -1), normalise)
            with torch.inference_mode():
                likely.append(plain.network(clips).softmax(1).numpy())
    expected = np.exp(np.mean(np.log(likely), axis=0)) ** 2  # the temperature is 0.5
    assert np.abs(said - expected / expected.sum(1, keepdims=True)).max() < 1e-5
    once = alone.scores([alone.encode(film) for film in films])
    assert np.abs(once - likely[2] ** 2 / (likely[2] ** 2).sum(1, keepdims=True)).max() < 1e-4
    assert np.abs(said - once).max() > 5e-3


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_take_torch_weights_too(engine: str, weights: Path) -> None:
    with torch.inference_mode():
        said = load_for(weights, engine).network(clips(2)).softmax(1)
        expected = load(weights).network(clips(2)).softmax(1)
    assert (said - expected).abs().max() < 1e-4


def test_eight_bits_say_what_they_cost(weights: Path, tmp_path: Path) -> None:
    tiny = write_tiny_set(tmp_path / "tiny", subjects=4)
    done = tfen("export", weights, tmp_path / "out", "--int8", tiny)
    assert done.returncode == 0, done.stderr
    assert "on 6 sequences the same decision in" in done.stdout
    full = tmp_path / "full"
    assert tfen("export", weights, full).returncode == 0
    size = {name: sum(file.stat().st_size for file in folder.glob("*.onnx")) for name, folder in (("small", tmp_path / "out"), ("full", full))}  # fmt: skip
    assert size["small"] < 0.5 * size["full"]
    with torch.inference_mode():
        said = load(tmp_path / "out").network(clips(4)).softmax(1)
    assert said.shape == (4, 3)
    refuses("export", weights, tmp_path / "other", "--int8", tiny, "--to", "openvino", says="--int8 writes onnx")


def test_damaged_graphs_get_one_sentence(weights: Path, tmp_path: Path) -> None:
    assert tfen("export", weights, tmp_path / "out").returncode == 0
    (tmp_path / "out" / "window.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match="cannot read"):
        load(tmp_path / "out")
    (tmp_path / "out" / "window.onnx").unlink()
    with pytest.raises(InputError, match=r"holds no window\.onnx"):
        load(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["format"] == "onnx"


def test_half_precision_weights_are_read_as_single(weights: Path, tmp_path: Path) -> None:
    assert tfen("export", weights, tmp_path / "half", "--to", "torch", "--half").returncode == 0
    refuses("export", weights, tmp_path / "graph", "--half", says="--half stores torch weights")
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (tmp_path / "half", weights)]
    assert sizes[0] < 0.6 * sizes[1]
    loaded, half = load(weights), load(tmp_path / "half")
    assert {value.dtype for value in half.network.state_dict().values()} <= {torch.float32, torch.int64}
    with torch.inference_mode():
        apart = half.network(clips(3)).softmax(1) - loaded.network(clips(3)).softmax(1)
    assert apart.abs().max() < 5e-3


def test_exported_graphs_are_evaluated_as_the_weights_are_and_train_nothing(weights: Path, tmp_path: Path) -> None:
    tiny = write_tiny_set(tmp_path / "tiny", subjects=4)
    assert tfen("export", weights, tmp_path / "graphs").returncode == 0
    for looks in (1, 6):
        said = []
        for name, source in (("ours", weights), ("theirs", tmp_path / "graphs")):
            out = tmp_path / f"{name}-{looks}"
            done = tfen("evaluate", source, tiny, "--out", out, "--looks", looks)
            assert done.returncode == 0, done.stderr
            said.append(read_predictions(out / "predictions.csv", EXPRESSIONS))
        assert len(said[0]) == 12
        for mine, other in zip(*said, strict=True):
            assert mine.sequence == other.sequence
            assert mine.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    refuses("train", tiny, tmp_path / "trained", "--init", tmp_path / "graphs", says="exported")
    refuses("crossval", tiny, tmp_path / "run", "--folds.count", 2, "--init", tmp_path / "graphs", says="exported")


def test_exporting_leaves_logging_as_it_was(weights: Path, tmp_path: Path) -> None:
    tiny = write_tiny_set(tmp_path / "tiny", subjects=4)
    loggers = [logging.getLogger(), logging.getLogger("torch.onnx")]
    before = [logger.level for logger in loggers]
    export(weights, tmp_path / "graphs", "onnx")
    write_integers(weights, tmp_path / "small", open_set(tiny))
    assert [logger.level for logger in loggers] == before
    with pytest.raises(InputError, match="did you mean onnx"):
        export(weights, tmp_path / "other", "onx")


def test_a_form_of_ones_own_is_offered_written_and_loaded(weights: Path, tmp_path: Path) -> None:
    EXPORT_FORMATS.add("own", ExportFormat("onnxruntime", "tfen.inference.export:write_onnx"))
    try:
        assert export(weights, tmp_path / "graphs", "own") < 1e-4
        assert json.loads((tmp_path / "graphs/config.json").read_text())["format"] == "own"
        given = clips(2)
        with torch.inference_mode():
            difference = load(tmp_path / "graphs").network(given) - load(weights).network(given)
        assert float(difference.abs().max()) < 1e-3
    finally:
        EXPORT_FORMATS.remove("own")
    with pytest.raises(InputError, match="own"):
        load(tmp_path / "graphs")
    with pytest.raises(InputError, match="onnx"):
        export(weights, tmp_path / "again", "own")
