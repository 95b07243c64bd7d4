"""Networks as ONNX nodes."""

import io
from typing import Any

import torch

from skpadim._sizes import Size
from skpadim._warnings import ignoring
from skpadim.embedding._building import BUILDING
from skpadim.embedding._extractor import MapExtractor

# Largest difference of a trace from its network, relative to the largest value of a map.
_TOLERANCE = 1e-3


def network_to_onnx(extractor: MapExtractor, input_size: Size, opset: int) -> bytes:
    """Return a network as an ONNX model, from normalised "images" (n, 3, height, width) to maps."""
    network = _Maps(extractor.network)
    image = torch.zeros((1, 3, *input_size), device=extractor.device)
    content: Any = io.BytesIO()  # which is taken, but not declared
    # torch.onnx's other exporter takes no hooks, needs packages of its own, and has come after
    # torch 2.4. This one warns that it is old, and that sizes become constants, which is wanted.
    with BUILDING, torch.no_grad(), ignoring(Warning):
        try:
            traced = torch.jit.trace(network, image, check_trace=False)
            _check(traced, network, image)
            torch.onnx.export(
                traced,
                (image,),
                content,
                dynamo=False,
                opset_version=opset,
                input_names=["images"],
                output_names=map_names(extractor),
                dynamic_axes={"images": {0: "n"}},
            )
        except Exception as error:
            # Tracing runs code that was not written for it: there is no list of what it may raise.
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"the backbone cannot be exported to ONNX ({reason}).") from error
    return content.getvalue()


def map_names(extractor: MapExtractor, prefix: str = "") -> list[str]:
    """Return the names of the maps in ONNX, one a layer."""
    return [f"{prefix}map_{index}" for index in range(len(extractor.layers))]


class _Maps(torch.nn.Module):
    """Network whose maps come as a tuple, which exporters flatten."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.network(images))


def _check(traced: Any, network: torch.nn.Module, image: torch.Tensor) -> None:
    """Compare on two images: a trace follows one way, for one image, through the network."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((2, *image.shape[1:]), generator=generator).to(image.device)
    for found, expected in zip(traced(images), network(images), strict=True):
        error = (found - expected).abs().max()
        if not error <= _TOLERANCE * expected.abs().max():
            raise ValueError(f"its trace differs from it by {error:.2g}: it has several ways")
