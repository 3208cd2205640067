"""BatchNorm folded into convolutions gives the same numbers, for every network that there is."""

import numpy as np
import pytest
import torch
from torch import nn

from tfen.config import VARIANTS, make_settings
from tfen.data import normalisations
from tfen.faces.landmarks import LandmarkNetwork
from tfen.models.folding import folded
from tfen.models.weights import build


def shaken(network: nn.Module) -> nn.Module:
    """The network with statistics as after a training: none is 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            for values in (part.weight, part.bias, part.running_mean, part.running_var):
                assert values is not None
                values.data = 0.5 + torch.rand(values.shape, generator=generator)
    return network.eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_folded_networks_give_the_same_scores(variant: str) -> None:
    torch.manual_seed(0)
    small = {"width": 8, "image_size": 64, "frames": 8, "variant": variant}
    network = shaken(build(make_settings("release", {"model": small}), 3, 0))
    clips = torch.randn(2, 8, 3, 64, 64)
    with torch.inference_mode():
        expected, scores = network(clips), folded(network)(clips)
    assert (scores - expected).abs().max() < 1e-3 * expected.abs().max()


def test_the_folded_landmark_network_has_no_batchnorm_left() -> None:
    torch.manual_seed(0)
    network = shaken(LandmarkNetwork(8))
    quick = folded(network)
    squares = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        assert quick(squares).numpy() == pytest.approx(network(squares).numpy(), abs=1e-4)
    assert not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in quick.modules())


def test_means_of_surroundings_are_the_same_by_products() -> None:
    x = torch.from_numpy(np.random.default_rng(0).random((3, 1, 48, 52), np.float32))
    for size in (3, 7):
        pooled = normalisations._near_by_pooling(x, size)
        assert normalisations._near_by_products(x, size).numpy() == pytest.approx(pooled.numpy(), abs=1e-6)
