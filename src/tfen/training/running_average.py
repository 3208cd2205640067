"""A running average of a network's weights: flatter minima carry over better to other cameras (Cha et al. 2021)."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def running_average(network: nn.Module, steps: float) -> AveragedModel:
    """Return a copy that follows a network's weights and statistics at `update_parameters`: an exponential average.

    Args:
        steps: how many of them the average goes back, in the mean.
    """
    follow = get_ema_multi_avg_fn(1 - 1 / max(1.0, steps))
    return AveragedModel(network, multi_avg_fn=follow, use_buffers=True)
