"""Pixels -> embeddings, run by torch or by OpenVINO."""

import importlib
import sys
from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from skpadim._sizes import Size
from skpadim._warnings import ignoring
from skpadim.embedding._alignment import align
from skpadim.embedding._building import BUILDING
from skpadim.embedding._extractor import MapExtractor

if TYPE_CHECKING:
    import openvino

# On a processor, torch is more than twice as fast on few images at a time, whose activations stay
# in its cache and the allocator's reach: 4 images of 224 x 224, measured.
_CPU_PIXELS = 4 * 224 * 224

# Largest difference from torch, relative to the largest embedding, of a network that is taken for
# converted correctly.
_TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1}


class Engine(ABC):
    """What runs a network. It may be called from several threads."""

    @abstractmethod
    def __call__(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed images (n, height, width, 3), uint8, as (n, rows, columns, d), float32."""


def make_engine(
    name: str,
    extractor: MapExtractor,
    input_size: Size,
    precision: str,
    alignment: dict[str, Any],
) -> Engine:
    """Return what embeds images of one size; `alignment` are the arguments of :func:`align`."""
    with_torch = TorchEngine(PatchNetwork(extractor, precision, alignment), extractor.device)
    if name == "torch":
        return with_torch
    obstacle = _obstacle(extractor.device)
    if obstacle is None:
        try:
            # OpenVINO itself chooses what to compute in half precision.
            network = PatchNetwork(extractor, "float32", alignment)
            return OpenVinoEngine(network, input_size, precision)
        except Exception as error:
            # Tracing runs code that was not written for it, and the compiler meets graphs that it
            # was not written for: there is no list of what they may raise.
            obstacle = ValueError(
                "engine='openvino' cannot take this backbone or precision "
                f"({str(error).strip().partition(chr(10))[0]}): give engine='torch'."
            )
            obstacle.__cause__ = error
    if name == "openvino":
        raise obstacle
    return with_torch


def _obstacle(device: torch.device) -> Exception | None:
    if device.type != "cpu":
        return ValueError(
            f"engine='openvino' runs on the processor, but device is {str(device)!r}: give "
            "device='cpu', or engine='torch'."
        )
    if find_spec("openvino") is None:
        return ImportError("engine='openvino' needs OpenVINO: pip install 'skpadim[openvino]'.")
    return None


class PatchNetwork(torch.nn.Module):
    """All that happens to images, as one module; `alignment` are the arguments of :func:`align`."""

    def __init__(self, extractor: MapExtractor, precision: str, alignment: dict[str, Any]) -> None:
        super().__init__()
        self.network = extractor.network  # here as well, so that tracing finds its parameters
        self._precision = precision
        self._extractor = extractor
        self._alignment = alignment

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Embed images (n, height, width, 3), uint8, as (n, rows, columns, d), float32."""
        maps = self._extractor.extract(batch, self._precision)
        return align(maps, **self._alignment)


class TorchEngine(Engine):
    """Run a network by torch."""

    def __init__(self, network: PatchNetwork, device: torch.device) -> None:
        self._network = network
        self._chunks = device.type == "cpu"

    def __call__(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        chunk = len(batch)
        if self._chunks:
            chunk = max(1, _CPU_PIXELS // (batch.shape[1] * batch.shape[2]))
        with torch.inference_mode():
            parts = [
                self._network(part).numpy(force=True)
                for part in torch.from_numpy(batch).split(chunk)
            ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class OpenVinoEngine(Engine):
    """Run a network by OpenVINO, compiled for this processor; its results must be torch's."""

    def __init__(self, network: PatchNetwork, input_size: Size, precision: str) -> None:
        self._openvino = openvino = import_without_telemetry("openvino")
        core = openvino.Core()
        if precision == "bfloat16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise ValueError(f"this processor has no {precision}")
        options = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            "PERFORMANCE_HINT": "LATENCY",
            # torch knows what the user, or who shares the processor out, has set.
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        model = _to_openvino(network, input_size)
        self._compiled = core.compile_model(model, "CPU", options)
        self._shape = tuple(model.output(0).shape)[1:]
        self._idle_requests: list[Any] = []
        self._unused = openvino.Tensor(np.empty((1, *self._shape), np.float32))
        self._check(network, input_size, precision)

    def __call__(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        # Calls from several threads are independent because each has its own request. Requests are
        # kept, since making one takes a tenth of the time of an image.
        try:
            request = self._idle_requests.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        out = np.empty((len(batch), *self._shape), np.float32)
        # One after the other, each on all cores: a graph of fixed shape is the fastest.
        for i in range(len(batch)):
            one = slice(i, i + 1)
            # Straight into its place.
            request.set_output_tensor(self._openvino.Tensor(out[one], shared_memory=True))
            request.infer([batch[one]], share_inputs=True, share_outputs=True)
        request.set_output_tensor(self._unused)  # does not keep the caller's memory
        self._idle_requests.append(request)
        return out

    def _check(self, network: PatchNetwork, input_size: Size, precision: str) -> None:
        """Compare with torch: a trace follows one way through a network that may have several."""
        image = np.random.default_rng(0).integers(0, 256, (1, *input_size, 3), np.uint8)
        with torch.inference_mode():
            expected = network(torch.from_numpy(image)).numpy()
        error = np.abs(self(image) - expected).max()
        if not error <= _TOLERANCES[precision] * np.abs(expected).max():
            raise ValueError(f"its results differ from torch's by {error:.2g}")


def import_without_telemetry(name: str) -> Any:
    """Import a package of OpenVINO as if its telemetry were not installed."""
    # With it, the import alone connects to a server of statistics and leaves an identifier in the
    # home directory. Nobody has asked for that.
    modules: Any = sys.modules
    with BUILDING:
        if modules.get(name):
            return modules[name]
        hidden = "openvino_telemetry" not in modules
        if hidden:
            modules["openvino_telemetry"] = None  # for imports: not installed
        try:
            return importlib.import_module(name)
        finally:
            if hidden:
                del modules["openvino_telemetry"]


def _to_openvino(network: PatchNetwork, input_size: Size) -> "openvino.Model":
    """Convert a network, for one image at a time."""
    import_without_telemetry("openvino")
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    image = torch.zeros((1, *input_size, 3), dtype=torch.uint8)
    # That sizes become constants is wanted here, and the ways that do not call this one deprecated
    # take seconds.
    expected = ignoring(torch.jit.TracerWarning, FutureWarning, DeprecationWarning)
    with BUILDING, torch.no_grad(), expected:
        traced = torch.jit.trace(network, image, check_trace=False)
    # By the frontend itself: openvino.convert_model runs the network three times more to check the
    # trace, and imports much to do so.
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced)  # must outlive the conversion
    model = frontend.convert(frontend.load(decoder))
    model.reshape([1, *input_size, 3])
    return model
