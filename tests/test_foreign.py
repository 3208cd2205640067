"""Networks whose weights come from elsewhere give the numbers of the code that they come from."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from tfen.errors import InputError
from tfen.models.resnet3d import ResNet3D, Temporal3D
from tfen.models.seresnet import LowerHalf, UpperHalf
from tfen.models.weights import load_imagenet, load_kinetics


def foreign(name: str) -> ModuleType:
    """Import timm or torchvision; the latter's compiled operators are declared where they do not fit this PyTorch's make."""
    try:
        return importlib.import_module(name)
    except RuntimeError:  # operator torchvision::nms does not exist
        for module in [one for one in sys.modules if one.split(".")[0] in ("timm", "torchvision")]:
            del sys.modules[module]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        foreign.library = library  # type: ignore[attr-defined]  # kept: the declarations end with it
        return importlib.import_module(name)


def shuffled(network: nn.Module) -> nn.Module:
    """Give every weight and statistic a random value, so that no part is without effect."""
    generator = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            value.copy_(noise.abs() + 0.5 if "running_var" in name else 0.2 * noise + value)
    return network.eval()


@pytest.fixture(scope="module")
def timm_network() -> nn.Module:
    return shuffled(foreign("timm").create_model("legacy_seresnet18", pretrained=False))


@pytest.mark.extra("timm")
def test_the_halves_with_timm_s_weights_give_timm_s_numbers(timm_network: nn.Module, tmp_path: Path) -> None:
    torch.save(timm_network.state_dict(), tmp_path / "timm.pth")
    lower, upper = LowerHalf(form="timm").eval(), UpperHalf(1000, form="timm").eval()
    load_imagenet(lower, upper, str(tmp_path / "timm.pth"))
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        middle = images
        for layer in (timm_network.layer0, timm_network.pool0, timm_network.layer1, timm_network.layer2):
            middle = layer(middle)
        assert torch.allclose(lower(images), middle, rtol=1e-4, atol=1e-4 * float(middle.abs().max()))
        whole = timm_network.forward_features(images).mean((2, 3))
        assert torch.allclose(upper.embed(lower(images)), whole, rtol=1e-4, atol=1e-4 * float(whole.abs().max()))
        upper.load_state_dict({n: v for n, v in timm_network.state_dict().items() if n in upper.state_dict()})
        scores = timm_network(images)
        assert torch.allclose(upper(lower(images)), scores, rtol=1e-4, atol=1e-4 * float(scores.abs().max()))
        plain = LowerHalf(form="original").eval()
        plain.load_state_dict(lower.state_dict())
        assert (plain(images) - middle).abs().mean() > 0.05 * middle.abs().mean()  # the other form is another function


def test_timm_s_weights_are_refused_by_blocks_of_the_other_form(tmp_path: Path) -> None:
    torch.save(LowerHalf().state_dict(), tmp_path / "timm.pth")
    with pytest.raises(InputError, match=r"add --model\.block timm"):
        load_imagenet(LowerHalf(), path=str(tmp_path / "timm.pth"))


@pytest.mark.extra("torchvision")
def test_r3d18_with_torchvision_s_weights_gives_torchvision_s_numbers(tmp_path: Path) -> None:
    theirs = shuffled(foreign("torchvision.models.video").r3d_18())
    torch.save(theirs.state_dict(), tmp_path / "r3d.pth")
    ours = ResNet3D(400, shortcut="B").eval()
    load_kinetics(ours, tmp_path / "r3d.pth")
    ours.fc.load_state_dict({name: theirs.state_dict()[f"fc.{name}"] for name in ("weight", "bias")})
    clip = torch.randn(1, 7, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        scores = theirs(clip.transpose(1, 2))
        assert torch.allclose(ours(clip), scores, rtol=1e-3, atol=1e-4 * float(scores.abs().max()))
        upper = Temporal3D(7, shortcut="B").eval()
        load_kinetics(upper, tmp_path / "r3d.pth")
        middle = theirs.layer2(theirs.layer1(theirs.stem(clip.transpose(1, 2))))
        after = theirs.layer4(theirs.layer3(middle)).mean((2, 3, 4))
        assert torch.allclose(
            upper.embed(middle.transpose(1, 2)), after, rtol=1e-3, atol=1e-4 * float(after.abs().max())
        )


def hara(x: Tensor, weights: dict[str, Tensor], layers: tuple[str, ...]) -> Tensor:
    """Hara's ResNet-18 with shortcut A, written out from its weights: the stages that are named, one after the other."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            weights[f"{name}.{part}"][:, None, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    for layer in layers:
        for block in ("0", "1"):
            place = f"{layer}.{block}"
            stride = 2 if block == "0" and layer != "layer1" else 1
            out = torch.conv3d(x, weights[f"{place}.conv1.weight"], stride=stride, padding=1)
            out = norm(out, f"{place}.bn1").clamp_min(0)
            out = norm(torch.conv3d(out, weights[f"{place}.conv2.weight"], padding=1), f"{place}.bn2")
            kept = torch.nn.functional.avg_pool3d(x, 1, stride)
            zeros = torch.zeros(len(x), out.shape[1] - kept.shape[1], *kept.shape[2:])
            x = (out + torch.cat([kept, zeros], 1)).clamp_min(0)
    return x


def test_t_with_hara_s_weights_gives_what_his_shortcut_a_gives(tmp_path: Path) -> None:
    """Shortcut A is an average pool of size 1 with the stride, then channels of zeros behind, as in Hara's code."""
    ours = shuffled(Temporal3D(7, width=16))
    weights = ours.state_dict()
    torch.save({"state_dict": {f"module.{name}": value for name, value in weights.items()}}, tmp_path / "hara.pth")
    again = Temporal3D(7, width=16).eval()
    load_kinetics(again, tmp_path / "hara.pth")
    clip = torch.randn(2, 7, 32, 12, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = hara(clip.transpose(1, 2), weights, ("layer3", "layer4")).mean((2, 3, 4))
        assert torch.allclose(again.embed(clip), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
