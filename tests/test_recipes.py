"""Recipes against what their sources compute, written again in NumPy and SciPy, in float64."""

import os
from typing import NamedTuple

import numpy as np
import pytest
import timm
import torch
from numpy.testing import assert_allclose
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter
from sklearn.base import clone
from torchvision import models

from skpadim import recipes
from skpadim.heatmaps import Smoothing
from skpadim.images import read_image

BICUBIC, BILINEAR, LANCZOS = (
    getattr(Image.Resampling, name) for name in ("BICUBIC", "BILINEAR", "LANCZOS")
)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALVES = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
RESNET = ("layer1", "layer2", "layer3")
EFFICIENTNET_V2 = "timm/tf_efficientnetv2_m.in21k_ft_in1k"


def gaussian_4(heatmap):
    return gaussian_filter(heatmap, 4, mode="reflect")


def gaussian_4_without_the_edge_twice(heatmap):
    return gaussian_filter(heatmap, 4, mode="mirror")


def mean_of_21_with_zeros(heatmap):
    return uniform_filter(heatmap, 21, mode="constant")


def nothing(heatmap):
    return heatmap


def bilinear(distances, size):
    positions = (np.arange(size) + 0.5) * len(distances) / size - 0.5
    grid = np.meshgrid(positions, positions, indexing="ij")
    return map_coordinates(distances, grid, order=1, mode="nearest")


def bicubic(distances, size):
    distances = torch.from_numpy(distances)[None, None]
    return torch.nn.functional.interpolate(distances, size=size, mode="bicubic")[0, 0].numpy()


def repeated(distances, size):
    return np.kron(distances, np.ones((size // len(distances),) * 2))


class Source(NamedTuple):
    """What a source computes, with its constants."""

    recipe: object
    backbone: str
    kept: int | None = None
    image_size: int = 256
    crop_size: int | None = None
    resample: Image.Resampling = BILINEAR
    statistics: tuple = IMAGENET
    layers: tuple = RESNET
    epsilon: float = 0.01
    upsampled: object = bilinear
    smoothed: object = gaussian_4
    parameters: dict = {}


SOURCES = {
    "paper, R18": Source(recipes.paper, "resnet18", 100, 256, 224, BICUBIC, upsampled=bicubic),
    "paper, WR50": Source(
        recipes.paper, "wide_resnet50_2", 550, 256, 224, BICUBIC, upsampled=bicubic
    ),
    "paper, B5": Source(
        recipes.paper,
        "efficientnet_b5",
        None,
        256,
        224,
        BICUBIC,
        layers=("features.2", "features.4", "features.5"),
        upsampled=bicubic,
    ),
    "xiahaifeng": Source(recipes.xiahaifeng, "resnet18", 100, 256, 224, LANCZOS),
    "anomalib": Source(
        recipes.anomalib,
        "timm/resnet18",
        100,
        epsilon=0.01 + 1e-5,
        smoothed=gaussian_4_without_the_edge_twice,
    ),
    "ind_knn_ad": Source(
        recipes.ind_knn_ad,
        "wide_resnet50_2",
        250,
        256,
        224,
        BICUBIC,
        epsilon=0.04,
        smoothed=nothing,
    ),
    "anodet": Source(
        recipes.anodet,
        "resnet18",
        100,
        image_size=224,
        smoothed=gaussian_4_without_the_edge_twice,
    ),
    "taikiinoue": Source(
        recipes.taikiinoue, "wide_resnet50_2", 550, 224, smoothed=mean_of_21_with_zeros
    ),
    "pangoraw": Source(
        recipes.pangoraw, "resnet18", 100, 416, upsampled=repeated, smoothed=nothing
    ),
    "Anomaly.Paddle, sample": Source(recipes.anomaly_paddle, "resnet18", 100),
    "Anomaly.Paddle, h_sample": Source(
        recipes.anomaly_paddle, "resnet18", 100, parameters={"reduction": "stratified"}
    ),
    "Anomaly.Paddle, ortho": Source(
        recipes.anomaly_paddle, "resnet18", 100, parameters={"reduction": "semi-orthogonal"}
    ),
    "johnnyhopp": Source(
        recipes.johnnyhopp,
        EFFICIENTNET_V2,
        None,
        256,
        224,
        LANCZOS,
        HALVES,
        layers=("blocks.2", "blocks.3", "blocks.5"),
    ),
    "semi_orthogonal": Source(recipes.semi_orthogonal, "wide_resnet50_2", 300),
}


# Smaller sizes than those of the sources, to be quick; maps of all layers divide one another.
def small_sizes(source):
    input_size = 64 if "v2" in source.backbone else 32
    return (input_size, None) if source.crop_size is None else (input_size + 4, input_size)


def pixels(path, source):
    """Normalised pixels (3, height, width), float64."""
    image_size, crop_size = small_sizes(source)
    picture = Image.fromarray(read_image(path)) if not isinstance(path, Image.Image) else path
    picture = picture.convert("RGB").resize((image_size, image_size), source.resample)
    if crop_size is not None:
        edge = (image_size - crop_size) // 2
        picture = picture.crop((edge, edge, edge + crop_size, edge + crop_size))
    mean, std = source.statistics
    return np.moveaxis((np.asarray(picture) / 255 - mean) / std, -1, 0)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Networks with random weights, and the files of these."""
    made = {}

    def make(backbone):
        if backbone not in made:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                if backbone.startswith("timm/"):
                    network = timm.create_model(backbone.removeprefix("timm/"))
                else:
                    network = models.get_model(backbone, weights=None)
                # Batch norms that have seen noise: otherwise maps fade away, or explode.
                for module in network.modules():
                    if isinstance(module, torch.nn.BatchNorm2d):
                        module.momentum = None
                with torch.no_grad():
                    network.train()(torch.randn(8, 3, 64, 64))
            weights = tmp_path_factory.mktemp("weights") / "weights.pth"
            torch.save(network.state_dict(), weights)
            made[backbone] = network.eval(), weights
        return made[backbone]

    return make


def embedded(paths, source, network):
    """Embeddings (n, side, side, d) in float64, with the cells of coarse maps repeated."""
    caught = {}
    hooks = [
        network.get_submodule(layer).register_forward_hook(
            lambda module, given, output, layer=layer: caught.update({layer: output})
        )
        for layer in source.layers
    ]
    batch = torch.from_numpy(np.stack([pixels(path, source) for path in paths])).float()
    with torch.inference_mode():
        network(batch)
    for hook in hooks:
        hook.remove()
    maps = [np.moveaxis(caught[layer].double().numpy(), 1, -1) for layer in source.layers]
    side = maps[0].shape[1]
    return np.concatenate(
        [m.repeat(side // m.shape[1], axis=1).repeat(side // m.shape[2], axis=2) for m in maps],
        axis=-1,
    )


def reference_distances(X_train, X, epsilon):
    """Mahalanobis distances by the inverse of the covariance of each position."""
    mean = X_train.mean(axis=0)
    deviations = np.moveaxis(X_train - mean, 0, -1)
    covariance = deviations @ np.swapaxes(deviations, -1, -2) / (len(X_train) - 1)
    precision = np.linalg.inv(covariance + epsilon * np.eye(X_train.shape[-1]))
    return np.sqrt(np.einsum("nhwc,hwcd,nhwd->nhw", X - mean, precision, X - mean, optimize=True))


def reference_heatmaps(distances, source):
    image_size, crop_size = small_sizes(source)
    size = crop_size or image_size
    return np.stack([source.smoothed(source.upsampled(on_grid, size)) for on_grid in distances])


@pytest.fixture(scope="module")
def pictures(request, parts):
    """Some images to learn from, and some to look at: real ones where they are at hand."""
    if os.environ.get("SKPADIM_TEST_DATA"):
        data = request.getfixturevalue("real_data")("bottle")
        # Smaller once and for all: each test reads them many times.
        return [
            [Image.fromarray(read_image(path)).resize((160, 160)) for path in paths]
            for paths in (data.X_train[:25], data.X_test[::20])
        ]
    pictures = [Image.fromarray(image) for image in parts.images]
    return pictures[:25], pictures[-4:]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if "resnet18" in source.backbone else pytest.mark.slow)
        for name, source in SOURCES.items()
    ],
)
def test_a_recipe_computes_what_its_source_does(name, networks, pictures):
    source = SOURCES[name]
    network, weights = networks(source.backbone)
    image_size, crop_size = small_sizes(source)
    detector = source.recipe(source.backbone, weights=weights, random_state=0, **source.parameters)
    detector.set_params(
        embedder__image_size=image_size, embedder__crop_size=crop_size, embedder__engine="torch"
    )
    good, new = pictures
    detector.fit(good)
    X_train, X = (embedded(images, source, network) for images in pictures)
    components = detector.components_
    assert source.kept == (None if components is None else len(components))
    if components is not None:
        projection = np.eye(X.shape[-1])[components] if components.ndim == 1 else components
        X_train, X = X_train @ projection.T, X @ projection.T
    distances = reference_distances(X_train, X, source.epsilon)
    expected = reference_heatmaps(distances, source)
    assert_allclose(detector.predict_heatmap(new), expected, rtol=1e-4)
    assert_allclose(-detector.score_samples(new), expected.max(axis=(1, 2)), rtol=1e-4)
    # What scores by the raw map score.
    detector.set_params(smoothing=Smoothing(0, interpolation="nearest"))
    assert_allclose(-detector.score_samples(new), distances.max(axis=(1, 2)), rtol=1e-4)


@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_has_the_sizes_of_its_source(name):
    source = SOURCES[name]
    detector = source.recipe(source.backbone, **source.parameters)
    assert detector.n_components == source.kept
    assert (detector.embedder.image_size, detector.embedder.crop_size) == (
        source.image_size,
        source.crop_size,
    )


@pytest.mark.slow
def test_the_grid_is_that_of_the_finest_map(networks):
    _, weights = networks(EFFICIENTNET_V2)
    assert recipes.johnnyhopp(weights=weights).embedder.output_shape == (28, 28, 80 + 160 + 304)
    assert recipes.paper("resnet18", weights=None).embedder.output_shape == (56, 56, 448)
    assert recipes.pangoraw(weights=None).embedder.output_shape == (104, 104, 448)


@pytest.mark.parametrize(
    ("recipe", "backbone", "kept"),
    [
        (recipes.xiahaifeng, "wide_resnet50_2", 550),
        (recipes.anomalib, "timm/wide_resnet50_2.racm_in1k", 550),
        (recipes.ind_knn_ad, "timm/wide_resnet50_2", 250),
        (recipes.anodet, "wide_resnet50_2", 550),
        (recipes.pangoraw, "resnet50", 100),
        (recipes.anomaly_paddle, "wide_resnet50_2", 100),
    ],
)
def test_other_backbones_of_a_source_have_their_number_of_dimensions(recipe, backbone, kept):
    assert recipe(backbone).n_components == kept


@pytest.mark.parametrize("backbone", ["tf_efficientnet_b5.ns_jft_in1k", "tf_efficientnetv2_xl"])
def test_other_efficientnets_have_the_layers_of_the_source(backbone):
    embedder = recipes.johnnyhopp(f"timm/{backbone}").embedder
    assert embedder.layers == ("blocks.1", "blocks.3", "blocks.4")
    assert embedder.grid_stride == 4


@pytest.mark.parametrize("name", recipes.__all__)
def test_every_recipe_takes_any_backbone_weights_and_seed(name, parts):
    recipe = getattr(recipes, name)
    detector = recipe("efficientnet_lite0", weights=None, random_state=7)
    assert detector.embedder.weights is None
    assert detector.random_state == 7
    detector.set_params(n_components=20, embedder__image_size=48, embedder__crop_size=None)
    detector.set_params(embedder__engine="torch").fit(parts.images[:25])
    assert len(detector.components_) == 20
    assert detector.predict_heatmap(parts.images[-2:]).shape == (2, 48, 48)


@pytest.mark.parametrize("name", recipes.__all__)
def test_a_recipe_is_a_new_detector_each_time_and_builds_no_network(name, monkeypatch):
    monkeypatch.setattr("skpadim.embedding._patch_embedder.build_backbone", None)
    first, second = (getattr(recipes, name)() for _ in range(2))
    assert first is not second
    assert first.embedder is not second.embedder
    assert repr(clone(first)) == repr(second)
