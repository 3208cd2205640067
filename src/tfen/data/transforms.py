"""From stored frames to the network's input: size, colour, crop, flip, normalisation (Section 4.2).

All frames of a clip are treated alike: one crop, one flip, one change of light.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

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
    drawn = _drawn(rngs, rngs if own is None else own, strength, clips_BSHWC.shape[1], size, bend, clips_BSHWC.device)
    clips = _other_light(clips_BSHWC.permute(0, 1, 4, 2, 3).float() / 255, drawn)
    clips = _moved(clips, size, drawn, bend)
    clips = coarser(clips, drawn.pixels)
    return _damaged(normalised(_shaded(clips, drawn, bend), normalise), drawn)


@dataclass(frozen=True)
class _Drawn:
    """The random numbers of each clip, on the device of the clips but for `pixels`."""

    values: dict[str, Tensor]
    """By name (`NUMBERS`), each (B,) or (B, count)."""
    grain: Tensor
    """Of each pixel, (B, S, 3, size, size)."""
    pixels: list[int]
    """Along a side, what the camera has; 0: no fewer than the clip."""

    def of(self, name: str) -> Tensor:
        """Return one number of each clip, (B, 1, 1, 1, 1)."""
        return self.values[name].view(-1, 1, 1, 1, 1)


NUMBERS = {
    "gamma": 1, "cast": 3, "fade": 1, "turn": 1, "scale": 1, "flip": 1, "across": 1, "down": 1, "knots": 50, "flatter": 1,
    "ramp_across": 1, "ramp_down": 1, "noise": 1, "piece": 5,
}  # fmt: skip
"""Drawn numbers of a clip, in the order in which they lie beside each other."""


def _drawn(rngs: Rngs, own: Rngs, strength: float, frames: int, size: int, bend: bool, device: torch.device) -> _Drawn:
    """Draw everything for all clips at once, so that it goes to an accelerator in two pieces.

    The order of drawing is part of the result.
    """
    table = np.zeros((len(rngs), sum(NUMBERS.values())), np.float32)
    of = dict(zip(NUMBERS, np.split(table, np.cumsum(list(NUMBERS.values()))[:-1], axis=1), strict=True))
    grain, pixels = np.empty((len(rngs), frames, 3, size, size), np.float32), []
    for k, (rng, mine) in enumerate(zip(rngs, own, strict=True)):

        def even(spread: float, source: np.random.Generator) -> float:
            return source.uniform(-spread, spread) * strength

        of["gamma"][k] = even(0.6, mine)
        of["cast"][k] = mine.normal(1, 0.06 * strength, 3)
        of["fade"][k] = mine.random() < 0.3 * strength
        of["turn"][k] = even(0.17, rng)
        of["scale"][k] = even(0.16, rng)
        of["flip"][k] = -1 if rng.random() < 0.5 else 1
        of["across"][k] = even(0.1, rng)
        of["down"][k] = even(0.1, rng)
        if bend:
            of["knots"][k] = mine.normal(0, 0.03 * strength, 50) * mine.random()
        pixels.append(int(size * mine.uniform(0.35, 0.9)) if mine.random() < 0.5 * strength else 0)
        if bend:
            of["flatter"][k] = even(0.8, mine)
        of["ramp_across"][k] = even(0.6, mine)
        of["ramp_down"][k] = even(0.6, mine)
        mine.standard_normal(dtype=np.float32, out=grain[k])
        of["noise"][k] = mine.uniform(0, 0.2 * strength)
        if mine.random() < 0.35 * strength:
            height, width = (int(size * x) for x in mine.uniform(0.12, 0.42, 2))
            top, left = int(mine.integers(0, size - height)), int(mine.integers(0, size - width))
            of["piece"][k] = top, top + height, left, left + width, math.tanh(mine.standard_normal())
    numbers = on_device(torch.from_numpy(table), device).split(list(NUMBERS.values()), 1)
    values = {name: own.squeeze(1) for name, own in zip(NUMBERS, numbers, strict=True)}
    return _Drawn(values, on_device(torch.from_numpy(grain), device), pixels)


def _other_light(clips: Tensor, drawn: _Drawn) -> Tensor:
    """Return clips in [0, 1] with another gamma and colour cast, some of them grey."""
    clips = clips.clamp(1e-3, 1) ** torch.exp(drawn.of("gamma"))
    clips = clips * drawn.values["cast"].view(-1, 1, 3, 1, 1)
    fade = drawn.of("fade")
    return clips * (1 - fade) + clips.mean(2, keepdim=True) * fade


def _moved(clips: Tensor, size: int, drawn: _Drawn, bend: bool) -> Tensor:
    """Return clips turned, scaled, shifted, mirrored and, if asked for, bent, (B, S, 3, size, size)."""
    count, frames = clips.shape[:2]
    turn, scale, flip, across, down = (drawn.values[name] for name in ("turn", "scale", "flip", "across", "down"))
    scale = size / clips.shape[-1] * (1 + scale)
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    affine = torch.stack([torch.stack([cos * flip, -sin, across], 1), torch.stack([sin * flip, cos, down], 1)], 1)
    shape = [count * frames, 3, size, size]
    grid = functional.affine_grid(affine.repeat_interleave(frames, 0), shape, align_corners=False)
    if bend:
        knots = drawn.values["knots"].view(-1, 2, 5, 5)
        field = functional.interpolate(knots, size=(size, size), mode="bicubic")
        grid = grid + 2 * field.permute(0, 2, 3, 1).repeat_interleave(frames, 0)
    flat = functional.grid_sample(clips.flatten(0, 1), grid, padding_mode="reflection", align_corners=False)
    return flat.unflatten(0, (count, frames))


def coarser(clips_BSCHW: Tensor, pixels: Sequence[int]) -> Tensor:
    """Return clips as a camera with fewer pixels along a side would show them, drawn out again; 0: as they are.

    One by one on a processor, and all at once on an accelerator, which waits for every step that is started.
    """
    if clips_BSCHW.device.type != "cpu":
        return coarser_at_once(clips_BSCHW, pixels)
    size = clips_BSCHW.shape[-1]
    for clip, low in zip(clips_BSCHW, pixels, strict=True):
        if low:
            small = functional.interpolate(clip, size=low, mode="area")
            clip.copy_(functional.interpolate(small, size=size, mode="bilinear"))
    return clips_BSCHW


def coarser_at_once(clips_BSCHW: Tensor, pixels: Sequence[int]) -> Tensor:
    """Return the same by one product from either side: to average and to draw out are linear, along each side alone."""
    low_B = on_device(torch.tensor(pixels), clips_BSCHW.device)
    lines = _lines(clips_BSCHW.shape[-1], clips_BSCHW.device)[low_B][:, None, None]
    return torch.where(low_B.view(-1, 1, 1, 1, 1) > 0, lines @ clips_BSCHW @ lines.mT, clips_BSCHW)


@cache
def _lines(size: int, device: torch.device) -> Tensor:
    """Return what makes a line of pixels coarser and draws it out again, for 0 (as it is), 1, ... pixels, (size, size, size)."""
    one = torch.eye(size)[None]
    coarse = (functional.interpolate(one, size=low, mode="area") for low in range(1, size))
    out = [one, *(functional.interpolate(line, size=size, mode="linear").mT for line in coarse)]
    return torch.cat(out).to(device)


def _shaded(clips: Tensor, drawn: _Drawn, bend: bool) -> Tensor:
    """Return clips under a gradient of light and, if asked for, with flatter light."""
    size = clips.shape[-1]
    ramp = torch.linspace(-0.5, 0.5, size, device=clips.device)
    if bend:
        shade = functional.interpolate(clips.flatten(0, 1), size=6, mode="area")
        shade = functional.interpolate(shade, size=size, mode="bilinear").unflatten(0, clips.shape[:2])
        clips = clips - drawn.of("flatter").abs() * (shade - shade.mean((2, 3, 4), keepdim=True))
    light = 1 + drawn.of("ramp_across") * ramp.view(1, size) + drawn.of("ramp_down") * ramp.view(size, 1)
    return clips * light.clamp_min(0.2)


def _damaged(clips: Tensor, drawn: _Drawn) -> Tensor:
    """Return clips with noise and, some of them, with a piece cut out."""
    size = clips.shape[-1]
    noisy = clips + drawn.grain * drawn.of("noise")
    tops, bottoms, lefts, rights, values = drawn.values["piece"].view(-1, 5, 1, 1, 1, 1).unbind(1)
    across = torch.arange(size, device=clips.device)
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
