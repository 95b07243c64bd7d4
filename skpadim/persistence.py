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
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skpadim._estimators import shallow_copy
from skpadim._files import check_new_file, new_file
from skpadim._model_files import FORMAT, checksum, parse_header, read_model_file, refusal
from skpadim._padim import PaDiM
from skpadim._sizes import check_size
from skpadim._threshold import check_calibrated
from skpadim._training_images import TrainingImages
from skpadim.embedding import Passthrough, PatchEmbedder
from skpadim.embedding._passthrough import DEFAULT_STRIDE
from skpadim.gaussian import PatchGaussian, PatchMoments
from skpadim.gaussian._triangles import count_entries
from skpadim.heatmaps import Smoothing

__all__ = ["load", "save"]

# torchvision is an extra.
_PACKAGES = ("skpadim", "numpy", "pillow", "scikit-learn", "torch", "torchvision")

# What is of a machine and a run, and what no file may command: joblib.Memory reads pickles from the
# folder that `memory` names, and the others say how much of a machine is taken.
_LEFT_OUT = ("memory", "n_jobs", "verbose", "batch_size")

_FLOATS = ("float32", "float64")

# Names of Lite networks, of torchvision and timm: no path and no address looks like that.
_BACKBONE = re.compile(r"(timm/)?[\w.-]+", re.ASCII)

# Limits to what a file may ask of the machine that uses it. Images have so many pixels for each
# Gaussian, which cannot be claimed, or so many in any case.
_PIXELS_PER_POSITION = 128**2
_FREE_PIXELS = 2**20
_MAX_SIDE = 2**14
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
        If `detector` is not fitted, or if it is one that :func:`~skpadim.load` would refuse: of a
        threshold that is not finite, say, or of a parameter that was set to an invalid value.

    See Also
    --------
    skpadim.load : Reads the file.

    Notes
    -----
    The format is that of safetensors, with parameters as JSON in its header and a SHA-256 of it
    all. The file appears when it is complete.

    The parameters `memory`, `n_jobs`, `verbose` and `batch_size` are not saved, since they belong
    to a machine, nor is a RandomState: what it has drawn is.

    A file that is replaced keeps its mode, and a link stays a link: the file that it leads to is
    replaced. Devices and pipes are refused.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import skpadim
    >>> from skpadim.datasets import make_inspection_images
    >>> parts = make_inspection_images(22, 2, image_size=128, random_state=0)
    >>> detector = skpadim.PaDiM().fit(parts.images[:20])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = skpadim.save(detector, Path(folder, "flange.skpadim"))
    ...     restored = skpadim.load(path)
    ...     restored.predict(parts.images[20:])
    array([ 1,  1, -1, -1])
    """
    if not isinstance(detector, PaDiM):
        raise TypeError(
            f"detector has type {type(detector).__name__}; it must be a fitted PaDiM. For other "
            "estimators and pipelines there are joblib and skops."
        )
    detector = shallow_copy(detector)
    check_is_fitted(detector, "gaussian_")
    if hasattr(detector, "offset_"):
        check_calibrated(detector)
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
    try:
        _make_detector(parse_header(text)["detector"], arrays, weights="imagenet")
    except Exception as error:
        raise ValueError(
            f"detector cannot be saved, since load would refuse the file: {error}."
        ) from error
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with new_file(path, overwrite=overwrite) as unfinished:
        try:
            save_file(arrays, unfinished, {"skpadim": text, "sha256": checksum(text, arrays)})
        except SafetensorError as error:
            raise OSError(f"path={str(path)!r} cannot be written: {error}") from error
    return path


def load(
    path: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    mmap: bool = True,
) -> PaDiM:
    """Read a detector that :func:`~skpadim.save` has written.

    No code of the file is run, and nothing is downloaded, now or later, unless `weights` asks for
    it.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    weights : str, os.PathLike or None, default=None
        File with the backbone's weights. Needed where the detector was fitted with weights from a
        file, and where the published ones are not on this machine. "imagenet" has the latter
        downloaded at the first image. The hash of the weights is checked in any case.
    mmap : bool, default=True
        Whether the arrays stay in the file and are mapped, so that they are read when they are
        needed and processes share them. The file may then be replaced, as `save` does, but not
        written into while the detector is in use, as ``cp new.skpadim old.skpadim`` does: that can
        end the process, or mix two models. With False the arrays are read at once, and nothing that
        happens to the file matters afterwards.

    Returns
    -------
    PaDiM
        The detector. Its network is built at the first image.

    Raises
    ------
    FileNotFoundError
        If there is no such file. At the first image, if the published weights of the backbone are
        not on this machine.
    ValueError
        If the file is not a detector's, is damaged or incomplete, contradicts itself, has numbers
        out of their range, or is of a newer format; or if `weights` are needed.

    See Also
    --------
    skpadim.save : Writes the file, and shows how to use both.
    """
    header, arrays = read_model_file(Path(path), mmap)
    try:
        record = header.detector
        if header.format < 2:
            record = _from_format_1(record)
        if header.format < 3:
            record = _from_format_2(record)
        detector = _make_detector(record, arrays, weights)
    except _WeightsNeeded as error:
        raise ValueError(
            f"the detector in {os.fspath(path)!r} was fitted with weights from a file, "
            f"{error}: say where that is, weights='path/to/file'. Its hash is checked."
        ) from None
    except Exception as error:
        # What no detector has written can fail wherever it happens to stumble.
        raise refusal(path, f"{type(error).__name__}: {error}") from error
    if isinstance(detector.embedder_, PatchEmbedder):
        detector.embedder_._downloads = weights == "imagenet"
    return detector


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
    for name in ("grid_shape_", "n_samples_seen_", "weights_hash_", "n_features_in_"):
        if hasattr(detector, name):
            record[name] = _encode(getattr(detector, name), name)
    if hasattr(detector, "offset_"):
        record["offset_"], choice = detector._threshold()
        if choice is not None:
            record["threshold"] = _encode_parameters(choice._asdict())
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
        if not _is_left_out(name)
    }


def _is_left_out(name: str) -> bool:
    return name.rpartition("__")[2] in _LEFT_OUT


def _encode(value: Any, name: str) -> Any:
    """Turn a parameter or attribute into what JSON has."""
    if name == "weights" and value not in ("imagenet", None):
        # Not the path, which is of one machine: a file might name what is none of its business.
        return {"file": Path(value).name}
    if isinstance(value, dict):
        return _encode_parameters(value)
    if isinstance(value, PatchEmbedder | Passthrough | Smoothing):
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
                raise _WeightsNeeded(repr(value["file"]))
            return weights
        if name == "smoothing":
            return Smoothing(**_decode_parameters(value, weights))
        if name != "embedder":
            raise ValueError(f"{name} cannot have parameters of its own")
        embedder = Passthrough if "stride" in value else PatchEmbedder
        return embedder(**_decode_parameters(value, weights))
    if name.endswith("weights") and value not in ("imagenet", None):
        raise ValueError("it names a file of weights by its path, which is its user's to say")
    return value


def _decode_parameters(parameters: dict[str, Any], weights: Any) -> dict[str, Any]:
    decoded = {name: _decode(value, name, weights) for name, value in parameters.items()}
    for name in ("weights", "embedder__weights"):
        if weights is not None and name in decoded:
            decoded[name] = weights
    if any(map(_is_left_out, decoded)):
        raise ValueError(f"it must not set any of {', '.join(_LEFT_OUT)}")
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


def _from_format_2(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record in which cells have a stride, and nothing commands the machine."""

    def converted(name: str, value: Any) -> Any:
        if name.startswith("embedder") and value == "passthrough":
            return {"stride": 1}
        if isinstance(value, dict):
            return {
                inner: converted(inner, part)
                for inner, part in value.items()
                if inner not in ("n_jobs", "verbose", "batch_size")
            }
        return value

    stream = record["stream_parameters"]
    if stream["embedder"] == "passthrough":
        stream = stream | {"embedder": "Passthrough", "embedder__stride": 1}
    return converted("", record) | {"stream_parameters": stream}


def _make_detector(record: dict[str, Any], arrays: dict[str, NDArray], weights: Any) -> PaDiM:
    detector = PaDiM(**_decode_parameters(record["parameters"], weights))
    detector._validate_params()
    if Smoothing.of(detector.smoothing).size > _MAX_SMOOTHING:
        raise ValueError(f"it smooths heatmaps by more than {_MAX_SMOOTHING} pixels")
    if isinstance(detector.embedder, str):
        _check_backbone(detector.embedder)
    else:
        _check_embedder(detector.embedder)
    detector.grid_shape_ = grid = tuple(_integers(record["grid_shape_"], at_least=1))
    detector.gaussian_ = gaussian = _make_gaussian(record["gaussian_"], arrays, prod(grid))
    detector.n_samples_seen_ = gaussian.n_samples_seen_
    if record["n_samples_seen_"] != gaussian.n_samples_seen_:
        raise ValueError("it contradicts itself on the number of its samples")
    parameters = _decode_parameters(record["stream_parameters"], weights)
    # A parameter that is younger than the file had what is its default.
    kind = PatchEmbedder() if isinstance(detector.embedder, PatchEmbedder) else detector.embedder
    detector._stream_parameters = PaDiM(embedder=kind)._get_stream_parameters() | parameters
    detector.embedder_ = embedder = _decode(record["embedder_"], "embedder", weights)
    _check_embedder(embedder)
    if isinstance(embedder, PatchEmbedder):
        detector.weights_hash_ = _text(record["weights_hash_"])
        _check_grid(grid, embedder)
        n_available = np.iinfo(np.intp).max  # known when the network is built
        n_embedded = gaussian.n_features_in_
    else:
        if len(grid) > 2:
            raise ValueError(f"its grid has the shape {grid}")
        n_available = n_embedded = _integers([record["n_features_in_"]], at_least=1)[0]
        detector.n_features_in_ = n_available
        embedder.fit(np.empty((0, *grid, n_available)))
        if "feature_names_in_" in record:
            names = [_text(name) for name in record["feature_names_in_"]]
            if len(names) != n_available:
                raise ValueError("it does not name all features")
            detector.feature_names_in_ = np.array(names, dtype=object)
    _check_image_size(embedder, prod(grid))
    detector.components_ = gaussian.components_
    if "components" in arrays:
        components = _array(arrays, "components", (gaussian.n_features_in_,), ("int64",))
        if components.min() < 0 or components.max() >= n_available:
            raise ValueError("it selects dimensions that there are not")
        if len(np.unique(components)) < len(components):
            raise ValueError("it selects a dimension twice")
        detector.components_ = components.astype(np.intp)
    elif gaussian.n_features_in_ != n_embedded:
        raise ValueError("it does not select dimensions, but has less than there are")
    if "training_images" in record:
        detector._training_images = TrainingImages.of_record(record["training_images"])
    if "known_hashes" in arrays:
        hashes = _array(arrays, "known_hashes", (None,), ("int64",))
        detector._known_hashes = hashes.view(np.uint64)
    if "offset_" in record:
        offset = record["offset_"]
        if type(offset) not in (float, int):
            raise ValueError(f"its threshold is {offset!r}")
        # Not there if the user has set a threshold after partial_fit.
        if "calibration_scores" in arrays:
            scores = _array(arrays, "calibration_scores", (None,), ("float64",))
            if len(scores) == 0:
                raise ValueError("its threshold was chosen from no scores")
            detector.calibration_scores_ = scores
        detector._restore_threshold(float(offset), record.get("threshold"))
    return detector


def _check_backbone(name: Any) -> None:
    """Refuse what is no name from a list: those of networks, which are looked up when used."""
    if not _BACKBONE.fullmatch(_text(name)):
        raise ValueError(f"{name!r} is where the name of a backbone must be")


def _check_embedder(embedder: Any) -> None:
    if isinstance(embedder, PatchEmbedder):
        embedder._check_parameters()
        _check_backbone(embedder.backbone)
    elif isinstance(embedder, Passthrough):
        embedder._validate_params()
        check_size(embedder.stride, "stride")
    else:
        raise TypeError(f"{embedder!r} is where an embedder must be")


def _check_grid(grid: tuple[int, ...], embedder: PatchEmbedder) -> None:
    """Refuse a grid other than the embedder's, as far as that is known without its network."""
    stride = embedder.grid_stride or DEFAULT_STRIDE
    finest = tuple(ceil(side / stride) for side in embedder.input_size)
    # By default the grid is that of the network's maps where these are coarser.
    coarser = len(grid) == 2 and all(
        cells <= most for cells, most in zip(grid, finest, strict=True)
    )
    if grid != finest and (embedder.grid_stride is not None or not coarser):
        raise ValueError(f"images of {embedder.input_size} pixels have no grid of {grid}")
    if embedder.neighborhood > max(embedder.input_size):
        raise ValueError(f"neighborhood={embedder.neighborhood} is larger than its images")


def _check_image_size(embedder: PatchEmbedder | Passthrough, n_positions: int) -> None:
    height, width = check_size(embedder.image_size, "image_size")
    most = max(_FREE_PIXELS, n_positions * _PIXELS_PER_POSITION)
    if height * width > most or max(height, width) > _MAX_SIDE:
        raise ValueError(
            f"images of {height} x {width} pixels are too large for {n_positions} positions"
        )


def _make_gaussian(
    record: dict[str, Any], arrays: dict[str, NDArray], n_positions: int
) -> PatchGaussian:
    gaussian = PatchGaussian(**_decode_parameters(record["parameters"], None))
    gaussian._validate_params()
    parameters = _decode_parameters(record["stream_parameters"], None)
    gaussian._stream_parameters = PatchGaussian()._get_stream_parameters() | parameters
    (gaussian._seed,) = _integers([record["seed"]], at_least=0, below=2**32)
    sizes = _integers([record["n_features_in_"], record["n_samples_seen_"]], at_least=1)
    gaussian.n_features_in_, gaussian.n_samples_seen_ = n_features, n_samples = sizes
    gaussian.grid_shape_ = (n_positions,)

    def take(
        name: str, shape: tuple[int | None, ...], dtypes: tuple[str, ...], **limits: float
    ) -> NDArray:
        return _array(arrays, f"gaussian.{name}", shape, dtypes, **limits)

    gaussian.location_ = take("location_", (n_positions, None), _FLOATS)
    floats = (gaussian.location_.dtype.name,)
    n_left = gaussian.location_.shape[1]
    if n_left == 0:
        raise ValueError("it is of no dimensions")
    gaussian.components_ = None
    if "gaussian.components_" in arrays:
        gaussian.components_ = take("components_", (n_left, n_features), _FLOATS)
    elif n_left != n_features:
        raise ValueError(f"it is of {n_left} dimensions, not of {n_features}")
    if n_samples > 1:  # one has no covariance
        gaussian.eigenvalues_ = gaussian.factor_units_ = None
        shape: tuple[int | None, ...] = (n_positions, count_entries(n_left))
        if "gaussian.eigenvalues_" in arrays:
            rank = n_samples - 1
            eigenvalues = take("eigenvalues_", (n_positions, rank), floats, least=0)
            gaussian.eigenvalues_ = eigenvalues
            shape = (n_positions, rank, n_left)
        if "gaussian.factor_units_" in arrays:
            units = take("factor_units_", (n_positions, n_left), floats, above=0)
            gaussian.factor_units_ = units
            gaussian.factor_ = take("factor_", shape, ("int16",))
        else:
            gaussian.factor_ = take("factor_", shape, floats)
        # Only the low-rank form needs a ridge.
        limit = {"least": 0} if gaussian.eigenvalues_ is None else {"above": 0}
        gaussian.ridge_ = take("ridge_", (n_left,), ("float64",), **limit)
        if gaussian.factor_units_ is None:  # integers may have lost what is small
            with np.errstate(all="ignore"):
                volumes = gaussian._factor.log_determinants()
            if not np.isfinite(volumes).all():
                raise ValueError("its factors are of no covariance")
    if "moments" in record:
        gaussian._moments = _make_moments(record["moments"], arrays, gaussian)
        gaussian._moments_components = None
    return gaussian


def _make_moments(
    record: dict[str, Any], arrays: dict[str, NDArray], gaussian: PatchGaussian
) -> PatchMoments:
    moments = PatchMoments()
    n_positions, n_dimensions = len(gaussian.location_), gaussian.n_features_in_
    (moments.n_samples,) = _integers([record["n_samples"]], at_least=1)
    if moments.n_samples != gaussian.n_samples_seen_:
        raise ValueError("its moments are of another number of samples")
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
    arrays: dict[str, NDArray],
    name: str,
    shape: tuple[int | None, ...],
    dtypes: tuple[str, ...],
    *,
    least: float | None = None,
    above: float | None = None,
) -> NDArray:
    """Take an array of finite numbers: of a shape, in which None is any length, dtype and range."""
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
    if not _is_finite(array):
        raise ValueError(f"{name} has numbers that are not finite")
    if (least is not None and array.min() < least) or (above is not None and array.min() <= above):
        raise ValueError(f"{name} has numbers as low as {array.min()}")
    return array


def _is_finite(array: NDArray) -> bool:
    # The sum is quick, but can overflow where no number has.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def _integers(values: Any, at_least: int, below: int = 2**63) -> list[int]:
    for value in values:
        if type(value) is not int or not at_least <= value < below:
            raise ValueError(f"{value!r} is where a number from {at_least} on must be")
    return list(values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is where a name must be")
    return value
