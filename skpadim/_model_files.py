"""Files of a header and arrays, as they are read without knowing what a detector is."""

import hashlib
import json
import os
import re
from math import isfinite, prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Of the layout below. A file of a higher one is refused; those of all lower ones are read.
FORMAT = 3

# What arrays may be, by the names that the format has for dtypes.
_DTYPES = {"F32": "float32", "F64": "float64", "I16": "int16", "I64": "int64"}

# How files of others begin: pickles, also as joblib compresses them, and archives.
_PICKLE = re.compile(
    rb"\x80[\x02-\x05]|x[\x01\x5e\x9c\xda]|\x1f\x8b|BZh|\xfd7zXZ|\x5d\0\0|\x04\x22M\x18"
)
_ARCHIVE = re.compile(rb"PK\x03\x04")


class Header(NamedTuple):
    """What a file says about its detector, without the arrays."""

    format: int
    versions: dict[str, str]
    detector: dict[str, Any]


def read_header(path: str | os.PathLike[str]) -> Header:
    """Return what a file says about its detector, once the file is checked to be whole."""
    return read_model_file(Path(path))[0]


def read_model_file(path: Path, mmap: bool = True) -> tuple[Header, dict[str, NDArray]]:
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
        raise refusal(
            path, _kind(path) or f"it is damaged, or of another kind ({error})"
        ) from error
    if not {"skpadim", "sha256"} <= metadata.keys():
        raise refusal(path, "it is a file of arrays, but skpadim.save has not written it")
    text = metadata["skpadim"]
    try:
        record = parse_header(text)
        found = record["format"]
        if type(found) is not int or found < 1:
            raise ValueError(f"{found!r} is no format")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise refusal(path, f"its header is damaged ({error!r})") from error
    if found > FORMAT:
        raise refusal(
            path,
            f"it is of format {found}, and this version of skpadim reads formats up to {FORMAT}. "
            "Install a newer one",
        )
    try:
        arrays = _read_arrays(path, forms, mmap)
    except (OSError, ValueError) as error:
        raise refusal(path, f"it has changed while it was read ({error})") from error
    if metadata["sha256"] != checksum(text, arrays):
        raise refusal(path, "it is damaged: its content has another checksum. Copy it again")
    versions, detector = record.get("versions"), record.get("detector")
    if not isinstance(detector, dict) or not isinstance(versions, dict):
        raise refusal(path, "its header is incomplete")
    return Header(found, {name: str(number) for name, number in versions.items()}, detector), arrays


def parse_header(text: str) -> dict[str, Any]:
    """Return what JSON says, if its numbers are finite and of 64 bits."""
    record = json.loads(text, parse_int=_integer, parse_float=_finite, parse_constant=_finite)
    if not isinstance(record, dict):
        raise TypeError(f"{type(record).__name__} is where names and values must be")
    return record


def _integer(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{text:.20}... is out of range")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text:.20} is where a finite number must be")
    return number


def _kind(path: Path) -> str | None:
    """Return what a file of another kind is, if its beginning says so."""
    try:
        with open(str(path), "rb") as file:
            start = file.read(8)
    except OSError:
        return None
    if _PICKLE.match(start):
        return (
            "it looks like a pickle, such as joblib writes. That is code, which is not run here. "
            "If you trust who made it, convert it: skpadim.save(joblib.load('old'), 'new.skpadim')"
        )
    if _ARCHIVE.match(start):
        return "it is an archive, such as skops and torch write, and not a file of skpadim.save"
    return None


def _read_arrays(
    path: Path, forms: dict[str, tuple[str, tuple[int, ...]]], mmap: bool
) -> dict[str, NDArray]:
    """Map or read arrays that follow one another at the end of a file."""
    sizes = [np.dtype(dtype).itemsize * prod(shape) for dtype, shape in forms.values()]
    arrays: dict[str, NDArray] = {}
    # Opened once: the file may be replaced meanwhile.
    with open(str(path), "rb") as file:
        offset = os.fstat(file.fileno()).st_size - sum(sizes)
        for (name, (dtype, shape)), size in zip(forms.items(), sizes, strict=True):
            # Each with its own shape: joblib, which sends workers the place in the file, takes
            # reshaped parts of a flat map for arrays in Fortran's order.
            if mmap and size:
                arrays[name] = np.memmap(file, dtype, "r", offset, shape).view(np.ndarray)
            else:
                file.seek(offset)
                arrays[name] = np.fromfile(file, dtype, prod(shape)).reshape(shape)
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
