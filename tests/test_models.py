import pytest
import torch

from tfen.config import make_settings
from tfen.models.describe import describe
from tfen.models.resnet3d import Temporal3D
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
