"""Where and in what form networks train: device, precision, order of weights in memory, BatchNorm over several GPUs."""

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import channels_last, nn

from tfen.config import Settings, TrainSettings
from tfen.errors import InputError
from tfen.models.tfen import TFEN


def make_accelerator(settings: Settings) -> Accelerator:
    """Return the device and precision to train with, whatever was trained with before in this process."""
    AcceleratorState._reset_state()  # it would insist on the precision of the first training
    return Accelerator(cpu=settings.train.device == "cpu", mixed_precision=settings.train.precision)


def prepare_network(network: nn.Module, plan: TrainSettings, accelerator: Accelerator) -> None:
    """Put a network on its device and lay its weights out for it; change its BatchNorm and compile it if asked for.

    Raises:
        InputError: BatchNorm over several processors, which PyTorch has for GPUs alone.
    """
    network.to(accelerator.device)
    if plan.sync_batchnorm:
        if accelerator.device.type == "cpu":
            raise InputError("train.sync-batchnorm needs GPUs, and this is a processor; leave it out")
        for name, part in network.named_children():
            setattr(network, name, nn.SyncBatchNorm.convert_sync_batchnorm(part))
    wanted = plan.channels_last == "yes" or (plan.channels_last == "auto" and accelerator.device.type == "cpu")
    if wanted and isinstance(network, TFEN):
        network.channels_last()
    elif wanted:
        network.to(memory_format=channels_last)  # type: ignore[call-overload]
    if plan.compile:
        for part in network.children():
            part.compile()
