"""A network on its device: pixels -> feature maps."""

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from skpadim._sizes import Size
from skpadim.embedding._backbones import Backbone
from skpadim.embedding._building import BUILDING, survive_forks

if TYPE_CHECKING:
    import torch


class MapExtractor:
    """A backbone on its device."""

    def __init__(self, backbone: Backbone, device: "torch.device") -> None:
        import torch

        survive_forks()
        # Images come with their channels last. Convolutions and pooling are faster so, on
        # processors most of all, and the embeddings need no rearrangement in the end.
        self.network = backbone.network.to(device).to(memory_format=torch.channels_last)
        self.layers = backbone.layers
        self.weights_hash = backbone.weights_hash
        self.device = device
        self.mean = torch.tensor(backbone.mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(backbone.std, device=device).view(1, 3, 1, 1)
        self._map_shapes: dict[Size, list[tuple[int, int, int]]] = {}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what the feature maps depend on, besides the images and the precision."""
        digest = hashlib.sha256()
        # Code is there if torch.fx has traced the network; it calls modules by name alone.
        structure = (self.layers, repr(self.network), getattr(self.network, "code", None))
        digest.update(repr(structure).encode())
        _update(digest, "mean", self.mean)
        _update(digest, "std", self.std)
        for name, module in sorted(self.network.named_modules()):
            # Buffers that are not in the state dict count, and so do options that a module
            # keeps in plain attributes and does not tell in its repr.
            attributes = {**vars(module), **module._parameters, **module._buffers}
            for attribute, value in sorted(attributes.items()):
                if not attribute.startswith("_"):
                    _update(digest, f"{name}.{attribute}", value)
        return digest.hexdigest()

    def extract(self, batch: "torch.Tensor", precision: str) -> "list[torch.Tensor]":
        """Return a map (n, channels, rows, columns) a layer, of images (n, height, width, 3)."""
        import torch

        x = batch.to(self.device).movedim(-1, 1).float()
        x = (x - self.mean) / self.std
        with torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            return self.network(x)

    def map_shapes(self, input_size: Size) -> list[tuple[int, int, int]]:
        """Return (channels, rows, columns) of each layer's map, by running the network once."""
        if input_size not in self._map_shapes:
            with BUILDING:
                if input_size not in self._map_shapes:
                    self._map_shapes[input_size] = self._find_map_shapes(input_size)
        return self._map_shapes[input_size]

    def _find_map_shapes(self, input_size: Size) -> list[tuple[int, int, int]]:
        import torch

        try:
            with torch.inference_mode():
                zeros = torch.zeros((1, *input_size, 3), dtype=torch.uint8)
                maps = self.extract(zeros, "float32")
        except (RuntimeError, ValueError, AssertionError) as error:
            height, width = input_size
            raise ValueError(
                f"the backbone cannot take images of {height} x {width} pixels ({error}): give "
                "another image_size or crop_size, larger if its maps vanish, smaller if memory "
                "does not suffice."
            ) from error
        shapes = []
        for layer, features in zip(self.layers, maps, strict=True):
            if not isinstance(features, torch.Tensor) or features.ndim != 4:
                is_tensor = isinstance(features, torch.Tensor)
                given = tuple(features.shape) if is_tensor else type(features).__name__
                raise ValueError(
                    f"layer {layer!r} gives {given} for one image; a layer must give a map of "
                    "shape (batch, channels, rows, columns)."
                )
            _, channels, rows, columns = features.shape
            if _looks_channels_last(input_size, (channels, rows, columns)):
                raise ValueError(
                    f"layer {layer!r} gives {tuple(features.shape)} for one image, which looks "
                    "as if its channels were last; a layer must give a map of shape (batch, "
                    "channels, rows, columns)."
                )
            shapes.append((channels, rows, columns))
        return shapes


def _update(digest: Any, name: str, value: Any) -> None:
    """Add a tensor or a plain value to a digest; leave out what has no stable representation."""
    import torch

    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous()
        digest.update(repr((name, value.dtype, tuple(value.shape))).encode())
        # As bytes, because NumPy does not know all dtypes.
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    elif _is_plain(value):
        digest.update(repr((name, value)).encode())


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _looks_channels_last(input_size: Size, shape: tuple[int, int, int]) -> bool:
    """Whether only the first two axes are a scaled-down image, not the last two."""
    height, width = input_size

    def distortion(rows: int, columns: int) -> float:
        ratio = (height / rows) / (width / columns)
        return max(ratio, 1 / ratio)

    return distortion(*shape[:2]) < 1.1 and distortion(*shape[1:]) > 1.5


def resolve_device(name: str) -> "torch.device":
    """Return the device of a name, made sure to work."""
    import torch

    if name == "auto":
        has_mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    try:
        device = torch.device(name)
        torch.zeros((), device=device).item()
    except Exception as error:
        # What a missing device raises depends on the device: anything from ImportError on.
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"device={name!r} does not work here ({reason}): give 'auto', 'cpu', or the name of "
            "a torch device that is available, as 'cuda' or 'cuda:1'."
        ) from error
    return device
