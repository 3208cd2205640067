"""Several processes that train one network together: each takes its part of every batch.

Scores are gathered before a loss is taken, so every process computes the loss of the whole batch by the same lines as
one process would; gradients are then averaged by hand. DistributedDataParallel is not used: it hooks into one forward
pass of one module, while the two players of Algorithm 1 share parts and change by turns.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

Kind = TypeVar("Kind")


def count() -> int:
    """Return how many processes train together; 1 where there is one."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def number() -> int:
    """Return this process's number, from 0 on; process 0 writes the files."""
    return distributed.get_rank() if count() > 1 else 0


def part() -> tuple[int, int]:
    """Return this process's number and how many there are, as `tfen.data.clips.Clips` wants it."""
    return number(), count()


def wait() -> None:
    """Wait until all processes are here."""
    if count() > 1:
        distributed.barrier()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(count())]
        distributed.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(whole)
        return whole.chunk(count())[number()]


def gathered(own: Tensor) -> Tensor:
    """Return the rows of all processes, equally many of each, in order; gradients flow back to each one's own."""
    if count() == 1:
        return own
    gather: Any = _Gather.apply
    whole: Tensor = gather(own)
    return whole


def gathered_rows(own: list[Kind]) -> list[Kind]:
    """Return the items of all processes by turns: those that were dealt out like cards, in their old order."""
    if count() == 1:
        return own
    hands: list[Any] = [None] * count()
    distributed.all_gather_object(hands, own)
    longest = max(map(len, hands))
    return [hand[k] for k in range(longest) for hand in hands if k < len(hand)]


def averaged(modules: Sequence[nn.Module | None]) -> None:
    """Average gradients and BatchNorm's running statistics over the processes.

    After `gathered`, every process holds the gradients of its own clips times the number of processes: their mean is
    the gradient of the whole batch.
    """
    if count() == 1:
        return
    there = [module for module in modules if module is not None]
    tensors = [weight.grad for module in there for weight in module.parameters() if weight.grad is not None]
    tensors += [value for module in there for value in module.buffers() if value.is_floating_point()]
    if not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    flat /= count()
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view(tensor.shape))


def any_of(flag: bool) -> bool:
    """Tell whether the flag is up in any process."""
    if count() == 1:
        return flag
    flags: list[Any] = [None] * count()
    distributed.all_gather_object(flags, flag)
    return any(flags)


def seed_step(seed: int, phase: int, step: int) -> None:
    """Fix the random numbers (dropout) of a step of training: they depend on the step and on nothing before it."""
    words = np.random.SeedSequence([seed, phase, step, number()]).generate_state(2)
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))
