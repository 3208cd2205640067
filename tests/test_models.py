import numpy as np
import pytest
import torch
from torch import nn

from tfen.config import make_settings
from tfen.models.decoupler import Concatenation
from tfen.models.describe import describe
from tfen.models.resnet3d import Temporal3D
from tfen.models.seresnet import Block, UpperHalf
from tfen.models.tfen import PARTS, TFEN
from tfen.models.variants import VARIANTS, ablations, baselines


def conv(kernel: int, c_in: int, c_out: int, bias: bool = False) -> int:
    return kernel * c_in * c_out + (c_out if bias else 0)


def norm(channels: int) -> int:
    return 2 * channels


def se_block(c_in: int, c: int, shortcut: bool) -> int:
    """Counted by hand from Table 1: two 3x3 convolutions, two norms, fc [c / 16, c], a 1x1 shortcut."""
    total = conv(9, c_in, c) + conv(9, c, c) + 2 * norm(c)
    total += conv(1, c, c // 16, True) + conv(1, c // 16, c, True)
    return total + (conv(1, c_in, c) + norm(c) if shortcut else 0)


LOWER = conv(49, 3, 64) + norm(64) + 2 * se_block(64, 64, False) + se_block(64, 128, True) + se_block(128, 128, False)
UPPER = se_block(128, 256, True) + se_block(256, 256, False) + se_block(256, 512, True) + se_block(512, 512, False)
GROUP = conv(1, 128, 128, True) + conv(1, 128, 64, True) + conv(1, 64, 128, True)
TEMPORAL = sum(conv(27, a, b) + norm(b) for a, b in [(128, 256), *[(256, 256)] * 3, (256, 512), *[(512, 512)] * 3])


def parameters(module: torch.nn.Module | None) -> int:
    return 0 if module is None else sum(weight.numel() for weight in module.parameters())


def test_every_part_has_the_paper_parameters() -> None:
    network = TFEN(expressions=7, faces=118)
    counts = {letter: parameters(getattr(network, name)) for letter, name in PARTS.items()}
    assert counts["F"] == counts["E"] == LOWER == 688_600
    assert counts["D"] == 3 * GROUP == 3 * 33_088
    assert counts["A"] == UPPER + 512 * 118 + 118
    assert counts["T"] == TEMPORAL + 512 * 7 + 7 == 30_971_904 + 3_591
    assert sum(counts.values()) - counts["A"] == 32_451_959


def test_shortcut_b_has_a_convolution_and_a_norm_for_each_change_of_shape() -> None:
    extra = conv(1, 128, 256) + norm(256) + conv(1, 256, 512) + norm(512)
    assert parameters(Temporal3D(7, shortcut="B")) - parameters(Temporal3D(7)) == extra == 165_376


def test_shapes_of_table_1() -> None:
    shapes = {part["part"]: tuple(part["output"]) for part in describe(make_settings())["parts"]}
    assert shapes == {"F": (7, 128, 28, 28), "E": (7, 128, 28, 28), "D": (7, 128, 28, 28), "A": (7, 100), "T": (7,)}


def test_operations_of_one_clip_are_those_of_its_convolutions() -> None:
    figures = describe(make_settings())
    operations = {part["part"]: part["operations"] for part in figures["parts"]}
    decoupler = 2 * 7 * 28 * 28 * 3 * (128 * 128 + 2 * 128 * 64)
    assert operations["D"] == decoupler
    assert figures["total_operations"] == pytest.approx(43.4e9, rel=0.002)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("width", "size", "frames"), [(8, 32, 1), (16, 64, 7), (12, 80, 5)])
def test_every_variant_runs_at_any_width_size_and_number_of_frames(
    variant: str, width: int, size: int, frames: int
) -> None:
    network = TFEN(6, 5, width, variant).eval()
    with torch.no_grad():
        assert network(torch.randn(2, frames, 3, size, size)).shape == (2, 6)


def test_ablations_lack_the_parts_that_the_paper_removes() -> None:
    def missing(variant: str) -> set[str]:
        network = TFEN(7, 10, 8, variant)
        return {letter for letter, name in PARTS.items() if getattr(network, name) is None}

    assert missing("tfen") == missing("without-decoupler") == missing("without-3d") == set()
    assert missing("without-adversarial") == {"A"}
    assert missing("without-facial-decoupling") == {"F", "D", "A"}
    fusion = TFEN(7, 10, 64, "without-decoupler").decoupler
    assert parameters(fusion) == conv(1, 256, 128, True) + norm(128)


def test_framewise_scores_are_the_mean_over_frames() -> None:
    network = TFEN(4, 0, 8, "without-3d").eval()
    clip = torch.randn(1, 3, 3, 32, 32)
    with torch.no_grad():
        whole = network(clip)
        single = torch.stack([network(clip[:, k : k + 1]) for k in range(3)]).mean(0)
    torch.testing.assert_close(whole, single)


def test_tfe_is_equation_1() -> None:
    network = TFEN(4, 3, 8).eval()
    frames = torch.randn(2, 3, 32, 32)
    assert network.decoupler is not None
    assert network.face_extractor is not None

    def by_hand(group: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        layers = [layer for layer in group.modules() if isinstance(layer, torch.nn.Conv2d)]
        for k, layer in enumerate(layers):
            x = torch.einsum("oc,bchw->bohw", layer.weight[:, :, 0, 0], x) + layer.bias[:, None, None]
            x = x.clamp_min(0) if k < 2 else x
        return x

    with torch.no_grad():
        e, f = network.expression_extractor(frames), network.face_extractor(frames)
        d = network.decoupler
        expected = by_hand(d.f_tfe, by_hand(d.f_exp, e) + by_hand(d.f_face, f))
        torch.testing.assert_close(network.features(frames), expected, atol=1e-4, rtol=1e-4)


def after_training(module: nn.Module) -> nn.Module:
    """Give BatchNorm the statistics, scales and shifts that a training may leave, in evaluation mode."""
    generator = torch.Generator().manual_seed(5)
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.BatchNorm3d)):
            for values in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                assert values is not None
                values.copy_(torch.rand(values.shape, generator=generator) + 0.3)
    return module.eval()


def normed(x: np.ndarray, norm: nn.BatchNorm2d) -> np.ndarray:
    """BatchNorm in evaluation mode."""
    state = {name: value.numpy() for name, value in norm.state_dict().items()}
    mean, var, weight, bias = (state[name][:, None, None] for name in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def mixed(x: np.ndarray, conv: nn.Conv2d) -> np.ndarray:
    """A 1x1 convolution."""
    weight = conv.weight.detach().numpy()[:, :, 0, 0]
    bias = 0 if conv.bias is None else conv.bias.detach().numpy()[:, None, None]
    return np.einsum("oc,bchw->bohw", weight, x) + bias


@pytest.mark.parametrize("form", ["original", "timm"])
@pytest.mark.parametrize(("channels_in", "stride"), [(32, 1), (16, 2)])
def test_a_block_weighs_its_channels_by_their_means_before_the_shortcut_joins(
    channels_in: int, stride: int, form: str
) -> None:
    block = after_training(Block(channels_in, 32, stride, form=form))
    x = torch.randn(2, channels_in, 8, 8)
    with torch.no_grad():
        inner = normed(block.conv1(x).numpy(), block.bn1).clip(0)
        inner = normed(block.conv2(torch.from_numpy(inner)).numpy(), block.bn2)
        inner = inner.clip(0) if form == "timm" else inner
        squeeze = inner.mean((2, 3), keepdims=True)
        hidden = mixed(squeeze, block.se_module.fc1).clip(0)
        gate = 1 / (1 + np.exp(-mixed(hidden, block.se_module.fc2)))
        shortcut = x.numpy()
        if block.downsample is not None:
            shortcut = normed(mixed(shortcut[:, :, ::stride, ::stride], block.downsample[0]), block.downsample[1])
        np.testing.assert_allclose(block(x), (gate * inner + shortcut).clip(0), rtol=1e-3, atol=1e-4)


def test_the_adversary_pools_the_mean_over_each_frame() -> None:
    upper = after_training(UpperHalf(5, 8))
    x = torch.randn(2, 16, 8, 8)
    with torch.no_grad():
        maps = upper.layer4(upper.layer3(x)).numpy()
        assert maps.shape == (2, 64, 2, 2)
        pooled = maps.sum((2, 3)) / 4
        np.testing.assert_allclose(upper.embed(x), pooled, rtol=1e-4, atol=1e-5)
        weight, bias = upper.last_linear.weight.numpy(), upper.last_linear.bias.numpy()
        np.testing.assert_allclose(upper(x), pooled @ weight.T + bias, rtol=1e-3, atol=1e-4)


def test_the_temporal_network_pools_the_mean_over_time_and_space() -> None:
    temporal = after_training(Temporal3D(5, 8))
    clip = torch.randn(2, 7, 16, 8, 8)
    with torch.no_grad():
        maps = temporal.layer4(temporal.layer3(clip.transpose(1, 2))).numpy()
        assert maps.shape == (2, 64, 2, 2, 2)
        pooled = maps.sum((2, 3, 4)) / 8
        np.testing.assert_allclose(temporal(clip), pooled @ temporal.fc.weight.numpy().T + temporal.fc.bias.numpy(), rtol=1e-3, atol=1e-4)  # fmt: skip


def test_a_3d_block_is_equation_2_twice_and_the_shortcut_joins_behind_the_norm() -> None:
    """Each position of a convolution is the sum of Eq. 2 over channels and 3x3x3 neighbours; zeros lie outside."""
    block = after_training(Temporal3D(5, 8).layer3[0])
    x = torch.randn(1, 16, 3, 4, 4)

    def convolved(x: np.ndarray, conv: nn.Conv3d, stride: int) -> np.ndarray:
        around, weight = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1), (1, 1))), conv.weight.detach().numpy()
        places = [range(0, size, stride) for size in x.shape[2:]]
        out = np.zeros((1, len(weight), *map(len, places)), np.float32)
        for p, q, r in np.ndindex(3, 3, 3):
            part = around[:, :, p : p + x.shape[2], q : q + x.shape[3], r : r + x.shape[4]]
            out += np.einsum("om,bmxyz->boxyz", weight[:, :, p, q, r], part[:, :, ::stride, ::stride, ::stride])
        return out

    def norm3d(x: np.ndarray, norm: nn.Module) -> np.ndarray:
        return normed(x.reshape(1, x.shape[1], -1, 1), norm).reshape(x.shape)

    inner = norm3d(convolved(x.numpy(), block.conv1, 2), block.bn1).clip(0)
    inner = norm3d(convolved(inner, block.conv2, 1), block.bn2)
    kept = x.numpy()[:, :, ::2, ::2, ::2]  # shortcut A: zeros for the channels that come to it, behind
    inner[:, :16] += kept
    with torch.no_grad():
        np.testing.assert_allclose(block(x), inner.clip(0), rtol=1e-3, atol=1e-4)


def test_without_the_decoupler_features_are_concatenated_mixed_and_normed() -> None:
    fusion = after_training(Concatenation(16))
    e, f = torch.randn(2, 16, 4, 4), torch.randn(2, 16, 4, 4)
    with torch.no_grad():
        expected = normed(mixed(np.concatenate([e.numpy(), f.numpy()], 1), fusion.conv), fusion.bn)
        np.testing.assert_allclose(fusion(e, f), expected, rtol=1e-3, atol=1e-4)
        network = TFEN(4, 3, 8, "without-decoupler").eval()
        frames = torch.randn(2, 3, 32, 32)
        parts = network.expression_extractor(frames), network.face_extractor(frames)
        torch.testing.assert_close(network.features(frames), network.decoupler(*parts))


@pytest.mark.parametrize("variant", ["tfen", "without-3d"])
def test_dropout_stands_before_both_classifiers_and_rests_in_testing(variant: str) -> None:
    """Of features that are all 1, a classifier that passes on the first shows how many were dropped."""
    network = TFEN(3, 3, 8, variant, dropout=0.2, adversary_dropout=0.4)
    assert network.adversary is not None
    head = network.temporal if variant == "tfen" else network.temporal.frame
    judge = head.fc if variant == "tfen" else head.last_linear
    for part, linear, share in ((head, judge, 0.2), (network.adversary, network.adversary.last_linear, 0.4)):
        part.embed = lambda x: x
        nn.init.zeros_(linear.bias)
        with torch.no_grad():
            nn.init.zeros_(linear.weight)[0, 0] = 1
            network.train()
            scores = part(torch.ones(4000, 64))[:, 0]
            assert float((scores == 0).float().mean()) == pytest.approx(share, abs=0.03)
            np.testing.assert_allclose(scores[scores != 0], 1 / (1 - share), rtol=1e-5)
            network.eval()
            assert (part(torch.ones(8, 64))[:, 0] == 1).all()


def test_baselines_have_their_published_parameters() -> None:
    """With Kinetics' 400 classes; C3D and P3D from the sizes their publications print (79 million; 261 MB)."""
    counts = {name: parameters(TFEN(400, variant=name)) for name in baselines()}
    assert counts["r3d18"] == 33_371_472
    assert counts["i3d"] == 12_697_264
    assert round(counts["c3d"] / 1e6, 0) == pytest.approx(79, abs=1)
    assert 4 * counts["p3d"] / 1e6 == pytest.approx(261, rel=0.02)
    resnet18 = 11_689_512 - (512 * 1000 + 1000)
    assert counts["resnet18-lstm"] == resnet18 + 4 * 512 * (512 + 512) + 2 * 4 * 512 + 512 * 400 + 400
    trunk = conv(343, 3, 64) + norm(64) + 4 * (conv(27, 64, 64) + norm(64))
    layer2 = conv(27, 64, 128) + 3 * conv(27, 128, 128) + 4 * norm(128)
    assert counts["3d-resnet18"] == trunk + layer2 + TEMPORAL + 512 * 400 + 400


def test_every_name_is_an_ablation_or_a_baseline_with_or_without_ec_stfl() -> None:
    assert ["tfen", *ablations(), *baselines(), *(f"{name}+ec-stfl" for name in baselines())] == list(VARIANTS)


def test_i3d_pads_as_tensorflow_does() -> None:
    from tfen.models.i3d import same

    for size, kernel, stride in [(7, 3, 2), (8, 3, 2), (224, 7, 2), (5, 2, 2), (4, 3, 1)]:
        padded = same(torch.zeros(1, 1, size, size, size), (kernel,) * 3, (stride,) * 3)
        places = (padded.shape[2] - kernel) // stride + 1
        assert places == -(-size // stride)


def test_p3d_blocks_join_space_and_time_in_three_ways_that_take_turns() -> None:
    from tfen.models.p3d import P3D, Block

    ways = [block.way for block in P3D(7, width=8).modules() if isinstance(block, Block)]
    assert ways == (["A", "B", "C"] * 16)[:47] + ["2D"] * 3
