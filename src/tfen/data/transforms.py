"""From stored frames to the network's input: size, colour, crop, flip, normalisation (Section 4.2).

All frames of a clip are treated alike: one crop, one flip, one change of light.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from tfen.data.augmentations import AUGMENTATIONS
from tfen.data.normalisations import NORMALISATIONS

Rngs = Sequence[np.random.Generator]
"""Random numbers of each clip of a batch: what happens to a clip depends on no other."""
CPU = torch.device("cpu")


def stored_size(image_size: int) -> int:
    """Return the side of the frames that crops of `image_size` are taken from: 244 for 224, and in proportion."""
    return round(image_size * 244 / 224)


def fit_frame(image: np.ndarray, size: int, grey: bool) -> np.ndarray:
    """Return an RGB image as (size, size, 3) uint8, grey if asked for."""
    if grey:
        image = cv2.cvtColor(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if image.shape[:2] != (size, size):
        shrink = image.shape[0] > size
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return np.ascontiguousarray(image)


def centre_crop(clips_BSHWC: Tensor, size: int) -> Tensor:
    """Return the middle of the frames, (B, S, size, size, 3)."""
    start = (clips_BSHWC.shape[2] - size) // 2
    return clips_BSHWC[:, :, start : start + size, start : start + size]


def views(clips_BSHWC: Tensor, size: int) -> list[Tensor]:
    """Return six views of clips, (B, S, size, size, 3) each, in [0, 255]: the middle of the frames, the whole frames, and
    less than the middle by as much; each also mirrored."""
    out = []
    for side in (size, clips_BSHWC.shape[2], 2 * size - clips_BSHWC.shape[2]):
        look = centre_crop(clips_BSHWC, side)
        if side != size:
            flat = look.flatten(0, 1).permute(0, 3, 1, 2).float()
            flat = functional.interpolate(flat, size=(size, size), mode="bilinear", antialias=True)
            look = flat.permute(0, 2, 3, 1).unflatten(0, look.shape[:2])
        out += [look, look.flip(3)]
    return out


def crop_and_flip(clips_BSHWC: Tensor, size: int, rngs: Rngs) -> Tensor:
    """Return a random crop of each clip, mirrored with probability 0.5; the same for all frames of a clip."""
    room = clips_BSHWC.shape[2] - size
    windows = [(*rng.integers(0, room + 1, 2).tolist(), bool(rng.random() < 0.5)) for rng in rngs]
    if clips_BSHWC.device.type != "cpu":
        return gathered_windows(clips_BSHWC, size, windows)
    out = []
    for clip, (top, left, flipped) in zip(clips_BSHWC, windows, strict=True):
        cropped = clip[:, top : top + size, left : left + size]
        out.append(cropped.flip(2) if flipped else cropped)
    return torch.stack(out)


def gathered_windows(clips_BSHWC: Tensor, size: int, windows: list[tuple[int, int, bool]]) -> Tensor:
    """Return a window of each clip, (B, S, size, size, 3), by its top, its left, and whether it is mirrored: in one step, for
    accelerators."""
    device = clips_BSHWC.device
    tops, lefts, flipped = on_device(torch.tensor(windows), device).unbind(1)
    line = torch.arange(size, device=device)
    rows_BH = tops[:, None] + line
    columns_BW = lefts[:, None] + torch.where(flipped[:, None] > 0, line.flip(0), line)
    each, frame = (torch.arange(count, device=device) for count in clips_BSHWC.shape[:2])
    return clips_BSHWC[
        each[:, None, None, None], frame[:, None, None], rows_BH[:, None, :, None], columns_BW[:, None, None, :]
    ]


def to_network(clips_BSHWC: Tensor, normalise: str, device: torch.device = CPU) -> Tensor:
    """Return uint8 clips as normalised floats, (B, S, 3, H, W), on a device: they go there as bytes."""
    there = on_device(clips_BSHWC, device)
    return normalised(there.permute(0, 1, 4, 2, 3).float() / 255, normalise)


def on_device(clips: Tensor, device: torch.device) -> Tensor:
    """Return clips on a device; to a GPU they go by pinned memory, and nobody waits."""
    if device.type == "cuda" and clips.device.type == "cpu":
        clips = clips.contiguous().pin_memory()
    return clips.to(device, non_blocking=True)


def normalised(clips_BSCHW: Tensor, normalise: str) -> Tensor:
    """Return clips in [0, 1] as the normalisation of that name (`tfen.data.normalisations`) makes them."""
    return NORMALISATIONS[normalise].apply(clips_BSCHW)


def strong(
    clips_BSHWC: Tensor,
    size: int,
    rngs: Rngs,
    normalise: str,
    strength: float = 1.0,
    bend: bool = True,
    own: Rngs | None = None,
) -> Tensor:
    """Return clips as a stranger's camera might have seen them, normalised, (B, S, 3, size, size).

    Random gamma, colour cast, turn, scale, shift and mirror, other proportions of the face (a smooth bend that is the
    same in all frames), resolution, a gradient of light, flatter light, noise, and cut-outs.

    Args:
        rngs: of each clip.
        strength: factor on all ranges and chances; mirroring apart.
        bend: whether proportions and the flatness of the light are changed, too.
        own: random numbers of each clip for all that does not move the face; None: those of `rngs`.
    """
    own = rngs if own is None else own
    draws = _Draws(own, strength, clips_BSHWC.device)
    clips = _other_light(clips_BSHWC.permute(0, 1, 4, 2, 3).float() / 255, draws)
    clips = _moved(clips, size, _Draws(rngs, strength, clips_BSHWC.device), draws, bend)
    for clip, rng in zip(clips, own, strict=True):
        if rng.random() < 0.5 * strength:
            low = functional.interpolate(clip, size=int(size * rng.uniform(0.35, 0.9)), mode="area")
            clip.copy_(functional.interpolate(low, size=size, mode="bilinear"))
    return _damaged(normalised(_shaded(clips, draws, bend), normalise), draws)


@dataclass(frozen=True)
class _Draws:
    """Random numbers of each clip, on the device of the clips; the order in which they are drawn is part of the result."""

    rngs: Rngs
    strength: float
    device: torch.device = CPU

    def each(self, draw_one: Callable[[np.random.Generator], object]) -> Tensor:
        """Return what is drawn for each clip, (B, ...)."""
        return on_device(torch.from_numpy(np.array([draw_one(rng) for rng in self.rngs], np.float32)), self.device)

    def even(self, spread: float) -> Tensor:
        """Return an even number within +-spread, times the strength, of each clip, (B, 1, 1, 1, 1)."""
        drawn = self.each(lambda rng: rng.uniform(-spread, spread) * self.strength)
        return drawn.view(len(self.rngs), 1, 1, 1, 1)


def _other_light(clips: Tensor, draws: _Draws) -> Tensor:
    """Return clips in [0, 1] with another gamma and colour cast, some of them grey."""
    clips = clips.clamp(1e-3, 1) ** torch.exp(draws.even(0.6))
    clips = clips * draws.each(lambda rng: rng.normal(1, 0.06 * draws.strength, (1, 3, 1, 1)))
    fade = draws.each(lambda rng: rng.random() < 0.3 * draws.strength).view(len(clips), 1, 1, 1, 1)
    return clips * (1 - fade) + clips.mean(2, keepdim=True) * fade


def _moved(clips: Tensor, size: int, draws: _Draws, own: _Draws, bend: bool) -> Tensor:
    """Return clips turned, scaled, shifted, mirrored and, if asked for, bent by `own`, (B, S, 3, size, size)."""
    count, frames = clips.shape[:2]
    turn, scale = draws.even(0.17).flatten(), size / clips.shape[-1] * (1 + draws.even(0.16).flatten())
    flip = draws.each(lambda rng: -1.0 if rng.random() < 0.5 else 1.0)
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    across, down = draws.even(0.1).flatten(), draws.even(0.1).flatten()
    affine = torch.stack([torch.stack([cos * flip, -sin, across], 1), torch.stack([sin * flip, cos, down], 1)], 1)
    shape = [count * frames, 3, size, size]
    grid = functional.affine_grid(affine.repeat_interleave(frames, 0), shape, align_corners=False)
    if bend:
        knots = own.each(lambda rng: rng.normal(0, 0.03 * own.strength, (2, 5, 5)) * rng.random())
        field = functional.interpolate(knots, size=(size, size), mode="bicubic")
        grid = grid + 2 * field.permute(0, 2, 3, 1).repeat_interleave(frames, 0)
    flat = functional.grid_sample(clips.flatten(0, 1), grid, padding_mode="reflection", align_corners=False)
    return flat.unflatten(0, (count, frames))


def _shaded(clips: Tensor, draws: _Draws, bend: bool) -> Tensor:
    """Return clips under a gradient of light and, if asked for, with flatter light."""
    size = clips.shape[-1]
    ramp = torch.linspace(-0.5, 0.5, size, device=clips.device)
    if bend:
        shade = functional.interpolate(clips.flatten(0, 1), size=6, mode="area")
        shade = functional.interpolate(shade, size=size, mode="bilinear").unflatten(0, clips.shape[:2])
        clips = clips - draws.even(0.8).abs() * (shade - shade.mean((2, 3, 4), keepdim=True))
    return clips * (1 + draws.even(0.6) * ramp.view(1, size) + draws.even(0.6) * ramp.view(size, 1)).clamp_min(0.2)


def _damaged(clips: Tensor, draws: _Draws) -> Tensor:
    """Return clips with noise and, some of them, with a piece cut out."""
    strength, size, device = draws.strength, clips.shape[-1], clips.device
    grains, shares, pieces = [], [], []
    for rng in draws.rngs:
        grains.append(rng.standard_normal(tuple(clips.shape[1:]), np.float32))
        shares.append(rng.uniform(0, 0.2 * strength))
        piece = (0, 0, 0, 0, 0.0)
        if rng.random() < 0.35 * strength:
            height, width = (int(size * x) for x in rng.uniform(0.12, 0.42, 2))
            top, left = int(rng.integers(0, size - height)), int(rng.integers(0, size - width))
            piece = (top, top + height, left, left + width, math.tanh(rng.standard_normal()))
        pieces.append(piece)
    grain = on_device(torch.from_numpy(np.stack(grains)), device)
    share = on_device(torch.tensor(shares, dtype=torch.float32), device)
    noisy = clips + grain * share.view(-1, 1, 1, 1, 1)
    bounds = on_device(torch.tensor(pieces, dtype=torch.float32), device).view(-1, 5, 1, 1, 1, 1)
    tops, bottoms, lefts, rights, values = bounds.unbind(1)
    across = torch.arange(size, device=device)
    down = across.view(size, 1)
    inside = (down >= tops) & (down < bottoms) & (across >= lefts) & (across < rights)
    return torch.where(inside, values, noisy)


def augmented(
    clips_BSHWC: Tensor,
    size: int,
    rngs: Rngs,
    augment: str,
    normalise: str,
    share: float = 1.0,
    bend: bool = True,
    device: torch.device = CPU,
    own: Rngs | None = None,
) -> Tensor:
    """Return uint8 clips as training sees them, normalised, (B, S, 3, size, size).

    Args:
        rngs: of each clip.
        augment: a name in `tfen.data.augmentations`.
        share: of the augmentation's full strength.
        bend: see `strong`.
        device: where they go; what is more than crop and flip is done here first.
        own: random numbers of each clip for all that does not move the face; None: those of `rngs`.
    """
    own = rngs if own is None else own
    return AUGMENTATIONS[augment].apply(clips_BSHWC, size, rngs, own, normalise, share, bend, device)
