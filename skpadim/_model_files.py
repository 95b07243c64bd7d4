"""Files of a header and arrays, as they are read without knowing what a detector is."""

import hashlib
import json
import os
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Of the layout below. A file of a higher one is refused; those of all lower ones are read.
FORMAT = 2

# What arrays may be, by the names that the format has for dtypes.
_DTYPES = {"F32": "float32", "F64": "float64", "I16": "int16", "I64": "int64"}


class Header(NamedTuple):
    """What a file says about its detector, without the arrays."""

    format: int
    versions: dict[str, str]
    detector: dict[str, Any]


def read_header(path: str | os.PathLike[str]) -> Header:
    """Return what a file says about its detector, once the file is checked to be whole."""
    return read_model_file(Path(path))[0]


def read_model_file(path: Path) -> tuple[Header, dict[str, NDArray]]:
    """Read a file as far as it can be read without knowing what a detector is."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}.")
    try:
        # Refuses a file of another length than its header claims.
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.offset_keys()}
            forms = {
                name: (_DTYPES[part.get_dtype()], tuple(part.get_shape()))
                for name, part in slices.items()
            }
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise refusal(path, f"it is damaged, or of another kind ({error})") from error
    if not {"skpadim", "sha256"} <= metadata.keys():
        raise refusal(path, "it is a file of arrays, but skpadim.save has not written it")
    text = metadata["skpadim"]
    try:
        record = json.loads(text)
        found = record["format"]
        newer = found > FORMAT
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise refusal(path, f"its header is damaged ({error!r})") from error
    if newer:
        raise refusal(
            path,
            f"it is of format {found}, and this version of skpadim reads formats up to {FORMAT}. "
            "Install a newer one",
        )
    arrays = _map(path, forms)
    if metadata["sha256"] != checksum(text, arrays):
        raise refusal(path, "it is damaged: its content has another checksum. Copy it again")
    try:
        return Header(found, dict(record["versions"]), dict(record["detector"])), arrays
    except (KeyError, TypeError, ValueError) as error:
        raise refusal(path, f"its header is incomplete ({error!r})") from error


def _map(path: Path, forms: dict[str, tuple[str, tuple[int, ...]]]) -> dict[str, NDArray]:
    """Map arrays that follow one another at the end of a file."""
    sizes = [np.dtype(dtype).itemsize * prod(shape) for dtype, shape in forms.values()]
    arrays: dict[str, NDArray] = {}
    # Opened once: the file may be replaced meanwhile.
    with open(str(path), "rb") as file:
        offset = os.fstat(file.fileno()).st_size - sum(sizes)
        for (name, (dtype, shape)), size in zip(forms.items(), sizes, strict=True):
            # Each with its own shape: joblib, which sends workers the place in the file, takes
            # reshaped parts of a flat map for arrays in Fortran's order.
            mapped = np.memmap(file, dtype, "r", offset, shape) if size else np.empty(shape, dtype)
            arrays[name] = mapped.view(np.ndarray)
            offset += size
    return arrays


def checksum(text: str, arrays: dict[str, NDArray]) -> str:
    """Return the SHA-256 of a header and the arrays."""
    digest = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        digest.update(repr((name, array.dtype.name, array.shape)).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def refusal(path: Any, reason: str) -> ValueError:
    """Return the error of a file that is no detector's."""
    return ValueError(f"{os.fspath(path)!r} cannot be loaded as a detector: {reason}.")
