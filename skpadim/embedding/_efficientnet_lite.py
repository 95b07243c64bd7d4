"""EfficientNet-Lite, for pretrained weights converted from TensorFlow."""

from math import ceil

import torch
from torch import nn

# Kernel, stride, expansion, channels and repetitions of each stage of Lite0 (EfficientNet-B0).
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)

# Width and depth. Liu, R. (2020). Higher accuracy on vision models with EfficientNet-Lite.
# TensorFlow Blog. Scaled as in Tan, M., & Le, Q. (2019). EfficientNet: rethinking model scaling for
# convolutional neural networks. ICML.
_SCALES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}

# Names of the modules in checkpoints converted from TensorFlow: outside blocks, and in blocks
# that do not and that do expand.
_CHECKPOINT_NAMES = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_PLAIN_BLOCK_NAMES = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_EXPANDING_BLOCK_NAMES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


class EfficientNetLite(nn.Module):
    """EfficientNet without squeeze-and-excitation and with ReLU6; modules are named as in timm."""

    def __init__(self, name: str) -> None:
        super().__init__()
        width, depth = _SCALES[name]
        # Unlike in EfficientNet, stem and head are not scaled in width, nor the first and the
        # last stage in depth.
        self.pad_stem = _SamePadding(3)
        self.conv_stem = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self.bn1 = _norm(32)
        channels = 32
        stages = []
        for index, (kernel, stride, expansion, base, repetitions) in enumerate(_STAGES):
            if 0 < index < len(_STAGES) - 1:
                repetitions = ceil(repetitions * depth)
            blocks: list[nn.Module] = []
            for repetition in range(repetitions):
                step = stride if repetition == 0 else 1
                out = _round_to_eight(base * width)
                if expansion == 1:
                    blocks.append(_DepthwiseSeparable(channels, out, kernel, step))
                else:
                    blocks.append(_InvertedResidual(channels, out, kernel, step, expansion))
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = nn.Conv2d(channels, 1280, 1, bias=False)
        self.bn2 = _norm(1280)
        self.classifier = nn.Linear(1280, 1000)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, 1000) of images (batch, 3, h, w), ``(uint8 - 127) / 128``."""
        x = self.act(self.bn1(self.conv_stem(self.pad_stem(x))))
        x = self.blocks(x)
        x = self.act(self.bn2(self.conv_head(x)))
        return self.classifier(x.mean((2, 3)))


class _DepthwiseSeparable(nn.Module):
    """Depthwise and pointwise convolution; never a shortcut in Lite, whose channels change."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.pad, self.conv_dw = _depthwise(channels, kernel, stride)
        self.bn1 = _norm(channels)
        self.conv_pw = nn.Conv2d(channels, out, 1, bias=False)
        self.bn2 = _norm(out)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.bn1(self.conv_dw(self.pad(x))))
        return self.bn2(self.conv_pw(x))


class _InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise convolution, linear projection, and a shortcut if it fits."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.conv_pw = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = _norm(inner)
        self.pad, self.conv_dw = _depthwise(inner, kernel, stride)
        self.bn2 = _norm(inner)
        self.conv_pwl = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = _norm(out)
        self.act = nn.ReLU6(inplace=True)
        self.has_shortcut = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(self.bn1(self.conv_pw(x)))
        y = self.act(self.bn2(self.conv_dw(self.pad(y))))
        y = self.bn3(self.conv_pwl(y))
        return y + x if self.has_shortcut else y


class _SamePadding(nn.Module):
    """TensorFlow's "SAME" padding for stride 2: the odd row and column go below and right."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # The convolution gives ceil(size / 2) rows.
        vertical = self.kernel - 2 + x.shape[-2] % 2
        horizontal = self.kernel - 2 + x.shape[-1] % 2
        left, top = horizontal // 2, vertical // 2
        return nn.functional.pad(x, (left, horizontal - left, top, vertical - top))


def _depthwise(channels: int, kernel: int, stride: int) -> tuple[nn.Module, nn.Conv2d]:
    """Return padding and depthwise convolution."""
    if stride == 1:
        padding: nn.Module = nn.Identity()
        within = kernel // 2
    else:
        padding = _SamePadding(kernel)
        within = 0
    convolution = nn.Conv2d(
        channels, channels, kernel, stride, padding=within, groups=channels, bias=False
    )
    return padding, convolution


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _round_to_eight(channels: float) -> int:
    """Nearest multiple of eight that does not lose more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def rename_checkpoint(
    state: dict[str, torch.Tensor], network: EfficientNetLite
) -> dict[str, torch.Tensor]:
    """Return the tensors of a converted TensorFlow checkpoint under their names in the network."""
    modules = dict(_CHECKPOINT_NAMES)
    # "_blocks.5._depthwise_conv", blocks counted through, becomes "blocks.3.0.conv_dw"; others keep
    # their names.
    number = 0
    for stage, blocks in network.blocks.named_children():
        for index, block in blocks.named_children():
            expands = isinstance(block, _InvertedResidual)
            parts = _EXPANDING_BLOCK_NAMES if expands else _PLAIN_BLOCK_NAMES
            for old, new in parts.items():
                modules[f"_blocks.{number}.{old}"] = f"blocks.{stage}.{index}.{new}"
            number += 1
    known = network.state_dict()
    renamed = {}
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        new = f"{modules.get(module)}.{leaf}"
        renamed[new if new in known else key] = tensor
    return renamed
