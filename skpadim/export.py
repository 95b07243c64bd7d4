"""Detectors as graphs that run without Python: ONNX and OpenVINO.

A graph is the whole way from pixels to decisions. Of the network, torch's exporter makes nodes; all
that follows is linear algebra on arrays that the fitted detector has, and is written down here.
"""

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skpadim._files import check_new_file, new_file
from skpadim._padim import PaDiM
from skpadim._sizes import Size, check_size
from skpadim._threshold import check_calibrated
from skpadim.embedding import PatchEmbedder
from skpadim.embedding._patch_embedder import _name
from skpadim.gaussian._factors import Factor
from skpadim.gaussian._triangles import blocks_of
from skpadim.heatmaps import Smoothing
from skpadim.images import ImageSequence, center_crop_slices, iter_batches

if TYPE_CHECKING:
    import onnx

__all__ = ["export_onnx", "export_openvino"]

# Resize antialiases and reductions take their axes as inputs from this one on; onnxruntime has it
# since 1.14, of early 2023.
_OPSET = 18
_IR_VERSION = 8

# What the names of all that belongs to the backbone begin with.
_NETWORK = "network/"
# And all else.
_OWN = "skpadim/"

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
    scores. Where a score is not a number, the decision is -1.

    The operators are those of opset 18. The metadata of the file tell the version of skpadim, the
    backbone and the hash of its weights, and what goes in and out.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import onnxruntime
    >>> import skpadim
    >>> from skpadim.datasets import make_inspection_images
    >>> parts = make_inspection_images(n_good=32, n_defective=2, random_state=0)
    >>> detector = skpadim.PaDiM().fit(parts.images[:30])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = skpadim.export_onnx(detector, Path(folder, "flange.onnx"), resize=True)
    ...     session = onnxruntime.InferenceSession(path)
    >>> score, heatmap, decision = session.run(None, {"images": parts.images[30:]})
    >>> decision.tolist()
    [1, 1, -1, -1]
    >>> heatmap.shape
    (4, 224, 224)
    """
    path = Path(path)
    check_new_file(path, overwrite=overwrite)
    _check_exportable(detector, resize)
    with new_file(path, overwrite=overwrite) as unfinished:
        unfinished.write_bytes(_to_onnx(detector, resize).SerializeToString())
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
    >>> parts = make_inspection_images(n_good=32, n_defective=2, random_state=0)
    >>> detector = skpadim.PaDiM().fit(parts.images[:30])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = skpadim.export_openvino(detector, Path(folder, "flange.xml"), resize=True)
    ...     model = openvino.compile_model(path, "CPU")
    >>> model(parts.images[30:])["decision"].tolist()
    [1, 1, -1, -1]
    """
    path = Path(path)
    if path.suffix != ".xml":
        raise ValueError(
            f"path={str(path)!r} must end in '.xml': OpenVINO knows its files by that."
        )
    for file in (path, path.with_suffix(".bin")):
        check_new_file(file, overwrite=overwrite)
    _check_exportable(detector, resize)
    _check_precision(detector, precision, calibration_images)
    openvino = _import_runtime("openvino", precision)
    if precision == "int8":
        _import_runtime("nncf", precision)
        calibration_images = ImageSequence(calibration_images)
    with (
        new_file(path, overwrite=overwrite) as graph,
        new_file(path.with_suffix(".bin"), overwrite=overwrite) as weights,
        TemporaryDirectory(prefix=".skpadim-", dir=path.parent) as folder,
    ):
        onnx_model = _to_onnx(detector, precision=precision)
        model = openvino.Core().read_model(onnx_model.SerializeToString())
        if precision == "int8":
            _quantise(model, detector.embedder_, calibration_images)
        if resize:
            model = _with_resize(model)
        # Not those of the ONNX model, which does not resize.
        for key, value in _metadata(detector, resize).items():
            model.set_rt_info(value, ["skpadim", key])
        openvino.serialize(model, Path(folder, "model.xml"))
        os.replace(Path(folder, "model.xml"), graph)
        os.replace(Path(folder, "model.bin"), weights)
    return path


def _check_exportable(detector: Any, resize: bool) -> None:
    """Refuse, before any work, what no graph can be made of."""
    if not isinstance(detector, PaDiM):
        raise TypeError(
            f"detector has type {type(detector).__name__}; only a fitted PaDiM can be exported."
        )
    check_is_fitted(detector, "gaussian_")
    check_calibrated(detector)
    _import_onnx()
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
    from openvino.passes import ConstantFolding, Manager

    from skpadim.embedding._onnx import map_names

    outputs = {
        name: output
        for node in model.get_ops()
        for output in node.outputs()
        for name in output.names
    }
    (given,) = model.get_parameters()
    maps = [outputs[name] for name in map_names(embedder._extractor(), _NETWORK)]
    network = openvino.Model(maps, [given]).clone()  # NNCF would find those behind the maps
    # Where the network computes the sizes of its maps, NNCF would quantise them.
    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(network)
    sized = iter_batches(images, _image_size(embedder), batch_size=1, resample=embedder.resample)
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


def _import_onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError("an export needs onnx: pip install 'skpadim[onnx]'.") from error
    return onnx


# Of what goes in or out: a dtype, and lengths of axes or names for those that may vary.
_Form: TypeAlias = tuple[Any, Sequence[int | str]]


class _Graph:
    """ONNX graph in the making, of nodes that are named as what they compute."""

    def __init__(self) -> None:
        self._onnx = _import_onnx()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._n_names = 0

    def constant(self, value: Any, name: str = "") -> str:
        """Add a constant, an array or a number of the dtype wanted."""
        name = name or self._new_name("constant")
        self.constants.append(
            self._onnx.numpy_helper.from_array(np.asarray(value, order="C"), name)
        )
        return name

    def integers(self, *values: int) -> str:
        """Add a constant for what takes axes, shapes and the like."""
        return self.constant(np.array(values, np.int64))

    def apply(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node of one output, and return the name of that."""
        name = name or self._new_name(operator)
        node = self._onnx.helper.make_node(operator, inputs, [name], name, **attributes)
        self.nodes.append(node)
        return name

    def cast(self, x: str, dtype: Any) -> str:
        """Convert to another dtype."""
        to = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.apply("Cast", x, to=to)

    def include(self, model: bytes, prefix: str, halve: bool) -> list[str]:
        """Add another graph, a prefix before all of its names, and return those of its outputs."""
        onnx = self._onnx
        added = onnx.compose.add_prefix(onnx.load_from_string(model), prefix).graph
        for tensor in added.initializer:
            value = onnx.numpy_helper.to_array(tensor)
            # Biases and such are few, and may need their digits.
            if halve and value.dtype == np.float32 and value.ndim > 1 and _fits_float16(value):
                stored = self.constant(value.astype(np.float16))
                self.nodes.append(onnx.helper.make_node("Cast", [stored], [tensor.name], to=1))
            else:
                self.constants.append(tensor)
        self.nodes.extend(added.node)
        return [output.name for output in added.output]

    def finish(
        self,
        inputs: dict[str, _Form],
        outputs: dict[str, _Form],
        metadata: dict[str, str],
    ) -> "onnx.ModelProto":
        """Make a model of it, with the dtypes and shapes of what goes in and out."""
        helper = self._onnx.helper

        def declare(values: dict[str, _Form]) -> list[Any]:
            return [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
                )
                for name, (dtype, shape) in values.items()
            ]

        graph = helper.make_graph(
            self.nodes, "skpadim", declare(inputs), declare(outputs), self.constants
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="skpadim",
            producer_version=version("skpadim"),
        )
        helper.set_model_props(model, metadata)
        return model

    def _new_name(self, kind: str) -> str:
        self._n_names += 1
        return f"{_OWN}{kind}_{self._n_names}"


def _fits_float16(value: NDArray) -> np.bool_:
    return np.abs(value).max() <= np.finfo(np.float16).max


def _to_onnx(
    detector: PaDiM, resize: bool = False, precision: str = "float32"
) -> "onnx.ModelProto":
    """Write a detector down as a graph; "int8" leaves the network to who quantises it."""
    graph = _Graph()
    gaussian = detector.gaussian_
    dtype = gaussian.location_.dtype
    # A projection is the Gaussian's.
    channels = detector.components_ if gaussian.components_ is None else None
    if isinstance(detector.embedder_, PatchEmbedder):
        embedder = detector.embedder_
        image_size, size = _image_size(embedder), embedder.input_size
        grid_shape: tuple[int, ...] = detector.grid_shape_
        sides = ("height", "width") if resize else image_size
        inputs: dict[str, _Form] = {"images": (np.uint8, ["n", *sides, 3])}
        images = _resized(graph, image_size) if resize else "images"
        images = _cropped(graph, images, image_size, size)
        x = _embed(graph, embedder, images, channels, halve=precision == "float16")
    else:
        height, width = (1, 1, *detector.grid_shape_)[-2:]
        size = grid_shape = (height, width)
        inputs = {"embeddings": (dtype, ["n", *detector.grid_shape_, detector.n_features_in_])}
        shape = graph.integers(-1, len(gaussian.location_), detector.n_features_in_)
        x = graph.apply("Reshape", "embeddings", shape)
        if channels is not None:
            x = graph.apply("Gather", x, graph.constant(channels), axis=2)
        x = graph.apply("Transpose", x, perm=[1, 0, 2])
    if gaussian.components_ is not None:
        x = graph.apply("MatMul", x, graph.constant(gaussian.components_.T.astype(dtype)))
    factor = gaussian._factor if precision == "float32" else gaussian._factor.to_compact()
    squares = _squared_distances(graph, x, gaussian.location_, factor)
    distances = graph.apply("Sqrt", graph.apply("Transpose", squares, perm=[1, 0]))
    on_grid = graph.apply(
        "Reshape", graph.cast(distances, np.float32), graph.integers(-1, *grid_shape)
    )
    rows, columns = Smoothing.of(detector.smoothing).axis_matrices(grid_shape, size)
    tall = graph.apply("MatMul", graph.constant(rows), on_grid)
    heatmap = graph.apply("MatMul", tall, graph.constant(columns.T), name="heatmap")
    peak = graph.apply("ReduceMax", heatmap, graph.integers(1, 2), keepdims=0)
    score = graph.apply("Neg", peak, name="score")
    threshold = graph.constant(_in_float32(detector.offset_), "threshold")
    # The opposite of "less" would let what is not a number pass for good.
    is_good = graph.apply("GreaterOrEqual", score, threshold)
    good, defective = graph.constant(np.int64(1)), graph.constant(np.int64(-1))
    graph.apply("Where", is_good, good, defective, name="decision")
    outputs: dict[str, _Form] = {
        "score": (np.float32, ["n"]),
        "heatmap": (np.float32, ["n", *size]),
        "decision": (np.int64, ["n"]),
    }
    return graph.finish(inputs, outputs, _metadata(detector, resize))


def _metadata(detector: PaDiM, resize: bool) -> dict[str, str]:
    """Write into the model what goes in and out."""
    metadata = {
        "skpadim_version": version("skpadim"),
        "n_samples_seen": str(detector.n_samples_seen_),
        "score": "minus the largest value of the heatmap; larger is more normal",
        "decision": "+1, good, if the score is at least the constant named threshold; else -1",
    }
    heatmap = "Mahalanobis distance, unitless, smoothed; larger is more anomalous"
    embedder = detector.embedder_
    if not isinstance(embedder, PatchEmbedder):
        return metadata | {"backbone": "none", "heatmap": f"{heatmap}; on the grid of embeddings"}
    backbone = embedder.backbone
    height, width = _image_size(embedder)
    crop_height, crop_width = embedder.input_size
    by_whom = "the graph resizes them" if resize else "resize whole images"
    return metadata | {
        "backbone": backbone if isinstance(backbone, str) else _name(backbone),
        "weights_sha256": detector.weights_hash_,
        "image_size": f"{height} x {width}",
        "preprocessing": (
            f"uint8 RGB, channels last; {by_whom} to {height} x {width} (height x width) by an "
            f"antialiased {embedder.resample} filter; nothing else is to be done"
        ),
        "heatmap": f"{heatmap}; of the central {crop_height} x {crop_width} of the resized image",
    }


def _in_float32(offset: float) -> np.float32:
    """Round up, so that a float32 is below the result exactly if it is below the offset."""
    threshold = np.float32(offset)
    return threshold if float(threshold) >= offset else np.nextafter(threshold, np.float32(np.inf))


def _image_size(embedder: PatchEmbedder) -> Size:
    return check_size(embedder.image_size, "image_size")


def _resized(graph: _Graph, size: Size) -> str:
    """Resize images to uint8 as Pillow does, but for rounding."""
    sizes = graph.apply(
        "Concat",
        graph.apply("Shape", "images", start=0, end=1),
        graph.integers(3, *size),
        axis=0,
    )
    channels_first = graph.apply("Transpose", "images", perm=[0, 3, 1, 2])
    resized = graph.apply(
        "Resize",
        *(channels_first, "", "", sizes),
        mode="cubic",
        cubic_coeff_a=-0.5,
        antialias=1,
        exclude_outside=1,
    )
    return graph.apply("Transpose", resized, perm=[0, 2, 3, 1])


def _cropped(graph: _Graph, images: str, size: Size, crop_size: Size) -> str:
    if crop_size == size:
        return images
    crop = center_crop_slices(size, crop_size)
    starts = graph.integers(*(kept.start for kept in crop))
    stops = graph.integers(*(kept.stop for kept in crop))
    return graph.apply("Slice", images, starts, stops, graph.integers(1, 2))


def _embed(
    graph: _Graph,
    embedder: PatchEmbedder,
    images: str,
    channels: NDArray[np.intp] | None,
    halve: bool,
) -> str:
    """Embed images; gives embeddings of shape (n_positions, n, n_dimensions)."""
    from skpadim.embedding._alignment import alignment_matrices, share_channels
    from skpadim.embedding._onnx import network_to_onnx

    extractor, size = embedder._extractor(), embedder.input_size
    pixels = graph.cast(graph.apply("Transpose", images, perm=[0, 3, 1, 2]), np.float32)
    centred = graph.apply("Sub", pixels, graph.constant(extractor.mean.numpy(force=True)))
    std = graph.constant(extractor.std.numpy(force=True))
    graph.apply("Div", centred, std, name=_NETWORK + "images")
    maps = graph.include(network_to_onnx(extractor, size, _OPSET), _NETWORK, halve)
    shapes = extractor.map_shapes(size)
    depths = [depth for depth, _, _ in shapes]
    taken: Sequence[NDArray[np.intp] | None] = [None] * len(depths)
    order = None
    if channels is not None:
        taken, order = share_channels(channels, depths)
    rows, columns, n_dimensions = embedder.output_shape
    matrices = alignment_matrices(
        [shape[1:] for shape in shapes],
        (rows, columns),
        neighborhood=int(embedder.neighborhood),
        alignment=str(embedder.alignment),
    )
    parts = []
    for features, kept, (vertical, horizontal) in zip(maps, taken, matrices, strict=True):
        if kept is not None:
            if len(kept) == 0:
                continue
            features = graph.apply("Gather", features, graph.constant(kept), axis=1)
        wide = graph.apply("MatMul", features, graph.constant(horizontal.T))
        parts.append(graph.apply("MatMul", graph.constant(vertical), wide))
    x = graph.apply("Concat", *parts, axis=1)
    if order is not None:
        x = graph.apply("Gather", x, graph.constant(order), axis=1)
    n_kept = n_dimensions if channels is None else len(channels)
    x = graph.apply("Transpose", x, perm=[2, 3, 0, 1])
    return graph.apply("Reshape", x, graph.integers(rows * columns, -1, n_kept))


def _squared_distances(graph: _Graph, x: str, mean: NDArray, factor: Factor) -> str:
    """As :meth:`Factor.squared_distances`, from (n_positions, n, n_dimensions) embeddings."""
    n_dimensions = mean.shape[1]

    def in_units(vectors: str) -> str:
        if factor.units is None:
            return vectors
        return graph.apply("Mul", vectors, graph.constant(factor.units[:, np.newaxis]))

    def matrix(entries: NDArray) -> str:
        stored = graph.constant(entries)
        return stored if factor.units is None else graph.cast(stored, factor.dtype)

    def squared_length(vectors: str) -> str:
        return graph.apply("ReduceSumSquare", vectors, graph.integers(2), keepdims=0)

    x = graph.apply("Sub", x, graph.constant(mean[:, np.newaxis]))
    if factor.eigenvalues is None:
        x = in_units(x)
        parts = []
        for columns, block in blocks_of(factor.matrix, n_dimensions):
            head = x
            if columns.stop < n_dimensions:
                bounds = graph.integers(0), graph.integers(columns.stop), graph.integers(2)
                head = graph.apply("Slice", x, *bounds)
            parts.append(squared_length(graph.apply("MatMul", head, matrix(block))))
        return graph.apply("Sum", *parts)
    scale = graph.constant(np.sqrt(factor.ridge).astype(factor.dtype))
    u = graph.apply("Div", x, scale)
    directions = matrix(factor.matrix)
    transposed = graph.apply("Transpose", directions, perm=[0, 2, 1])
    c = graph.apply("MatMul", in_units(u), transposed)
    rest = graph.apply("Sub", u, in_units(graph.apply("MatMul", c, directions)))
    lengths = graph.constant(np.sqrt(1 + factor.eigenvalues)[:, np.newaxis])
    shrunk = graph.apply("Div", c, lengths)
    return graph.apply("Add", squared_length(shrunk), squared_length(rest))
