"""Inference at the paper's size against plain matrix products of the layers' shapes, in one run (target: at least 0.6).

usage: python benchmarks/inference.py
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from tfen.config import make_settings
from tfen.models.weights import build


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def products(network: nn.Module, clip: torch.Tensor) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], float]:
    """Return for every convolution the two matrices whose product has the same operations, and all operations."""
    shapes: list[tuple[int, int, int]] = []

    def watch(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        assert isinstance(layer, (nn.Conv2d, nn.Conv3d))
        places = output.numel() // output.shape[1]
        shapes.append((layer.out_channels, layer.weight[0].numel(), places))

    hooks = [
        layer.register_forward_hook(watch) for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Conv3d))
    ]
    with torch.no_grad():
        network(clip)
    for hook in hooks:
        hook.remove()
    pairs = [(torch.randn(m, k), torch.randn(k, n)) for m, k, n in shapes]
    return pairs, sum(2.0 * m * k * n for m, k, n in shapes)


def main() -> None:
    settings = make_settings("paper-ckplus")
    network = build(settings, 7, 0).eval()
    clip = torch.randn(1, 7, 3, 224, 224)
    pairs, operations = products(network, clip)
    fast = network.channels_last()

    def infer() -> None:
        with torch.no_grad():
            fast(clip)

    def multiply() -> None:
        for a, b in pairs:
            torch.mm(a, b)

    for work in (infer, multiply):
        work()
    best = statistics.median(timed(multiply) / timed(infer) for _ in range(9))
    print(
        f"inference: {operations / 1e9:.1f} GFLOP a clip at {best:.2f} of the machine's rate for matrix products of the "
        f"same shapes (target: at least 0.6), {torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    main()
