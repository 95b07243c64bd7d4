"""The graph from pixels to decisions.

Of the network, torch's exporter makes nodes; all that follows is linear algebra on arrays that the
fitted detector has, and is written down here.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skpadim._padim import PaDiM
from skpadim._sizes import Size, check_size
from skpadim.embedding import PatchEmbedder
from skpadim.embedding._patch_embedder import _name
from skpadim.gaussian._factors import Factor
from skpadim.gaussian._triangles import blocks_of
from skpadim.heatmaps import LARGEST, Smoothing
from skpadim.images import center_crop_slices

if TYPE_CHECKING:
    import onnx

# Resize antialiases and reductions take their axes as inputs from this one on; onnxruntime has it
# since 1.14, of early 2023.
_OPSET = 18
_IR_VERSION = 8

# What the names of all that belongs to the backbone begin with.
NETWORK = "network/"
# And all else.
_OWN = "skpadim/"


def import_onnx() -> Any:
    """Import what makes nodes; without it, say how to get it."""
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
        self._onnx = import_onnx()
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


def to_onnx(detector: PaDiM, resize: bool = False, precision: str = "float32") -> "onnx.ModelProto":
    """Write a detector down as a graph; "int8" leaves the network to who quantises it."""
    graph = _Graph()
    gaussian = detector.gaussian_
    dtype = gaussian.location_.dtype
    # A projection is the Gaussian's.
    channels = detector.components_ if gaussian.components_ is None else None
    if isinstance(detector.embedder_, PatchEmbedder):
        embedder = detector.embedder_
        image_size, size = image_size_of(embedder), embedder.input_size
        grid_shape: tuple[int, ...] = detector.grid_shape_
        sides = ("height", "width") if resize else image_size
        inputs: dict[str, _Form] = {"images": (np.uint8, ["n", *sides, 3])}
        images = _resized(graph, image_size) if resize else "images"
        images = _cropped(graph, images, image_size, size)
        x = _embed(graph, embedder, images, channels, halve=precision == "float16")
    else:
        height, width, _ = detector.embedder_.output_shape
        grid_shape, size = (height, width), detector.embedder_.input_size
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
    # Of what is no number, no comparison is true: it counts as the largest, too.
    largest = graph.constant(dtype.type(LARGEST))
    is_usual = graph.apply("LessOrEqual", distances, largest)
    distances = graph.apply("Where", is_usual, distances, largest)
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
    return graph.finish(inputs, outputs, describe(detector, resize))


def describe(detector: PaDiM, resize: bool) -> dict[str, str]:
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
        height, width = embedder.input_size
        return metadata | {
            "backbone": "none",
            "heatmap": f"{heatmap}; {height} x {width} pixels, which the grid of embeddings covers",
        }
    backbone = embedder.backbone
    height, width = image_size_of(embedder)
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


def image_size_of(embedder: PatchEmbedder) -> Size:
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
    graph.apply("Div", centred, std, name=NETWORK + "images")
    maps = graph.include(network_to_onnx(extractor, size, _OPSET), NETWORK, halve)
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
