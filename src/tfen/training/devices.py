"""Where and in what form networks train: device, precision, order of weights in memory, BatchNorm over several GPUs."""

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import channels_last, nn

from tfen.config import Settings, TrainSettings
from tfen.errors import InputError
from tfen.models.tfen import TFEN


def precision_of(plan: TrainSettings) -> str:
    """Return the precision that a training has on this machine, "no", "bf16" or "fp16": what `auto` stands for here."""
    if plan.precision != "auto":
        return plan.precision
    gpu = plan.device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if gpu else "no"


def make_accelerator(settings: Settings) -> Accelerator:
    """Return the device and precision to train with, whatever was trained with before in this process.

    On GPUs of NVIDIA products in single precision are taken in TF32.
    """
    AcceleratorState._reset_state()  # it would insist on the precision of the first training
    accelerator = Accelerator(cpu=settings.train.device == "cpu", mixed_precision=precision_of(settings.train))
    if accelerator.device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    return accelerator


def how_trained(settings: Settings, device: torch.device, init: str | None) -> dict[str, str]:
    """Return what a run says of how it was trained: device, precision, and where E and T started from."""
    precision, model = precision_of(settings.train), settings.model
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": "single precision" if precision == "no" else precision,
        "start_of_E": init or model.expression_weights or "random weights",
        "start_of_T": init or model.temporal_weights or "random weights",
    }


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
    faster = accelerator.device.type in ("cpu", "cuda")
    wanted = plan.channels_last == "yes" or (plan.channels_last == "auto" and faster)
    if wanted and isinstance(network, TFEN):
        network.channels_last()
    elif wanted:
        network.to(memory_format=channels_last)  # type: ignore[call-overload]
    if plan.compile:
        for part in network.children():
            part.compile()
