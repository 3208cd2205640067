"""Where networks run and rays are cast."""

from typing import TYPE_CHECKING, Literal

from tfen.errors import InputError

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "cuda"]
"""auto takes a GPU of NVIDIA if there is one."""


def device_named(name: DeviceName) -> "torch.device":
    """Return a device by its name in the settings.

    Raises:
        InputError: cuda, where there is no GPU that PyTorch can use.
    """
    import torch

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        why = "no GPU of NVIDIA is there" if torch.backends.cuda.is_built() else "this PyTorch is built for processors"
        raise InputError(f"--device cuda cannot be used: {why}; leave it out")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
