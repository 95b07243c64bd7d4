"""Files of ONNX and of OpenVINO, and what neither can hold."""

import logging
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skpadim._estimators import shallow_copy
from skpadim._files import check_new_file, new_file
from skpadim._padim import PaDiM
from skpadim._threshold import check_calibrated
from skpadim.embedding import PatchEmbedder
from skpadim.export._graph import NETWORK, describe, image_size_of, import_onnx, to_onnx
from skpadim.images import ImageSequence, iter_batches

# Protocol buffers end there.
_MAX_BYTES = 2**31 - 2**20

# All that a graph takes into account, or that makes no difference to it. What is not here is new,
# and refused unless it has its default.
_KNOWN_PARAMETERS = {
    PaDiM: {
        *("embedder", "n_components", "reduction", "reg_covar", "reg_relative", "compact"),
        *("smoothing", "contamination", "false_alarm_rate"),
        *("memory", "n_jobs", "random_state", "verbose"),
    },
    PatchEmbedder: {
        *("backbone", "layers", "grid_stride", "neighborhood", "alignment"),
        *("image_size", "resample", "crop_size", "jpeg_draft", "weights"),
        *("device", "engine", "precision", "batch_size", "random_state", "verbose"),
    },
}


def export_onnx(
    detector: PaDiM,
    path: str | os.PathLike[str],
    *,
    resize: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a fitted detector as one ONNX graph, from images to decisions.

    The graph holds the network, the Gaussians, the reduction, interpolation, smoothing and the
    threshold. What runs it needs neither skpadim nor torch nor Python.

    Parameters
    ----------
    detector : PaDiM
        A fitted detector that has a threshold.
    path : str or os.PathLike
        The file to write, commonly called ``*.onnx``.
    resize : bool, default=False
        Whether the graph takes images of any size and resizes them itself, antialiased and bicubic.
        Otherwise they must have the size ``image_size`` of the embedder.
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
    ImportError
        If onnx is not installed.
    OSError
        If `path` is a folder, lies in a folder that does not exist, or cannot be written. A file
        that was there is left as it was.
    sklearn.exceptions.NotFittedError
        If `detector` is not fitted, or has no threshold.
    TypeError
        If `detector` is no PaDiM.
    ValueError
        If no graph can be made of the detector, which is told before any work: it computes in
        bfloat16, it was fitted with an option that graphs do not know, the file would be larger
        than the 2 GiB that the format allows, or `resize` is asked for and it takes embeddings, or
        images by another filter.
        If torch cannot export the backbone.

    See Also
    --------
    skpadim.export_openvino : The same for OpenVINO, also with smaller weights.
    skpadim.save : A detector for skpadim itself.

    Notes
    -----
    The input is "images", uint8 RGB of shape (n, height, width, 3), for any n; or "embeddings" of
    the shape and dtype that the detector was fitted on, where that is what it takes.

    The outputs are "score", float32 of shape (n,), as `score_samples` has them; "heatmap", float32
    of shape (n, height, width); and "decision", int64 of shape (n,), which is +1 for good and -1
    for defective images. A decision is +1 where the score is at least "threshold", a constant of
    the graph: `offset_`, rounded up to float32, so that decisions are those of `predict` for equal
    scores. A distance that is no number, or larger than 1e30, counts as 1e30: heatmaps and scores
    are finite, and where a score is not a number, the decision is -1.

    The operators are those of opset 18. The metadata of the file tell the version of skpadim, the
    backbone and the hash of its weights, and what goes in and out.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import onnxruntime
    >>> import skpadim
    >>> from skpadim.datasets import make_inspection_images
    >>> parts = make_inspection_images(22, 2, image_size=128, random_state=0)
    >>> detector = skpadim.PaDiM().fit(parts.images[:20])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = skpadim.export_onnx(detector, Path(folder, "flange.onnx"), resize=True)
    ...     session = onnxruntime.InferenceSession(path)
    >>> score, heatmap, decision = session.run(None, {"images": parts.images[20:]})
    >>> decision.tolist()
    [1, 1, -1, -1]
    >>> heatmap.shape
    (4, 224, 224)
    """
    path = Path(path)
    check_new_file(path, overwrite=overwrite)
    detector = _exportable(detector, resize)
    with new_file(path, overwrite=overwrite) as unfinished:
        unfinished.write_bytes(to_onnx(detector, resize).SerializeToString())
    return path


def export_openvino(
    detector: PaDiM,
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    calibration_images: Any = None,
    resize: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a fitted detector as one graph of OpenVINO, from images to decisions.

    The graph is that of :func:`~skpadim.export_onnx`.

    Parameters
    ----------
    detector : PaDiM
        A fitted detector that has a threshold.
    path : str or os.PathLike
        The file to write, ``*.xml``. What it weighs is in a second file beside it, ``*.bin``.
    precision : {"float32", "float16", "int8"}, default="float32"
        "float16" halves both files: weights of the network are float16, factors of the Gaussians
        integers of 16 bits, and computations are as before. "int8" does the same to the Gaussians
        and lets NNCF [1]_ quantise the network, which then computes in 8 bits.
    calibration_images : images or None, default=None
        Good images, some forty of those that the detector was fitted on: NNCF takes the ranges and
        means of activations from them. Only, and necessarily, with "int8".
    resize : bool, default=False
        Whether the graph takes images of any size and resizes them itself, antialiased and bicubic.
        Otherwise they must have the size ``image_size`` of the embedder.
    overwrite : bool, default=False
        Whether to replace a file that exists.

    Returns
    -------
    pathlib.Path
        The file ``*.xml`` that was written.

    Raises
    ------
    FileExistsError
        If `path` or the file beside it exists and `overwrite` is False.
    ImportError
        If onnx or OpenVINO is not installed, or NNCF for "int8".
    OSError
        If `path` is a folder, lies in a folder that does not exist, or cannot be written. Files
        that were there are left as they were.
    sklearn.exceptions.NotFittedError
        If `detector` is not fitted, or has no threshold.
    TypeError
        If `detector` is no PaDiM, or if `calibration_images` are no images.
    ValueError
        As in :func:`~skpadim.export_onnx`, or if `path` does not end in ".xml", if `precision` is
        none of the three, or if `calibration_images` and `precision` do not go together.

    See Also
    --------
    skpadim.export_onnx : The same for other runtimes; tells what goes in and out.

    Notes
    -----
    Quantised scores differ from those that the threshold was chosen from. The guide to exports has
    measured what that does to decisions.

    References
    ----------
    .. [1] https://github.com/openvinotoolkit/nncf

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import openvino
    >>> import skpadim
    >>> from skpadim.datasets import make_inspection_images
    >>> parts = make_inspection_images(22, 2, image_size=128, random_state=0)
    >>> detector = skpadim.PaDiM().fit(parts.images[:20])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = skpadim.export_openvino(detector, Path(folder, "flange.xml"), resize=True)
    ...     model = openvino.compile_model(path, "CPU")
    >>> model(parts.images[20:])["decision"].tolist()
    [1, 1, -1, -1]
    """
    path = Path(path)
    if path.suffix != ".xml":
        raise ValueError(
            f"path={str(path)!r} must end in '.xml': OpenVINO knows its files by that."
        )
    for file in (path, path.with_suffix(".bin")):
        check_new_file(file, overwrite=overwrite)
    detector = _exportable(detector, resize)
    _check_precision(detector, precision, calibration_images)
    openvino = _import_runtime("openvino", precision)
    if precision == "int8":
        _import_runtime("nncf", precision)
        calibration_images = ImageSequence(calibration_images).strict()
    with (
        new_file(path, overwrite=overwrite) as graph,
        new_file(path.with_suffix(".bin"), overwrite=overwrite) as weights,
    ):
        onnx_model = to_onnx(detector, precision=precision)
        model = openvino.Core().read_model(onnx_model.SerializeToString())
        if precision == "int8":
            _quantise(model, detector.embedder_, calibration_images)
        if resize:
            model = _with_resize(model)
        # Not those of the ONNX model, which does not resize.
        for key, value in describe(detector, resize).items():
            model.set_rt_info(value, ["skpadim", key])
        # It takes no other endings.
        openvino.serialize(model, graph.with_suffix(".xml"), weights.with_suffix(".bin"))
        os.replace(graph.with_suffix(".xml"), graph)
        os.replace(weights.with_suffix(".bin"), weights)
    return path


def _exportable(detector: Any, resize: bool) -> PaDiM:
    """Return a detector as it is now; refuse, before any work, what no graph can be made of."""
    if not isinstance(detector, PaDiM):
        raise TypeError(
            f"detector has type {type(detector).__name__}; only a fitted PaDiM can be exported."
        )
    detector = shallow_copy(detector)
    check_is_fitted(detector, "gaussian_")
    check_calibrated(detector)
    import_onnx()
    _check_parameters(detector)
    if isinstance(detector.embedder_, PatchEmbedder):
        _check_parameters(detector.embedder_)
        if detector.embedder_.precision != "float32":
            raise ValueError(
                f"precision={detector.embedder_.precision!r} cannot be exported: graphs compute in "
                "float32, and their scores are not quite those that the threshold was chosen from. "
                "Fit the detector with precision='float32'."
            )
        if resize and detector.embedder_.resample != "bicubic":
            raise ValueError(
                f"resize=True has a bicubic filter, but resample={detector.embedder_.resample!r}: "
                "export with resize=False, or fit the detector with resample='bicubic'."
            )
    elif resize:
        raise ValueError("resize=True needs images, but this detector takes embeddings.")
    _check_size(detector)
    return detector


def _check_parameters(estimator: BaseEstimator) -> None:
    kind = PaDiM if isinstance(estimator, PaDiM) else PatchEmbedder
    defaults = kind().get_params(deep=False)
    for name, value in estimator.get_params(deep=False).items():
        if name not in _KNOWN_PARAMETERS[kind] and repr(value) != repr(defaults.get(name)):
            raise ValueError(
                f"{name}={value!r} of {type(estimator).__name__} cannot be exported: no graph is "
                "known that does the same. Fit the detector without it."
            )


def _check_size(detector: PaDiM) -> None:
    gaussian = detector.gaussian_
    n_bytes = gaussian.factor_.nbytes + gaussian.location_.nbytes
    if isinstance(detector.embedder_, PatchEmbedder):
        network = detector._embedder_in_use()._extractor().network
        n_bytes += sum(tensor.nbytes for tensor in network.state_dict().values())
    if n_bytes > _MAX_BYTES:
        raise ValueError(
            f"the graph would take {n_bytes / 2**30:.1f} GiB, and files of ONNX end at 2: fit the "
            "detector with compact=True, fewer n_components or a larger grid_stride."
        )


def _check_precision(detector: PaDiM, precision: str, calibration_images: Any) -> None:
    if precision not in ("float32", "float16", "int8"):
        raise ValueError(f"precision={precision!r} must be 'float32', 'float16' or 'int8'.")
    if precision != "int8":
        if calibration_images is not None:
            raise ValueError(
                f"calibration_images are for precision='int8', but precision={precision!r}."
            )
        return
    if not isinstance(detector.embedder_, PatchEmbedder):
        raise ValueError(
            "precision='int8' quantises a network, but this detector takes embeddings."
        )
    if calibration_images is None:
        raise ValueError(
            "precision='int8' needs calibration_images: give good images, some forty of those "
            "that the detector was fitted on."
        )


def _import_runtime(name: str, precision: str) -> Any:
    from skpadim.embedding._engines import import_without_telemetry

    try:
        return import_without_telemetry(name)
    except ImportError as error:
        extra = "int8" if precision == "int8" else "onnx,openvino"
        raise ImportError(f"this export needs {name}: pip install 'skpadim[{extra}]'.") from error


def _quantise(model: Any, embedder: Any, images: Any) -> None:
    """Let NNCF quantise the network, which it is shown alone."""
    import nncf
    import openvino
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    from openvino.passes import ConstantFolding, Manager

    from skpadim.embedding._onnx import map_names

    outputs = {
        name: output
        for node in model.get_ops()
        for output in node.outputs()
        for name in output.names
    }
    (given,) = model.get_parameters()
    maps = [outputs[name] for name in map_names(embedder._extractor(), NETWORK)]
    network = openvino.Model(maps, [given]).clone()  # NNCF would find those behind the maps
    # Where the network computes the sizes of its maps, NNCF would quantise them.
    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(network)
    sized = iter_batches(images, image_size_of(embedder), batch_size=1, resample=embedder.resample)
    pixels = list(sized)
    log = logging.getLogger("nncf")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        # Its bars are not what a command has to say.
        with redirect_stdout(sys.stderr):
            quantised = nncf.quantize(
                network,
                nncf.Dataset(pixels),
                subset_size=len(pixels),
                # The quick way leaves the mean of each channel off, which distances tell at once.
                fast_bias_correction=False,
                # Processors without VNNI add products up in 16 bits, which weights of 8 bits
                # overflow: those of 7 bits decide alike everywhere.
                advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
            )
    finally:
        log.setLevel(level)
    for features, result in zip(maps, quantised.get_results(), strict=True):
        features.replace(result.input_value(0))
    quantised.get_parameters()[0].output(0).replace(given.output(0))
    model.validate_nodes_and_infer_types()


def _with_resize(model: Any) -> Any:
    """Let a graph take images of any size, which OpenVINO resizes as Pillow does."""
    from openvino import Layout
    from openvino.preprocess import PrePostProcessor, ResizeAlgorithm

    steps = PrePostProcessor(model)
    steps.input().tensor().set_layout(Layout("NHWC")).set_spatial_dynamic_shape()
    steps.input().model().set_layout(Layout("NHWC"))
    steps.input().preprocess().resize(ResizeAlgorithm.RESIZE_BICUBIC_PILLOW)
    return steps.build()
