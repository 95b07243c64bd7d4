"""Samples that a model has learnt from, known again by hashes of their content."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Eight bytes: among a million samples and a million others, two are taken for one with a
# probability of one in ten million.
_HASH_BYTES = 8


def content_hash(array: NDArray) -> int:
    """Return a hash of the bytes of an array."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    # Processors have instructions for SHA-256: 0.1 ms for a picture of 224 x 224 pixels.
    return int.from_bytes(hashlib.sha256(content.data).digest()[:_HASH_BYTES], "little")


def sample_hashes(X: NDArray) -> NDArray[np.uint64]:
    """Return a hash of each sample."""
    return np.array([content_hash(sample) for sample in X], dtype=np.uint64)


def refuse_known(
    hashes: NDArray[np.uint64], known: NDArray[np.uint64] | None, names: Sequence[str]
) -> None:
    """Raise if a model has learnt from samples that its threshold is to come from."""
    seen = [] if known is None else np.flatnonzero(np.isin(hashes, known, kind="sort")).tolist()
    if seen:
        raise ValueError(
            f"the model was trained on {len(seen)} of the {len(hashes)} samples to calibrate with, "
            f"{listed([names[i] for i in seen])}: it finds them more normal than fresh ones, and "
            "the threshold would give many false alarms. Give good samples that it has not seen."
        )


def joined(known: NDArray[np.uint64] | None, hashes: NDArray) -> NDArray[np.uint64]:
    """Return the hashes that are known once others have come."""
    return hashes.astype(np.uint64) if known is None else np.concatenate([known, hashes])


def copies(hashes: NDArray[np.uint64], known: NDArray[np.uint64] | None) -> dict[int, int | None]:
    """Return the positions of samples that occur before, with that of the first, None if known."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    firsts = first[inverse]
    found: dict[int, int | None] = {
        i: int(firsts[i]) for i in np.flatnonzero(firsts != np.arange(len(hashes))).tolist()
    }
    if known is not None:
        found |= dict.fromkeys(np.flatnonzero(np.isin(hashes, known, kind="sort")).tolist())
    return found


def listed(names: Sequence[str], at_most: int = 3) -> str:
    """Write a few names, and how many more there are."""
    more = len(names) - at_most
    if more > 0:
        return f"{', '.join(names[:at_most])} and {more} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
