"""Weights in and out: safetensors with a `config.json`; foreign .pth files without running any code in them."""

import errno
import pickle
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tfen.config import Settings, plain
from tfen.errors import InputError, TfenError
from tfen.files import whole_file, write_json
from tfen.models.description import read_description
from tfen.models.formats import EXPORT_FORMATS
from tfen.models.graphs import GraphNetwork
from tfen.models.seresnet import LowerHalf, UpperHalf
from tfen.models.tfen import TFEN
from tfen.progress import say

IMAGENET_REPOSITORY, IMAGENET_FILE = "timm/legacy_seresnet18.in1k", "model.safetensors"
PACKAGED = Path(__file__).parent.parent / "weights"
"""Where the package's own weights lie."""
Weights = dict[str, Tensor]
COUNTER = "num_batches_tracked"


def save_network(
    folder: Path, network: TFEN, settings: Settings, expressions: tuple[str, ...], about: dict[str, Any]
) -> None:
    """Write a network as `model.safetensors` and `config.json` into a folder."""
    save_weights(folder / "model.safetensors", network.state_dict())
    write_config(folder, Loaded(network, settings, expressions, about))


def write_config(folder: Path, loaded: "Loaded", form: str = "torch") -> None:
    """Write the `config.json` that says what the weights beside it are."""
    adversary = loaded.network.adversary
    about = {
        "tfen": 1,
        "format": form,
        "expressions": list(loaded.expressions),
        "faces": 0 if adversary is None else adversary.last_linear.out_features,
        "settings": plain(loaded.settings),
        "about": loaded.about,
    }
    write_json(folder / "config.json", about)


def save_weights(path: Path, weights: Weights) -> None:
    """Write weights so that the file is whole or not there."""
    with whole_file(path) as part:
        save_tensors(part, {name: value.detach().cpu().contiguous() for name, value in weights.items()})


def save_tensors(path: Path, tensors: Weights, header: dict[str, str] | None = None) -> None:
    """Write tensors with a header of texts; a system's error stays one, such as a full disk."""
    try:
        save_file(tensors, path, header)
    except SafetensorError as error:  # it hides the system's error number in its text
        number = errno.ENOSPC if "os error 28" in str(error) else errno.EIO
        raise OSError(number, str(error)) from None


class Loaded:
    """A network with what it needs to be used: settings and the order of its expressions."""

    def __init__(
        self,
        network: Any,
        settings: Settings,
        expressions: tuple[str, ...],
        about: dict[str, Any],
        folder: Path | None = None,
    ) -> None:
        self.network, self.settings, self.expressions, self.about = network, settings, expressions, about
        self.folder = folder


def load(source: str | Path) -> Loaded:
    """Load a trained network, in evaluation mode.

    Args:
        source: a weights folder (`model.safetensors`, `config.json`) or one that `tfen export` wrote, a fold's folder
            of a run, a run (its first fold is taken), "packaged" (the weights that this version of the package
            carries), or a Hugging Face hub id ("owner/name", fetched over the network).

    Raises:
        InputError: there is no such thing, or it is damaged.
    """
    folder = _weights_folder(source)
    described = read_description(folder / "config.json")
    settings, expressions, about = described.settings, described.expressions, described.about
    if described.form != "torch":
        graphs = GraphNetwork(folder, EXPORT_FORMATS[described.form].engine)  # type: ignore[arg-type]
        return Loaded(graphs.eval(), settings, expressions, about, folder)
    path = folder / "model.safetensors"
    weights = {name: _full(value) for name, value in read_weights(path).items()}
    if _least_parameters(settings, len(expressions)) > sum(value.numel() for value in weights.values()):
        raise InputError(f"{path} does not fit its config.json: it is too small for width {settings.model.width}")
    network = build(settings, len(expressions), described.faces)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit its config.json: {str(error).splitlines()[-1].strip()}") from None
    return Loaded(network.eval(), settings, expressions, about, folder)


def _least_parameters(settings: Settings, expressions: int) -> float:
    """Return how many parameters a network has at least, without building it: a wrong configuration may ask for more than
    there is memory for."""
    small = replace(settings, model=replace(settings.model, width=8))
    count = sum(value.numel() for value in build(small, expressions, 0).parameters())
    return 0.5 * count * (settings.model.width / 8) ** 2


def load_torch(source: str | Path, to_do: str) -> Loaded:
    """Load a trained network whose weights are at hand: as `load`, but not one that was exported to graphs.

    Args:
        to_do: what one would do with the weights, for the message: "export".
    """
    loaded = load(source)
    if isinstance(loaded.network, GraphNetwork):
        raise InputError(f"{source} was exported to graphs; {to_do} the weights that they were made from")
    return loaded


def _full(value: Tensor) -> Tensor:
    """Return weights that were stored in half precision as single ones."""
    return value.float() if value.dtype == torch.float16 else value


def _weights_folder(source: str | Path) -> Path:
    if source == "packaged":
        if not (PACKAGED / "config.json").exists():
            raise InputError("this version of tfen carries no weights; train some with `tfen train`, or give a folder")
        return PACKAGED
    path = Path(source)
    for folder in (path, path / "fold-00"):
        held = ("model.safetensors", "frame.onnx", "frame.xml")
        if (folder / "config.json").exists() and any((folder / name).exists() for name in held):
            return folder
    if path.exists() or str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise InputError(
            f"{source} holds no weights: expected a folder with model.safetensors and config.json, or a run of `tfen crossval`"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                str(source), allow_patterns=["config.json", "model.safetensors", "*.onnx", "*.xml", "*.bin"]
            )
        )
    except Exception as error:
        raise TfenError(
            f"{source} is no folder here, and the hub did not give it ({type(error).__name__}); check the name or the network"
        ) from None


def build(settings: Settings, expressions: int, faces: int) -> TFEN:
    """Return a network with random weights, as the settings describe it."""
    model = settings.model
    return TFEN(
        expressions,
        faces,
        model.width,
        model.variant,
        model.shortcut,
        model.dropout,
        model.adversary_dropout,
        model.block,
    )


def read_weights(path: Path) -> Weights:
    """Read weights from .safetensors, or from .pth with `weights_only=True`: no code in the file is ever run.

    Raises:
        InputError: missing, damaged, or a file that wants to run code.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; give the path of a weights file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, OSError) as error:
        raise InputError(f"{path} is no weights file that can be read safely: {str(error).splitlines()[0]}") from None
    if isinstance(stored, dict) and isinstance(stored.get("state_dict"), dict):
        stored = stored["state_dict"]
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise InputError(f"{path} holds no table of weights; expected a state dict")
    return {name.removeprefix("module."): value for name, value in stored.items()}


def load_fitting(module: nn.Module, weights: Weights, what: str, silent: str | None = None) -> list[str]:
    """Load the weights whose names and shapes fit; say how many that are, and which of the module's do not get any.

    BatchNorm's counters of batches are no weights.

    Args:
        silent: weights with this in their name are not spoken of.

    Returns:
        names of the module's weights that stay as they were.

    Raises:
        InputError: nothing fits.
    """
    own = {name: value for name, value in module.state_dict().items() if COUNTER not in name}
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise InputError(f"{what}: none of its {len(weights)} weights fits; is it of another architecture or width?")
    module.load_state_dict(fitting, strict=False)
    named = [name for name in own if silent is None or silent not in name]
    left = [name for name in named if name not in fitting]
    afresh = f"; {_list(left)} start{'s' if len(left) == 1 else ''} afresh" if left else ""
    say(f"{what}: weights of {len(named) - len(left)} of {len(named)} tensors{afresh}")
    return left


def _list(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def imagenet_weights(path: str | None = None) -> Weights:
    """Return timm's ImageNet weights of SE-ResNet-18, from a file or (over the network) from the hub."""
    if path is not None:
        return read_weights(Path(path))
    return read_weights(_fetched(IMAGENET_REPOSITORY, IMAGENET_FILE))


def _fetched(repository: str, file: str) -> Path:
    """Return a file of the Hugging Face hub, from its cache here or over the network.

    Raises:
        TfenError: the hub does not give it.
    """
    from huggingface_hub import constants, hf_hub_download, logging, try_to_load_from_cache

    kept = try_to_load_from_cache(repository, file)
    if isinstance(kept, str):
        return Path(kept)
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        socket.getaddrinfo(urlparse(constants.ENDPOINT).hostname, 443)  # without a network the hub's client tries long
        say(f"fetching {file} of {repository} from the Hugging Face hub")
        return Path(hf_hub_download(repository, file))
    except Exception as error:
        raise TfenError(
            f"{file} of {repository} could not be fetched from the Hugging Face hub ({type(error).__name__}): download it "
            "by hand and give --model.expression-weights its path, or start from random weights with "
            "--model.expression-weights none"
        ) from None
    finally:
        logging.set_verbosity(verbosity)


def load_imagenet(lower: LowerHalf, upper: UpperHalf | None = None, path: str | None = None) -> None:
    """Start SE-ResNet-18's halves from ImageNet weights; the classifier starts afresh.

    Raises:
        InputError: the weights do not fit, or belong to blocks of the other form.
    """
    source = path or IMAGENET_REPOSITORY
    if not lower.layer1[0].relu_before_squeeze:
        raise InputError(
            f"{source}: timm's weights belong to blocks with a ReLU before the squeeze; add --model.block timm"
        )
    weights = {name: value for name, value in imagenet_weights(path).items() if not name.startswith("last_linear")}
    load_fitting(lower, weights, f"{source}, lower half")
    if upper is not None:
        load_fitting(upper, weights, f"{source}, upper half", silent="last_linear")


def load_kinetics(temporal: nn.Module, path: Path) -> None:
    """Start T from Hara's 3D-ResNet-18 or torchvision's r3d_18, whose blocks are named differently."""
    renamed = {}
    for name, value in read_weights(path).items():
        name = name.replace("stem.0.", "conv1.").replace("stem.1.", "bn1.")
        for number, (conv, norm) in (("1", ("conv1.0", "conv1.1")), ("2", ("conv2.0", "conv2.1"))):
            name = name.replace(f".{conv}.", f".conv{number}.").replace(f".{norm}.", f".bn{number}.")
        renamed[name] = value
    load_fitting(temporal, {name: value for name, value in renamed.items() if not name.startswith("fc.")}, str(path))
