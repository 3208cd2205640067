"""Networks for other engines: two graphs, one for a single frame (F, E, D) and one for a window (T).

Two, since a window that slides by one frame then costs one new frame and one T. Written as ONNX or OpenVINO, and read
again as a network that gives Tensors, so that everything that takes a network takes these, too.
"""

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tfen.choices import function_at
from tfen.data.clips import Clips, FrameStore
from tfen.data.prepared import PreparedSet
from tfen.errors import InputError, TfenError, needs_extra
from tfen.files import must_be_new, whole_folder
from tfen.inference.settings import ENGINES
from tfen.models.formats import EXPORT_FORMATS
from tfen.models.graphs import PARTS, GraphNetwork
from tfen.models.weights import Loaded, load, load_torch, save_network, write_config

Array = np.ndarray
MOST_DIFFERENCE = 1e-3
"""Probabilities that differ by more than this after an export are an error; int8 has its own measure."""


class _FramePart(nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames_BCHW: Tensor) -> Tensor:
        return self.network.features(frames_BCHW)


@contextmanager
def _only_errors(name: str | None) -> Iterator[None]:
    """Let a logger (None: the root) pass errors alone for a while; its level is the same afterwards."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def load_for(weights: str | Path | Loaded, engine: str) -> Loaded:
    """Load weights to run on an engine: torch, onnxruntime or openvino; torch weights are exported on the way.

    Raises:
        InputError: an unknown engine or weights, or weights exported for another engine.
    """
    ENGINES.check(engine)
    loaded = weights if isinstance(weights, Loaded) else load(weights)
    graphs = isinstance(loaded.network, GraphNetwork)
    if engine == "torch" and not graphs:
        return loaded
    if graphs and loaded.folder is not None:
        if engine == "torch":
            return loaded
        network = GraphNetwork(loaded.folder, engine)  # type: ignore[arg-type]
        return Loaded(network, loaded.settings, loaded.expressions, loaded.about, loaded.folder)
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(loaded, Path(folder))
        network = GraphNetwork(Path(folder), engine)  # type: ignore[arg-type]
    return Loaded(network, loaded.settings, loaded.expressions, loaded.about)


def export(weights: str | Path, out: Path, to: str, half: bool = False) -> float:
    """Write weights in another form and return by how much probabilities differ at most (on random clips).

    Args:
        weights: what `tfen.load` takes.
        out: folder to write; `tfen.load` takes it.
        to: "torch" (safetensors), "onnx" or "openvino".
        half: store torch weights in half precision; they are read as single again.

    Raises:
        InputError: `out` exists, graphs are to be exported again, or an engine is not installed.
        TfenError: the exported network does not give the same numbers.
    """
    EXPORT_FORMATS.check(to, "--to")
    form = EXPORT_FORMATS[to]
    loaded = _exportable(weights, out)
    with whole_folder(out) as part:
        if form.write is None:
            network = copy.deepcopy(loaded.network).half() if half else loaded.network
            save_network(part, network, loaded.settings, loaded.expressions, loaded.about)
            return _difference(loaded, load(part).network)
        function_at(form.write)(loaded, part)
        write_config(part, loaded, to)
        difference = _difference(loaded, GraphNetwork(part, form.engine))  # type: ignore[arg-type]
        if difference > MOST_DIFFERENCE:
            raise TfenError(
                f"the exported network is wrong: probabilities differ by {difference:.2g}; nothing is written"
            )
    return difference


def write_integers(weights: str | Path, out: Path, dataset: PreparedSet) -> dict[str, float]:
    """Write ONNX graphs whose weights and activations are eight-bit integers, and return what that costs.

    The sequences of every second subject set the ranges, those of the others measure: how often both networks decide
    alike, and how often each is right.

    Raises:
        InputError: as `export`; or the set has none of the weights' expressions.
    """
    loaded = _exportable(weights, out)
    kept = dataset.without(tuple(name for name in dataset.expressions if name not in loaded.expressions))
    settings = loaded.settings
    store = FrameStore(kept, settings.model.image_size, settings.data)
    halves = [
        Clips(store, kept.of_subjects(set(kept.subjects[k::2])), settings.model.frames, settings.model.image_size)
        for k in (0, 1)
    ]
    if not all(len(half) for half in halves):
        raise InputError(
            f"{dataset.folder} has one subject; eight-bit integers need one to set ranges and one to measure"
        )
    with whole_folder(out) as part:
        write_onnx(loaded, part)
        _to_integers(part, loaded, [batch.clips for batch in halves[0].testing(16)])
        write_config(part, loaded, "onnx")
        small = GraphNetwork(part, "onnxruntime")
        ours, theirs, truth = [], [], []
        with torch.inference_mode():
            for batch in halves[1].testing(16):
                ours.append(loaded.network(batch.clips).argmax(1))
                theirs.append(small(batch.clips).argmax(1))
                truth += [loaded.expressions.index(one.expression) for one in batch.sequences]
    ours_n, theirs_n, truth_n = torch.cat(ours), torch.cat(theirs), torch.tensor(truth)
    return {
        "sequences": len(truth),
        "agreement": float((ours_n == theirs_n).float().mean()),
        "accuracy": float((ours_n == truth_n).float().mean()),
        "accuracy_int8": float((theirs_n == truth_n).float().mean()),
    }


def _exportable(weights: str | Path, out: Path) -> Loaded:
    must_be_new(out)
    return load_torch(weights, "export")


def _clips(loaded: Loaded, count: int) -> Tensor:
    model = loaded.settings.model
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, model.frames, 3, model.image_size, model.image_size, generator=generator)


def _difference(loaded: Loaded, other: nn.Module) -> float:
    """Return by how much probabilities differ at most, on a few random clips."""
    clips = _clips(loaded, 3)
    with torch.inference_mode():
        return float((loaded.network(clips).softmax(1) - other(clips).softmax(1)).abs().max())


def write_onnx(loaded: Loaded, folder: Path) -> None:
    """Write frame.onnx and window.onnx, for any number of frames or windows at once."""
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise needs_extra("exporting", "export") from None
    network = loaded.network.eval()
    clips = _clips(loaded, 2)
    with torch.no_grad():
        codes = network.clip_features(clips)
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings(), _only_errors("torch.onnx"):  # about parts of torch that are not used here
        warnings.simplefilter("ignore")
        for part, module, example in (("frame", _FramePart(network), clips[:, 0]), ("window", network.temporal, codes)):
            torch.onnx.export(
                module.eval(),
                (example.contiguous(),),
                str(folder / f"{part}.onnx"),
                dynamo=True,
                dynamic_shapes=({0: batch},),
                external_data=False,
                verbose=False,
            )


def write_openvino(loaded: Loaded, folder: Path) -> None:
    """Write frame.xml and window.xml, by way of ONNX."""
    write_onnx(loaded, folder)
    try:
        import openvino
    except ImportError:
        raise needs_extra("OpenVINO", "export") from None
    for part in PARTS:
        openvino.save_model(openvino.convert_model(str(folder / f"{part}.onnx")), str(folder / f"{part}.xml"), False)
        (folder / f"{part}.onnx").unlink()


def _to_integers(folder: Path, loaded: Loaded, clips: list[Tensor]) -> None:
    """Turn the graphs' weights and activations into eight-bit integers, with the ranges that clips show."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    with torch.no_grad():
        codes = [loaded.network.clip_features(own) for own in clips]
    inputs = {"frame": [own.flatten(0, 1) for own in clips], "window": codes}

    class Reader(CalibrationDataReader):
        def __init__(self, part: str, name: str) -> None:
            self._left = iter([{name: one.contiguous().numpy()} for one in inputs[part]])

        def get_next(self) -> dict[str, Array] | None:
            return next(self._left, None)

    for part in PARTS:
        path, small = folder / f"{part}.onnx", folder / f"{part}-int8.onnx"
        name = onnx.load(str(path)).graph.input[0].name
        with _only_errors(None):
            quantize_static(
                str(path),
                str(small),
                Reader(part, name),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        small.replace(path)
