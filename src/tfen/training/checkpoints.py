"""Where a training stands, in a file that is whole or not there, so that it can go on after any interruption.

Nothing random needs keeping: the order of the clips, what is done to them and dropout follow from the seed, the epoch
and the step (`tfen.data.clips`, `tfen.processes.seed_step`).
"""

import json
import shutil
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from tfen import processes
from tfen.config import CHECKPOINT_MINUTES
from tfen.files import clear_errors, whole_file
from tfen.models.weights import save_tensors
from tfen.progress import say
from tfen.stopping import Stop

Part = nn.Module | torch.optim.Optimizer | dict[str, Tensor]


class Checkpointer:
    """Keeps one training's checkpoints in a folder: the last one and the one before it, for each phase.

    Args:
        folder: None keeps nothing.
        minutes: time between checkpoints; 0 keeps every step.
        stop: whether somebody asks for the end.
    """

    def __init__(
        self, folder: Path | None = None, minutes: float = CHECKPOINT_MINUTES, stop: Stop | None = None
    ) -> None:
        self.folder, self.minutes, self.stop = folder, minutes, stop or Stop()
        self._last = time.monotonic()

    def _paths(self, phase: str) -> tuple[Path, Path]:
        assert self.folder is not None
        return self.folder / f"{phase}.safetensors", self.folder / f"{phase}-before.safetensors"

    def step_done(self, phase: str, parts: Mapping[str, Part], about: Callable[[], dict[str, Any]]) -> None:
        """Save where the training stands if it is time to, or if somebody asked to stop.

        Args:
            parts: networks, optimisers and further tensors, by name.
            about: what else the training needs to go on, as plain values.

        Raises:
            Stopped: somebody asked.
        """
        stop = processes.any_of(self.stop.asked)
        due = time.monotonic() - self._last >= 60 * self.minutes
        if stop or (due and self.folder is not None):
            self.save(phase, parts, about())
        if stop:
            self.stop.now()

    def save(self, phase: str, parts: Mapping[str, Part], about: dict[str, Any]) -> None:
        """Write a checkpoint; the one there is becomes the one before."""
        if self.folder is not None and processes.number() == 0:
            tensors, plain = _packed(parts)
            header = {"about": json.dumps(about), "plain": json.dumps(plain), "crc32": str(_sum(tensors))}
            now, before = self._paths(phase)
            with whole_file(now) as part:
                save_tensors(part, tensors, header)
                if now.exists():
                    now.replace(before)
        self._last = time.monotonic()

    def restore(self, phase: str, parts: Mapping[str, Part]) -> dict[str, Any] | None:
        """Put a phase's networks, optimisers and tensors back, and return what else was kept; None if nothing was.

        A damaged checkpoint is passed over for the one before it, and named.
        """
        if self.folder is None:
            return None
        for path in self._paths(phase):
            if not path.exists():
                continue
            try:
                return _restored(path, parts)
            except (SafetensorError, ValueError, KeyError, RuntimeError, OSError) as error:
                say(f"the checkpoint {path} is damaged ({str(error).splitlines()[0]}); going back to the one before")
        return None

    def clear(self) -> None:
        """Delete the checkpoints: the training is done."""
        if self.folder is not None and processes.number() == 0:
            with clear_errors(self.folder):
                shutil.rmtree(self.folder, ignore_errors=True)


def _packed(parts: Mapping[str, Part]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for name, part in parts.items():
        if isinstance(part, torch.optim.Optimizer):
            state = part.state_dict()
            plain[name] = {"groups": state["param_groups"], "states": {}}
            for weight, values in state["state"].items():
                plain[name]["states"][str(weight)] = [key for key, value in values.items() if value is not None]
                tensors.update({f"{name}/{weight}/{k}": value for k, value in values.items() if value is not None})
        else:
            values = part.state_dict() if isinstance(part, nn.Module) else part
            tensors.update({f"{name}/{key}": value for key, value in values.items()})
    # clones: a network's tensors may share memory, which the format does not allow
    return {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()
    }, plain


def _sum(tensors: Mapping[str, Tensor]) -> int:
    total = 0
    for name in sorted(tensors):
        content: Any = tensors[name].flatten().view(torch.uint8).numpy()
        total = zlib.crc32(content, zlib.crc32(name.encode(), total))
    return total


def _restored(path: Path, parts: Mapping[str, Part]) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _sum(tensors) != int(header["crc32"]):
        raise ValueError("its content is not what was written")
    about: dict[str, Any] = json.loads(header["about"])
    plain = json.loads(header["plain"])
    for name, part in parts.items():
        own = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        if isinstance(part, nn.Module):
            part.load_state_dict(own)
        elif isinstance(part, torch.optim.Optimizer):
            part.load_state_dict(
                {"state": _states(part, plain[name]["states"], own), "param_groups": plain[name]["groups"]}
            )
        else:
            part.clear()
            part.update(own)
    return about


def _states(optimiser: torch.optim.Optimizer, names: dict[str, list[str]], own: dict[str, Tensor]) -> dict[int, Any]:
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    out: dict[int, Any] = {}
    for number, keys in names.items():
        out[int(number)] = values = {key: own[f"{number}/{key}"] for key in keys}
        for key, value in values.items():
            if value.shape == weights[int(number)].shape and value.dim():
                values[key] = torch.empty_like(weights[int(number)]).copy_(
                    value
                )  # in the order of its weight in memory
    return out
