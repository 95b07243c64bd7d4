"""Unfitted detectors with the settings of the paper and of other implementations.

Each function takes the same arguments and returns a new :class:`~skpadim.PaDiM`, whose parameters
say all that differs from the defaults. What is peculiar to a backbone, the number of dimensions
kept and sometimes the layers, is set for those that the source names. With any other backbone all
dimensions are kept, until ``set_params(n_components=...)`` says otherwise. Thresholds are
skpadim's, from good images only. Backbones of torchvision need ``skpadim[torchvision]``, those of
timm ``skpadim[timm]``.
"""

from typing import Any

from skpadim._padim import PaDiM
from skpadim.embedding import PatchEmbedder
from skpadim.heatmaps import Smoothing

__all__ = [
    "paper",
    "xiahaifeng",
    "anomalib",
    "ind_knn_ad",
    "anodet",
    "taikiinoue",
    "pangoraw",
    "anomaly_paddle",
    "johnnyhopp",
    "semi_orthogonal",
]

# Dimensions that the paper keeps, and most others after it.
_PAPER = {"resnet18": 100, "wide_resnet50_2": 550}


def paper(
    backbone: Any = "wide_resnet50_2", *, weights: Any = "imagenet", random_state: Any = None
) -> PaDiM:
    """Detector of the paper.

    Images of 256 x 256 pixels cropped to 224 x 224, 100 random dimensions of ResNet-18 or 550 of
    Wide-ResNet-50-2, a ridge of 0.01, bicubic maps smoothed by a Gaussian of 4 pixels [1]_.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="wide_resnet50_2"
        "resnet18" (in the paper PaDiM-R18-Rd100), "wide_resnet50_2" (PaDiM-WR50-Rd550) or
        "efficientnet_b5" (PaDiM-EffB5, all dimensions of the ends of levels 2, 4 and 5); or any
        other that :class:`~skpadim.PatchEmbedder` takes.
    weights : "imagenet", path or None, default="imagenet"
        As for :class:`~skpadim.PatchEmbedder`; None for random ones.
    random_state : int, RandomState instance or None, default=None
        Draws the dimensions. The paper draws ten times and reports means.

    Returns
    -------
    PaDiM
        The unfitted detector.

    References
    ----------
    .. [1] Defard, T., Setkov, A., Loesch, A., & Audigier, R. (2021). PaDiM: a patch distribution
       modeling framework for anomaly detection and localization. ICPR workshops.
       https://arxiv.org/abs/2011.08785

    Examples
    --------
    >>> from skpadim import recipes
    >>> recipes.paper("resnet18").n_components
    100
    """
    embedder = _embedder(backbone, weights, image_size=256, crop_size=224)
    return _padim(embedder, random_state, _PAPER, smoothing=Smoothing(interpolation="bicubic"))


def xiahaifeng(
    backbone: Any = "wide_resnet50_2", *, weights: Any = "imagenet", random_state: Any = None
) -> PaDiM:
    """Detector of the script by xiahaifeng1995, from which many others descend.

    As :func:`paper`, but images are resized with a Lanczos filter, and maps are bilinear [1]_.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="wide_resnet50_2"
        "resnet18" (100 dimensions) or "wide_resnet50_2" (550); or any other that
        :class:`~skpadim.PatchEmbedder` takes.
    weights : "imagenet", path or None, default="imagenet"
        As for :class:`~skpadim.PatchEmbedder`; None for random ones.
    random_state : int, RandomState instance or None, default=None
        Draws the dimensions. The script's own are ``random.Random(1024).sample(range(448), 100)``,
        or of 1792 and 550: give them as `reduction`.

    Returns
    -------
    PaDiM
        The unfitted detector.

    References
    ----------
    .. [1] https://github.com/xiahaifeng1995/PaDiM-Anomaly-Detection-Localization-master, main.py.

    Examples
    --------
    >>> import random
    >>> from skpadim import recipes
    >>> indices = random.Random(1024).sample(range(448), 100)
    >>> detector = recipes.xiahaifeng("resnet18").set_params(reduction=indices)
    """
    embedder = _embedder(backbone, weights, image_size=256, crop_size=224, resample="lanczos")
    return _padim(embedder, random_state, _PAPER)


def anomalib(
    backbone: Any = "timm/resnet18", *, weights: Any = "imagenet", random_state: Any = None
) -> PaDiM:
    """Detector of anomalib's Padim, as it is by default.

    Images of 256 x 256 pixels without a crop, resized with a bilinear filter, a ridge of
    0.01 + 0.00001, and a Gaussian filter that does not repeat the pixel at the border [1]_. Geti
    has the same.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="timm/resnet18"
        "timm/resnet18" (100 dimensions) or "timm/wide_resnet50_2" (550), with the weights that
        timm has by default, as anomalib since 1.2; needs ``skpadim[timm]``. "resnet18" has those
        that the figures in its README were measured with. Or any other that
        :class:`~skpadim.PatchEmbedder` takes.
    weights : "imagenet", path or None, default="imagenet"
        As for :class:`~skpadim.PatchEmbedder`; None for random ones.
    random_state : int, RandomState instance or None, default=None
        Draws the dimensions. anomalib draws by torch's global state.

    Returns
    -------
    PaDiM
        The unfitted detector.

    References
    ----------
    .. [1] https://github.com/open-edge-platform/anomalib, src/anomalib/models/image/padim at
       b7233686.

    Examples
    --------
    >>> from skpadim import recipes
    >>> recipes.anomalib().reg_covar
    0.01001
    """
    embedder = _embedder(backbone, weights, image_size=256, resample="bilinear")
    smoothing = Smoothing(mode="mirror")
    return _padim(embedder, random_state, _PAPER, reg_covar=0.01001, smoothing=smoothing)


def ind_knn_ad(
    backbone: Any = "timm/wide_resnet50_2", *, weights: Any = "imagenet", random_state: Any = None
) -> PaDiM:
    """Detector of ind_knn_ad's PaDiM.

    A ridge of 0.04, and bilinear maps that are not smoothed [1]_. It scores images by their most
    anomalous patch, before the map is interpolated: ``smoothing__interpolation="nearest"`` has
    these scores, and maps with squares.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="timm/wide_resnet50_2"
        "timm/wide_resnet50_2", with 250 dimensions as in its published table; needs
        ``skpadim[timm]``. Or any other that :class:`~skpadim.PatchEmbedder` takes.
    weights : "imagenet", path or None, default="imagenet"
        As for :class:`~skpadim.PatchEmbedder`; None for random ones.
    random_state : int, RandomState instance or None, default=None
        Draws the dimensions. The package's script seeds torch's global state with 0.

    Returns
    -------
    PaDiM
        The unfitted detector.

    References
    ----------
    .. [1] https://github.com/rvorias/ind_knn_ad, indad/models.py at 6d09871.

    Examples
    --------
    >>> from skpadim import recipes
    >>> recipes.ind_knn_ad().set_params(smoothing__interpolation="nearest").smoothing
    Smoothing(interpolation='nearest', size=0.0)
    """
    embedder = _embedder(backbone, weights, image_size=256, crop_size=224)
    kept = {"wide_resnet50_2": 250}
    return _padim(embedder, random_state, kept, reg_covar=0.04, smoothing=Smoothing(0.0))


def anodet(
    backbone: Any = "resnet18", *, weights: Any = "imagenet", random_state: Any = None
) -> PaDiM:
    """Detector of anodet.

    Images of 224 x 224 pixels without a crop, resized with a bilinear filter, and a Gaussian filter
    that does not repeat the pixel at the border [1]_. tfdetection has the same constants, but
    leaves the input and the layers to the user.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="resnet18"
        "resnet18" (100 dimensions) or "wide_resnet50_2" (550); or any other that
        :class:`~skpadim.PatchEmbedder` takes.
    weights : "imagenet", path or None, default="imagenet"
        As for :class:`~skpadim.PatchEmbedder`; None for random ones. For Wide-ResNet-50-2, anodet
        takes torchvision's ``IMAGENET1K_V2``: give the path of that file.
    random_state : int, RandomState instance or None, default=None
        Draws the dimensions. anodet draws by Python's global state, which it seeds with 1024.

    Returns
    -------
    PaDiM
        The unfitted detector.

    References
    ----------
    .. [1] https://github.com/OpenAOI/anodet, anodet/padim.py at abd73ab.

    Examples
    --------
    >>> from skpadim import recipes
    >>> recipes.anodet().smoothing
    Smoothing(mode='mirror')
    """
    embedder = _embedder(backbone, weights, image_size=224, resample="bilinear")
    return _padim(embedder, random_state, _PAPER, smoothing=Smoothing(mode="mirror"))


def taikiinoue(
    backbone: Any = "wide_resnet50_2", *, weights: Any = "imagenet", random_state: Any = None
) -> PaDiM:
    """Detector of PaDiM by taikiinoue45.

    Images of 224 x 224 pixels without a crop, and a mean over 21 x 21 pixels, with zeros beyond
    the border, in place of the Gaussian filter [1]_.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="wide_resnet50_2"
        "wide_resnet50_2", with 550 dimensions; or any other that
        :class:`~skpadim.PatchEmbedder` takes.
    weights : "imagenet", path or None, default="imagenet"
        As for :class:`~skpadim.PatchEmbedder`; None for random ones.
    random_state : int, RandomState instance or None, default=None
        Draws the dimensions. The source has no seed.

    Returns
    -------
    PaDiM
        The unfitted detector.

    References
    ----------
    .. [1] https://github.com/taikiinoue45/PaDiM, padim/runner/runner.py at e67fae9.

    Examples
    --------
    >>> from skpadim import recipes
    >>> recipes.taikiinoue().smoothing
    Smoothing(filter='uniform', mode='constant', size=21.0)
    """
    embedder = _embedder(backbone, weights, image_size=224, resample="bilinear")
    smoothing = Smoothing(21.0, filter="uniform", mode="constant")
    return _padim(embedder, random_state, {"wide_resnet50_2": 550}, smoothing=smoothing)


def pangoraw(
    backbone: Any = "resnet18", *, weights: Any = "imagenet", random_state: Any = None
) -> PaDiM:
    """Detector of PaDiM by Pangoraw.

    Images of 416 x 416 pixels without a crop, 100 dimensions, and the distances of the grid as they
    are, neither interpolated nor smoothed [1]_.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="resnet18"
        "resnet18", "resnet50" or "wide_resnet50_2", with 100 dimensions; or any other that
        :class:`~skpadim.PatchEmbedder` takes.
    weights : "imagenet", path or None, default="imagenet"
        As for :class:`~skpadim.PatchEmbedder`; None for random ones.
    random_state : int, RandomState instance or None, default=None
        Draws the dimensions. The source has no seed.

    Returns
    -------
    PaDiM
        The unfitted detector.

    References
    ----------
    .. [1] https://github.com/Pangoraw/PaDiM, padim/padim.py at 76f757f.

    Examples
    --------
    >>> from skpadim import recipes
    >>> recipes.pangoraw().smoothing
    Smoothing(interpolation='nearest', size=0.0)
    """
    embedder = _embedder(backbone, weights, image_size=416, resample="bilinear")
    kept = dict.fromkeys(("resnet18", "resnet50", "wide_resnet50_2"), 100)
    return _padim(embedder, random_state, kept, smoothing=Smoothing(0.0, interpolation="nearest"))


def anomaly_paddle(
    backbone: Any = "resnet18",
    *,
    reduction: str = "random",
    weights: Any = "imagenet",
    random_state: Any = None,
) -> PaDiM:
    """Detector of Anomaly.Paddle.

    Images of 256 x 256 pixels without a crop, resized with a bilinear filter, and 100 dimensions,
    chosen or combined in one of several ways [1]_.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="resnet18"
        "resnet18", "resnet50" or "wide_resnet50_2", with 100 dimensions; or any other that
        :class:`~skpadim.PatchEmbedder` takes. Its tables have 300 for Wide-ResNet-50-2 as well.
    reduction : {"random", "stratified", "semi-orthogonal"}, default="random"
        There these are called sample, h_sample and ortho. Its svd_ortho spans the same space as
        ortho by the same random numbers, hence has the same distances.
    weights : "imagenet", path or None, default="imagenet"
        As for :class:`~skpadim.PatchEmbedder`; None for random ones.
    random_state : int, RandomState instance or None, default=None
        Draws the reduction. The source seeds Paddle's global state with 521.

    Returns
    -------
    PaDiM
        The unfitted detector.

    References
    ----------
    .. [1] https://github.com/ultranity/Anomaly.Paddle, model.py at 0aed05e.

    Examples
    --------
    >>> from skpadim import recipes
    >>> recipes.anomaly_paddle(reduction="stratified").n_components
    100
    """
    embedder = _embedder(backbone, weights, image_size=256, resample="bilinear")
    kept = dict.fromkeys(("resnet18", "resnet50", "wide_resnet50_2"), 100)
    return _padim(embedder, random_state, kept, reduction=reduction)


def johnnyhopp(
    backbone: Any = "timm/tf_efficientnetv2_m.in21k_ft_in1k",
    *,
    weights: Any = "imagenet",
    random_state: Any = None,
) -> PaDiM:
    """Detector of PaDiM-EfficientNetV2 by JohnnyHopp.

    As :func:`xiahaifeng`, but with newer networks, of which all dimensions are kept [1]_.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, \
            default="timm/tf_efficientnetv2_m.in21k_ft_in1k"
        That one, "timm/tf_efficientnetv2_xl.in21k_ft_in1k", "timm/tf_efficientnet_b5.ns_jft_in1k",
        the same of b6 and b7, or "timm/tf_efficientnet_l2.ns_jft_in1k_475", each with the layers
        of the source; they need ``skpadim[timm]``. Or any other that
        :class:`~skpadim.PatchEmbedder` takes.
    weights : "imagenet", path or None, default="imagenet"
        As for :class:`~skpadim.PatchEmbedder`; None for random ones.
    random_state : int, RandomState instance or None, default=None
        Draws nothing, unless `n_components` is set.

    Returns
    -------
    PaDiM
        The unfitted detector.

    References
    ----------
    .. [1] https://github.com/JohnnyHopp/PaDiM-EfficientNetV2, main.py at cab993d.

    Examples
    --------
    >>> from skpadim import recipes
    >>> recipes.johnnyhopp().embedder.layers
    ('blocks.2', 'blocks.3', 'blocks.5')
    """
    layers, stride = None, 4
    name = _bare_name(backbone)
    if name == "tf_efficientnetv2_m":
        layers, stride = ("blocks.2", "blocks.3", "blocks.5"), 8
    elif name.startswith("tf_efficientnet") and "lite" not in name:
        layers = ("blocks.1", "blocks.3", "blocks.4")
    embedder = _embedder(
        backbone,
        weights,
        layers=layers,
        grid_stride=stride,
        image_size=256,
        crop_size=224,
        resample="lanczos",
    )
    return _padim(embedder, random_state, {})


def semi_orthogonal(
    backbone: Any = "wide_resnet50_2", *, weights: Any = "imagenet", random_state: Any = None
) -> PaDiM:
    """Detector of the semi-orthogonal embedding.

    Images of 256 x 256 pixels without a crop, resized with a bilinear filter, and 300 orthonormal
    combinations of all dimensions [1]_ [2]_.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="wide_resnet50_2"
        "wide_resnet50_2", with 300 combinations; or any other that
        :class:`~skpadim.PatchEmbedder` takes.
    weights : "imagenet", path or None, default="imagenet"
        As for :class:`~skpadim.PatchEmbedder`; None for random ones.
    random_state : int, RandomState instance or None, default=None
        Draws the combinations.

    Returns
    -------
    PaDiM
        The unfitted detector.

    References
    ----------
    .. [1] Kim, J.-H., Kim, D.-H., Yi, S., & Lee, T. (2021). Semi-orthogonal embedding for
       efficient unsupervised anomaly segmentation. https://arxiv.org/abs/2105.14737
    .. [2] https://github.com/jnhwkim/orthoad, train.py and model.py at c7eff17.

    Examples
    --------
    >>> from skpadim import recipes
    >>> recipes.semi_orthogonal().reduction
    'semi-orthogonal'
    """
    embedder = _embedder(backbone, weights, image_size=256, resample="bilinear")
    return _padim(embedder, random_state, {"wide_resnet50_2": 300}, reduction="semi-orthogonal")


def _embedder(backbone: Any, weights: Any, **parameters: Any) -> PatchEmbedder:
    """Make an embedder as all have it: nearest cells, on the grid of the finest map."""
    of_all = {"grid_stride": 4, "neighborhood": 1, "alignment": "nearest"}
    return PatchEmbedder(backbone, weights=weights, **{**of_all, **parameters})


def _padim(
    embedder: PatchEmbedder, random_state: Any, kept: dict[str, int], **parameters: Any
) -> PaDiM:
    """Make a detector with the ridge of the paper, unless told otherwise, and dimensions `kept`."""
    of_all = {
        "n_components": kept.get(_bare_name(embedder.backbone)),
        "reg_covar": 0.01,
        "reg_relative": False,
    }
    return PaDiM(embedder=embedder, random_state=random_state, **{**of_all, **parameters})


def _bare_name(backbone: Any) -> str:
    """Name of an architecture, whoever has it and whatever weights; "" if it has none."""
    return backbone.removeprefix("timm/").partition(".")[0] if isinstance(backbone, str) else ""
