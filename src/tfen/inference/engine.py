"""From crops of a face to probabilities, so that a window that slides by a step computes one new frame only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tfen.data.transforms import centre_crop, fit_frame, stored_size, to_network
from tfen.models.weights import Loaded

Array = np.ndarray


class Engine:
    """A network cut in two: `encode` runs F, E and D on single frames, `scores` runs T on windows of what they gave.

    Networks whose input is normalised over the whole clip cannot be cut: there `encode` only keeps the frame, and
    `scores` computes all frames of a window again.

    Attributes:
        expressions: in the order of the columns of `scores`.
        frames: S, frames in a window.
        size: side of the crops that `encode` takes, pixels.
        streams: whether frames are computed once only.
    """

    def __init__(self, loaded: Loaded) -> None:
        settings = loaded.settings
        self.expressions, self.frames = loaded.expressions, settings.model.frames
        self.size = stored_size(settings.model.image_size)
        self.streams = settings.data.normalise != "clip"
        self._image_size, self._data = settings.model.image_size, settings.data
        self._network = loaded.network.channels_last()
        self._temperature = float(loaded.about.get("temperature") or 1.0)

    def encode(self, crops: Sequence[Array]) -> list[Any]:
        """Return what T needs of each crop (size, size, 3) uint8 RGB."""
        fitted = [fit_frame(crop, self.size, self._data.grey) for crop in crops]
        if not self.streams or not fitted:
            return list(fitted)
        with torch.inference_mode():
            return list(self._network.features(self._pixels(np.stack(fitted)[:, None])[:, 0]))

    def scores(self, windows: Sequence[Sequence[Any]]) -> Array:
        """Return probabilities (B, K) of windows of S encoded frames each, softened by the weights' temperature."""
        with torch.inference_mode():
            if self.streams:
                said = self._network.temporal(torch.stack([torch.stack(list(window)) for window in windows]))
            else:
                said = self._network(self._pixels(np.stack([np.stack(list(window)) for window in windows])))
            return (said.float() / self._temperature).softmax(1).numpy()

    def _pixels(self, clips_BSHWC: Array) -> torch.Tensor:
        cropped = centre_crop(torch.from_numpy(clips_BSHWC), self._image_size)
        return to_network(cropped, self._data.normalise)
