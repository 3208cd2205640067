"""BatchNorm folded into the convolutions before it: the same numbers, up to rounding, from fewer operations."""

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)
CONVOLUTIONS, NORMS = (nn.Conv2d, nn.Conv3d), (nn.BatchNorm2d, nn.BatchNorm3d)


def folded(network: Network) -> Network:
    """Return a copy of a network in evaluation mode whose BatchNorms are part of the convolutions before them.

    A BatchNorm belongs to the convolution that its module names right before it, as in all networks here: conv1, bn1.
    """
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        before: tuple[str, nn.Module] | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, NORMS) and before is not None and isinstance(before[1], CONVOLUTIONS):
                setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
                setattr(module, name, nn.Identity())
            before = (name, child)
    return network
