"""Detectors in files that hold numbers and no code.

A file is in the safetensors format [1]_, which readers of any language know: a header in JSON, then
arrays, one after the other, as they are in memory. So loading maps them from the file and reads
each page when it is first needed; and what a header claims is there, or the file is refused.

References
----------
.. [1] https://huggingface.co/docs/safetensors
"""

import json
import os
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from math import ceil, isnan, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skpadim._files import check_new_file, new_file
from skpadim._model_files import FORMAT, checksum, read_model_file, refusal
from skpadim._padim import PaDiM
from skpadim._sizes import check_size
from skpadim._training_images import TrainingImages
from skpadim.embedding import PatchEmbedder
from skpadim.embedding._passthrough import Passthrough
from skpadim.gaussian import PatchGaussian, PatchMoments
from skpadim.gaussian._triangles import count_entries
from skpadim.heatmaps import Smoothing

__all__ = ["load", "save"]

# torchvision is an extra.
_PACKAGES = ("skpadim", "numpy", "pillow", "scikit-learn", "torch", "torchvision")

# joblib.Memory reads pickles from the folder that `memory` names: no file may name one.
_LEFT_OUT = ("memory",)

_FLOATS = ("float32", "float64")
# Parameters that are objects with parameters of their own.
_NESTED = {"embedder": PatchEmbedder, "smoothing": Smoothing}

# Limits to what a file may ask of the machine that uses it: no network has a coarser grid, images
# are no larger than Pillow takes without a warning, and no heatmap is smoothed further.
_MAX_STRIDE = 128
_MAX_PIXELS = 2**30 // 4 // 3
_MAX_SMOOTHING = 10_000


def save(detector: PaDiM, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a fitted detector into a file that holds no code.

    The file has all that decides a score: parameters, Gaussians, the reduction, the threshold and
    the scores that it was chosen from, the statistics of the input by way of the backbone's name,
    the hash of its weights, and the versions of the packages. It does not have the weights
    themselves.

    Parameters
    ----------
    detector : PaDiM
        A fitted detector. Its backbone is one that has a name, or it takes embeddings.
    path : str or os.PathLike
        The file to write, commonly called ``*.skpadim``.
    overwrite : bool, default=False
        Whether to replace a file that exists.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    FileExistsError
        If `path` exists and `overwrite` is False.
    OSError
        If `path` is a folder, lies in a folder that does not exist, or cannot be written. A file
        that was there is left as it was.
    TypeError
        If `detector` is no PaDiM, or if its backbone is a module or a callable: that is code.
    ValueError
        If `detector` is not fitted.

    See Also
    --------
    skpadim.load : Reads the file.

    Notes
    -----
    The format is that of safetensors, with parameters as JSON in its header and a SHA-256 of it
    all. The file appears when it is complete.

    The parameter `memory` is not saved, since it belongs to a machine, nor is a RandomState: what
    it has drawn is.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import skpadim
    >>> from skpadim.datasets import make_inspection_images
    >>> parts = make_inspection_images(n_good=32, n_defective=2, random_state=0)
    >>> detector = skpadim.PaDiM().fit(parts.images[:30])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = skpadim.save(detector, Path(folder, "flange.skpadim"))
    ...     restored = skpadim.load(path)
    ...     restored.predict(parts.images[30:])
    array([ 1,  1, -1, -1])
    """
    if not isinstance(detector, PaDiM):
        raise TypeError(
            f"detector has type {type(detector).__name__}; it must be a fitted PaDiM. For other "
            "estimators and pipelines there are joblib and skops."
        )
    check_is_fitted(detector, "gaussian_")
    path = Path(path)
    check_new_file(path, overwrite=overwrite)
    arrays: dict[str, NDArray] = {}
    record = {
        "format": FORMAT,
        "versions": _installed_versions(),
        "detector": _record_detector(detector, arrays),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    text = json.dumps(record)
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with new_file(path, overwrite=overwrite) as unfinished:
        try:
            save_file(arrays, unfinished, {"skpadim": text, "sha256": checksum(text, arrays)})
        except SafetensorError as error:
            raise OSError(f"path={str(path)!r} cannot be written: {error}") from error
    return path


def load(path: str | os.PathLike[str], *, weights: str | os.PathLike[str] | None = None) -> PaDiM:
    """Read a detector that :func:`~skpadim.save` has written.

    No code of the file is run, and nothing is downloaded. The arrays are mapped: they stay in the
    file, which may be replaced but not written into while the detector is in use.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    weights : str, os.PathLike or None, default=None
        File with the backbone's weights. Needed where the detector was fitted with weights from a
        file; for other backbones it saves their download.

    Returns
    -------
    PaDiM
        The detector. Its network is built at the first image; a backbone whose weights are neither
        installed nor given is looked for then.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a detector's, is damaged or incomplete, contradicts itself, or is of a
        newer format; or if `weights` are needed.

    See Also
    --------
    skpadim.save : Writes the file, and shows how to use both.
    """
    header, arrays = read_model_file(Path(path))
    try:
        record = dict(header.detector)
        if header.format == 1:
            record = _from_format_1(record)
        return _make_detector(record, arrays, weights)
    except _WeightsNeeded as error:
        raise ValueError(
            f"the detector in {os.fspath(path)!r} was fitted with weights from a file, "
            f"{error}: say where that is, weights='path/to/file'. Its hash is checked."
        ) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise refusal(path, f"{type(error).__name__}: {error}") from error


class _WeightsNeeded(Exception):
    """A file of weights is needed, and only its name is known."""


def _installed_versions() -> dict[str, str]:
    """Return the versions of those packages that decide a score."""
    versions = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def _record_detector(detector: PaDiM, arrays: dict[str, NDArray]) -> dict[str, Any]:
    record = {
        "parameters": _encode_parameters(detector.get_params(deep=False)),
        "embedder_": _encode(detector.embedder_, "embedder"),
        "gaussian_": _record_gaussian(detector.gaussian_, arrays),
        "stream_parameters": _encode_parameters(detector._stream_parameters),
    }
    for name in ("grid_shape_", "n_samples_seen_", "weights_hash_", "n_features_in_", "offset_"):
        if hasattr(detector, name):
            record[name] = _encode(getattr(detector, name), name)
    if detector._training_images is not None:
        record["training_images"] = detector._training_images._asdict()
    if detector._known_hashes is not None:
        arrays["known_hashes"] = detector._known_hashes.view(np.int64)
    if hasattr(detector, "feature_names_in_"):
        record["feature_names_in_"] = detector.feature_names_in_.tolist()
    if hasattr(detector, "calibration_scores_"):
        arrays["calibration_scores"] = detector.calibration_scores_
    # A projection is the Gaussian's, and there already.
    if detector.components_ is not None and detector.gaussian_.components_ is None:
        arrays["components"] = detector.components_.astype(np.int64)
    return record


def _record_gaussian(gaussian: PatchGaussian, arrays: dict[str, NDArray]) -> dict[str, Any]:
    record = {
        "parameters": _encode_parameters(gaussian.get_params(deep=False)),
        "stream_parameters": _encode_parameters(gaussian._stream_parameters),
        "n_features_in_": gaussian.n_features_in_,
        "n_samples_seen_": gaussian.n_samples_seen_,
        "seed": gaussian._seed,
    }
    for name in ("location_", "components_", "factor_", "eigenvalues_", "ridge_", "factor_units_"):
        array = getattr(gaussian, name, None)
        if array is not None:
            arrays[f"gaussian.{name}"] = array
    if hasattr(gaussian, "_moments"):
        state = gaussian._moments.__getstate__()  # with triangles
        for name in ("mean", "root", "scatter"):
            if state[name] is not None:
                arrays[f"moments.{name}"] = state[name]
        record["moments"] = {"n_samples": gaussian._moments.n_samples}
    return record


def _encode_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _encode(value, name.rpartition("__")[2])
        for name, value in parameters.items()
        if name not in _LEFT_OUT
    }


def _encode(value: Any, name: str) -> Any:
    """Turn a parameter or attribute into what JSON has."""
    if name == "weights" and value not in ("imagenet", None):
        # Not the path, which is of one machine: a file might name what is none of its business.
        return {"file": Path(value).name}
    if isinstance(value, Passthrough):
        return "passthrough"
    if isinstance(value, PatchEmbedder | Smoothing):
        return _encode_parameters(value.get_params(deep=False))
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_encode(item, name) for item in value]
    if isinstance(value, RandomState):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"{name}={value!r:.80} is code, which no file of skpadim.save holds. Use joblib, or "
        "skpadim.export_onnx for a model without Python."
        if name == "backbone"
        else f"{name} has type {type(value).__name__}, which cannot be saved."
    )


def _decode(value: Any, name: str, weights: Any) -> Any:
    """Turn what JSON has into a parameter; sequences become tuples."""
    if isinstance(value, list):
        return tuple(_decode(item, name, weights) for item in value)
    if isinstance(value, dict):
        if value.keys() == {"file"}:
            if weights is None:
                raise _WeightsNeeded(value["file"])
            return weights
        return _NESTED[name](**_decode_parameters(value, weights))
    if name.endswith("weights") and value not in ("imagenet", None):
        raise ValueError("it names a file of weights by its path, which is its user's to say")
    return value


def _decode_parameters(parameters: dict[str, Any], weights: Any) -> dict[str, Any]:
    decoded = {name: _decode(value, name, weights) for name, value in parameters.items()}
    for name in ("weights", "embedder__weights"):
        if weights is not None and name in decoded:
            decoded[name] = weights
    if any(name in decoded for name in _LEFT_OUT):
        raise ValueError(f"it must not set any of {_LEFT_OUT}")
    return decoded


def _from_format_1(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record in which what smooths heatmaps is one parameter."""
    parameters = dict(record["parameters"])
    names = {
        "size": "smoothing",
        "filter": "smoothing_filter",
        "mode": "smoothing_mode",
        "interpolation": "interpolation",
    }
    values = {name: parameters.pop(old) for name, old in names.items() if old in parameters}
    defaults = Smoothing().get_params()
    plain = all(value == defaults[name] for name, value in values.items() if name != "size")
    smoothing = values["size"] if plain else values
    return record | {"parameters": parameters | {"smoothing": smoothing}}


def _make_detector(record: dict[str, Any], arrays: dict[str, NDArray], weights: Any) -> PaDiM:
    detector = PaDiM(**_decode_parameters(record["parameters"], weights))
    detector._validate_params()
    _check_embedder(detector.embedder)
    detector.grid_shape_ = grid = tuple(_integers(record["grid_shape_"], at_least=1))
    embedder = _decode(record["embedder_"], "embedder", weights)
    _check_embedder(embedder)
    if isinstance(embedder, str):
        detector.n_features_in_ = _integers([record["n_features_in_"]], at_least=1)[0]
        embedder = Passthrough(grid, detector.n_features_in_)
    detector.embedder_ = embedder
    smoothing = Smoothing.of(detector.smoothing)
    if smoothing.size > _MAX_SMOOTHING:
        raise ValueError(f"it smooths heatmaps by {smoothing.size} pixels")
    detector.n_samples_seen_ = _integers([record["n_samples_seen_"]], at_least=1)[0]
    parameters = _decode_parameters(record["stream_parameters"], weights)
    # A parameter that is younger than the file had what is its default.
    kind = PatchEmbedder() if isinstance(detector.embedder, PatchEmbedder) else detector.embedder
    detector._stream_parameters = PaDiM(embedder=kind)._get_stream_parameters() | parameters
    if isinstance(detector.embedder_, PatchEmbedder):
        detector.weights_hash_ = _text(record["weights_hash_"])
        size = detector.embedder_.input_size
        if len(grid) != 2 or any(
            cells < ceil(pixels / _MAX_STRIDE) for cells, pixels in zip(grid, size, strict=True)
        ):
            raise ValueError(f"images of {size} pixels do not belong to a grid of {grid}")
        if prod(check_size(detector.embedder_.image_size, "image_size")) > _MAX_PIXELS:
            raise ValueError(f"it brings images to {detector.embedder_.image_size} pixels")
    elif "feature_names_in_" in record:
        names = [_text(name) for name in record["feature_names_in_"]]
        if len(names) != detector.n_features_in_:
            raise ValueError("it does not name all features")
        detector.feature_names_in_ = np.array(names, dtype=object)
    detector.gaussian_ = _make_gaussian(dict(record["gaussian_"]), arrays, prod(grid))
    n_dimensions = detector.gaussian_.n_features_in_
    detector.components_ = detector.gaussian_.components_
    if "components" in arrays:
        components = _array(arrays, "components", (n_dimensions,), ("int64",)).astype(np.intp)
        n_available = getattr(detector, "n_features_in_", np.iinfo(np.intp).max)
        if components.min() < 0 or components.max() >= n_available:
            raise ValueError("it selects dimensions that there are not")
        detector.components_ = components
    elif n_dimensions != getattr(detector, "n_features_in_", n_dimensions):
        raise ValueError("it does not select dimensions, but has less than there are")
    if "training_images" in record:
        detector._training_images = TrainingImages.of_record(record["training_images"])
    if "known_hashes" in arrays:
        hashes = _array(arrays, "known_hashes", (None,), ("int64",))
        detector._known_hashes = hashes.view(np.uint64)
    if "offset_" in record:
        offset = record["offset_"]
        if not isinstance(offset, float | int) or isnan(offset):
            raise ValueError(f"its threshold is {offset!r}")
        detector.offset_ = offset
        # Not there if the user has set a threshold after partial_fit.
        if "calibration_scores" in arrays:
            shape = (None,)
            scores = _array(arrays, "calibration_scores", shape, ("float64",))
            detector.calibration_scores_ = scores
    return detector


def _check_embedder(embedder: Any) -> None:
    if isinstance(embedder, PatchEmbedder):
        embedder._check_parameters()
        _text(embedder.backbone)
    else:
        _text(embedder)


def _make_gaussian(
    record: dict[str, Any], arrays: dict[str, NDArray], n_positions: int
) -> PatchGaussian:
    gaussian = PatchGaussian(**_decode_parameters(record["parameters"], None))
    gaussian._validate_params()
    parameters = _decode_parameters(record["stream_parameters"], None)
    gaussian._stream_parameters = PatchGaussian()._get_stream_parameters() | parameters
    gaussian._seed = _integers([record["seed"]], at_least=0)[0]
    sizes = _integers([record["n_features_in_"], record["n_samples_seen_"]], at_least=1)
    gaussian.n_features_in_, gaussian.n_samples_seen_ = n_features, _ = sizes
    gaussian.grid_shape_ = (n_positions,)

    def take(name: str, shape: tuple[int | None, ...], dtypes: tuple[str, ...]) -> NDArray:
        return _array(arrays, f"gaussian.{name}", shape, dtypes)

    gaussian.location_ = take("location_", (n_positions, None), _FLOATS)
    floats = (gaussian.location_.dtype.name,)
    n_left = gaussian.location_.shape[1]
    gaussian.components_ = None
    if "gaussian.components_" in arrays:
        gaussian.components_ = take("components_", (n_left, n_features), _FLOATS)
    elif n_left != n_features:
        raise ValueError(f"it is of {n_left} dimensions, not of {n_features}")
    if "gaussian.factor_" in arrays:
        gaussian.eigenvalues_ = gaussian.factor_units_ = None
        shape: tuple[int | None, ...] = (n_positions, count_entries(n_left))
        if "gaussian.eigenvalues_" in arrays:
            gaussian.eigenvalues_ = take("eigenvalues_", (n_positions, None), floats)
            shape = (n_positions, gaussian.eigenvalues_.shape[1], n_left)
        compact = "gaussian.factor_units_" in arrays
        if compact:
            gaussian.factor_units_ = take("factor_units_", (n_positions, n_left), floats)
        gaussian.factor_ = take("factor_", shape, ("int16",) if compact else floats)
        gaussian.ridge_ = take("ridge_", (n_left,), ("float64",))
    if "moments" in record:
        gaussian._moments = _make_moments(dict(record["moments"]), arrays, gaussian)
        gaussian._moments_components = None
    return gaussian


def _make_moments(
    record: dict[str, Any], arrays: dict[str, NDArray], gaussian: PatchGaussian
) -> PatchMoments:
    moments = PatchMoments()
    n_positions, n_dimensions = len(gaussian.location_), gaussian.n_features_in_
    moments.n_samples = _integers([record["n_samples"]], at_least=1)[0]
    moments._dtype = gaussian.location_.dtype.name
    shapes: dict[str, tuple[tuple[int | None, ...], tuple[str, ...]]] = {
        "mean": ((n_positions, n_dimensions), ("float64",)),
        "root": ((n_positions, moments.n_samples - 1, n_dimensions), (moments._dtype,)),
        "scatter": ((n_positions, n_dimensions * (n_dimensions + 1) // 2), ("float64",)),
    }
    state = {**vars(moments), "root": None, "scatter": None}
    for name, (shape, dtypes) in shapes.items():
        if f"moments.{name}" in arrays:
            # They are written into when more samples join.
            state[name] = _array(arrays, f"moments.{name}", shape, dtypes).copy()
    if "mean" not in state or (state["root"] is None) == (state["scatter"] is None):
        raise ValueError("its moments are incomplete")
    moments.__setstate__(state)
    return moments


def _array(
    arrays: dict[str, NDArray], name: str, shape: tuple[int | None, ...], dtypes: tuple[str, ...]
) -> NDArray:
    """Take an array that must have a shape, in which None is any length, and a dtype."""
    if name not in arrays:
        raise ValueError(f"it has no {name}")
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
        wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.name not in dtypes:
        wanted_shape = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(
            f"{name} is {array.dtype.name} of shape {array.shape}, not {' or '.join(dtypes)} of "
            f"shape ({wanted_shape})"
        )
    return array


def _integers(values: Any, at_least: int) -> list[int]:
    for value in values:
        if type(value) is not int or not at_least <= value < 2**63:
            raise ValueError(f"{value!r} is where a number from {at_least} on must be")
    return list(values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is where a name must be")
    return value
