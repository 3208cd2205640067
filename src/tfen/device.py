"""Where networks run and rays are cast."""

from typing import TYPE_CHECKING, Literal, get_args

from tfen.errors import InputError

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "cuda"]
"""auto takes a GPU of NVIDIA if there is one."""


def check_device(name: str) -> None:
    """Check a device's name.

    Raises:
        InputError: it is none of `DeviceName`.
    """
    if name not in get_args(DeviceName):
        raise InputError(f"device is {name!r}, expected auto, cpu or cuda")


def device_named(name: DeviceName) -> "torch.device":
    """Return a device by its name in the settings.

    Raises:
        InputError: an unknown name, or cuda, where there is no GPU that PyTorch can use.
    """
    import torch

    check_device(name)
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        why = "no GPU of NVIDIA is there" if torch.backends.cuda.is_built() else "this PyTorch is built for processors"
        raise InputError(f"--device cuda cannot be used: {why}; leave it out")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
