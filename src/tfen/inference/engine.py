"""From crops of a face to probabilities, so that a window that slides by a step computes one new frame only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tfen.config import TestTimeAugmentation
from tfen.data.normalisations import NORMALISATIONS
from tfen.data.transforms import CPU, centre_crop, fit_frame, normalised, on_device, stored_size, views
from tfen.device import DeviceName, device_named
from tfen.errors import InputError
from tfen.models.folding import folded
from tfen.models.graphs import GraphNetwork
from tfen.models.weights import Loaded

Array = np.ndarray


class Engine:
    """A network cut in two: `encode` runs F, E and D on single frames, `scores` runs T on windows of what they gave.

    Networks whose input is normalised over the whole clip cannot be cut: there `encode` only keeps the frame, and
    `scores` computes all frames of a window again.

    Args:
        loaded: the network.
        test_time_augmentation: views of each crop. 1: its middle. 6: also a little nearer and from farther away, and all
            three mirrored; what is given is the geometric mean of the probabilities. Errors that depend on how a face lies
            in its crop become fewer.
        device: where it runs: auto takes a GPU of NVIDIA if there is one.

    Attributes:
        expressions: in the order of the columns of `scores`.
        frames: S, frames in a window.
        size: side of the crops that `encode` takes, pixels.
        streams: whether frames are computed once only.
        references: whether the weights have learned what a face shows after a calm frame of the same person.
        device: where it runs.
        least_confidence: below which the weights are mostly wrong, in [0, 1); 0 if they do not say.

    Raises:
        InputError: another number of views, or a GPU that is not there.
    """

    def __init__(
        self, loaded: Loaded, test_time_augmentation: TestTimeAugmentation = 1, device: DeviceName = "cpu"
    ) -> None:
        if test_time_augmentation not in (1, 6):
            raise InputError(f"test-time-augmentation is {test_time_augmentation}, expected 1 or 6")
        settings = loaded.settings
        self.expressions, self.frames = loaded.expressions, settings.model.frames
        self.size = stored_size(settings.model.image_size)
        self.streams = not NORMALISATIONS[settings.data.normalise].whole_clip
        self._image_size, self._data, self._views = settings.model.image_size, settings.data, test_time_augmentation
        self.device = CPU
        self._network = loaded.network
        if not isinstance(loaded.network, GraphNetwork):
            self.device = device_named(device)
            self._network = folded(loaded.network).channels_last().to(self.device)
        self.references = settings.data.reference > 0 and self.streams and self.frames > 1
        self._temperature = float(loaded.about.get("temperature") or 1.0)
        self.least_confidence = float(loaded.about.get("least_confidence") or 0.0)

    def encode(self, crops: Sequence[Array]) -> list[Any]:
        """Return what T needs of each crop (size, size, 3) uint8 RGB."""
        fitted = [fit_frame(crop, self.size, self._data.grey) for crop in crops]
        if not self.streams or not fitted:
            return list(fitted)
        with torch.inference_mode():
            pixels_LNCHW = self._pixels(np.stack(fitted)[:, None])[:, :, 0]
            codes = self._network.features(pixels_LNCHW.flatten(0, 1))
            return list(codes.unflatten(0, pixels_LNCHW.shape[:2]).transpose(0, 1))

    def scores(self, windows: Sequence[Sequence[Any]]) -> Array:
        """Return probabilities (B, K) of windows of S encoded frames each, softened by the weights' temperature."""
        with torch.inference_mode():
            if self.streams:
                codes = torch.stack([torch.stack(list(window)) for window in windows])
                scores = self._network.temporal(codes.movedim(2, 0).flatten(0, 1))
            else:
                scores = self._network(
                    self._pixels(np.stack([np.stack(list(window)) for window in windows])).flatten(0, 1)
                )
            logs_LBK = scores.float().log_softmax(1).unflatten(0, (-1, len(windows)))
            return (logs_LBK.mean(0) / self._temperature).softmax(1).cpu().numpy()

    def _pixels(self, clips_BSHWC: Array) -> torch.Tensor:
        """Return what the network takes of each view of clips, (L, B, S, 3, H, W)."""
        clips, size = on_device(torch.from_numpy(clips_BSHWC), self.device), self._image_size
        each = [centre_crop(clips, size)] if self._views == 1 else views(clips, size)
        return torch.stack(
            [normalised(view.permute(0, 1, 4, 2, 3).float() / 255, self._data.normalise) for view in each]
        )
