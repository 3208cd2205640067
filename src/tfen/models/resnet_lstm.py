"""ResNet18+LSTM, a baseline of Table 8: ResNet-18 (He et al. 2016) on each frame, an LSTM over the frames."""

from torch import Tensor, nn

from tfen.models.clip_classifier import ClipClassifier
from tfen.models.seresnet import Block, initialise


class ResNetLSTM(ClipClassifier):
    """Frames (B, S, 3, H, W) to scores (B, K): the LSTM's state after the last frame is the clip's feature.

    Names inside `frame` are torchvision's `resnet18`.
    """

    def __init__(self, classes: int, width: int = 64, dropout: float = 0.2) -> None:
        super().__init__(8 * width, classes, dropout)
        layers: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(3, width, 7, 2, 3, bias=False),
            "bn1": nn.BatchNorm2d(width),
            "relu": nn.ReLU(),
            "maxpool": nn.MaxPool2d(3, 2, 1),
        }
        channels = width
        for number in range(4):
            size = width * 2**number
            first = Block(channels, size, 1 if number == 0 else 2, squeeze=False)
            layers[f"layer{number + 1}"] = nn.Sequential(first, Block(size, size, 1, squeeze=False))
            channels = size
        self.frame = nn.Sequential()
        for name, layer in layers.items():
            self.frame.add_module(name, layer)
        self.lstm = nn.LSTM(8 * width, 8 * width, batch_first=True)
        initialise(self)

    def embed(self, x_BSCHW: Tensor) -> Tensor:
        frames = self.frame(x_BSCHW.flatten(0, 1)).mean((2, 3)).unflatten(0, x_BSCHW.shape[:2])
        states_BSC: Tensor = self.lstm(frames)[0]
        return states_BSC[:, -1]
