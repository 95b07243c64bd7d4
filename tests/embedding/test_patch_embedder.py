import copy
import pickle
import subprocess
import sys
from functools import partial

import joblib
import numpy as np
import pytest
import sklearn
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torchvision.models import get_model

from skpadim.embedding import PatchEmbedder
from skpadim.images import ImageSequence


class Small(nn.Module):
    """Strides 4 and 8; quick to build and to run."""

    def __init__(self):
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 4, stride=4)
        self.coarse = nn.Conv2d(4, 5, 2, stride=2)

    def forward(self, x):
        return self.coarse(self.fine(x).relu())


class SmallTanh(Small):
    """The same weights, used in another way."""

    def forward(self, x):
        return self.coarse(self.fine(x).tanh())


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 64, 96, 3), np.uint8)


@pytest.fixture
def small():
    return PatchEmbedder(
        Small, layers=("fine", "coarse"), image_size=(64, 96), engine="torch", batch_size=2
    )


@pytest.fixture(scope="module")
def lite():
    return PatchEmbedder(image_size=(64, 96), engine="torch")


# What comes out


def test_the_default_gives_176_dimensions_on_a_grid_of_28(images):
    embeddings = PatchEmbedder().transform(images[:1])
    assert embeddings.shape == (1, 28, 28, 176)


def test_embeddings_are_float32_and_contiguous(lite, images):
    embeddings = lite.transform(images)
    assert embeddings.dtype == np.float32
    assert embeddings.flags.c_contiguous


def test_embeddings_follow_the_formulas(images):
    network = Small().eval()
    embedder = PatchEmbedder(
        network, layers=("fine", "coarse"), image_size=(64, 96), alignment="nearest", grid_stride=4
    )
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((torch.from_numpy(images).float() / 255 - mean) / std).movedim(-1, 1)
    with torch.inference_mode():
        fine = network.fine(x)
        coarse = network.coarse(fine.relu()).numpy()
    fine = np.pad(fine.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(fine, (3, 3), axis=(-2, -1))
    repeated = coarse.repeat(2, axis=-2).repeat(2, axis=-1)
    expected = np.concatenate([np.nanmean(windows, axis=(-2, -1)), repeated], axis=1)
    result = embedder.transform(images)
    np.testing.assert_allclose(result, np.moveaxis(expected, 1, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, (8, 12, 9)),
        ({"grid_stride": 4}, (16, 24, 9)),
        ({"grid_stride": 32}, (2, 3, 9)),
        ({"layers": ["coarse"]}, (8, 12, 5)),
        ({"image_size": 40}, (5, 5, 9)),
        ({"image_size": (64, 96), "crop_size": (32, 48)}, (4, 6, 9)),
        ({"image_size": 40, "crop_size": 24}, (3, 3, 9)),
    ],
)
def test_output_shape_is_that_of_the_embeddings(small, images, parameters, expected):
    small.set_params(**parameters)
    assert small.output_shape == expected
    assert small.transform(images).shape == (5, *expected)


def test_layer_depths_are_the_dimensions_of_each_layer_in_their_order(small):
    assert small.layer_depths == (4, 5)
    assert small.set_params(layers=["coarse", "fine"]).layer_depths == (5, 4)


@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos"])
def test_images_are_resized_with_the_filter_asked_for(small, images, resample):
    resampling = Image.Resampling[resample.upper()]
    resized = [Image.fromarray(image).resize((48, 40), resampling) for image in images]
    small.set_params(image_size=(40, 48), resample=resample)
    np.testing.assert_array_equal(small.transform(images), small.transform(resized))


def test_input_size_is_what_the_network_sees():
    assert PatchEmbedder().input_size == (224, 224)
    assert PatchEmbedder(image_size=(64, 96)).input_size == (64, 96)
    assert PatchEmbedder(image_size=256, crop_size=224).input_size == (224, 224)


def test_the_crop_is_the_centre(small, images):
    cropped = small.set_params(crop_size=(32, 48)).transform(images)
    alone = small.set_params(image_size=(32, 48), crop_size=None).transform(images[:, 16:48, 24:72])
    np.testing.assert_array_equal(cropped, alone)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_embeddings_do_not_depend_on_the_batch_size(lite, images, batch_size):
    expected = lite.transform(images)
    result = clone(lite).set_params(batch_size=batch_size).transform(images)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * expected.std())


def test_embeddings_of_large_images_do_not_depend_on_their_company(small):
    images = np.random.default_rng(0).integers(0, 256, (3, 320, 320, 3), np.uint8)
    small.set_params(image_size=320, batch_size=3)
    alone = np.concatenate([small.transform(images[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(small.transform(images), alone, rtol=1e-5, atol=1e-5)


def test_a_path_and_its_array_give_the_same_embedding(lite, images, tmp_path):
    Image.fromarray(images[0]).save(tmp_path / "image.png")
    from_path = lite.transform([tmp_path / "image.png"])
    np.testing.assert_array_equal(from_path, lite.transform(images[:1]))


def test_bfloat16_differs_little_and_gives_float32(lite, images):
    exact = lite.transform(images)
    rounded = clone(lite).set_params(precision="bfloat16").transform(images)
    assert rounded.dtype == np.float32
    assert not np.array_equal(rounded, exact)
    assert np.abs(rounded - exact).mean() < 0.02 * exact.std()


# Batch by batch


def test_iter_embed_gives_the_embeddings_batch_by_batch(small, images):
    batches = list(small.iter_embed(ImageSequence(images)))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(batches), small.transform(images))


def test_iter_embed_keeps_the_channels_asked_for_in_their_order(lite, images):
    channels = np.array([175, 0, 30, 100, 2])
    kept = np.concatenate(list(lite.iter_embed(ImageSequence(images), channels)))
    expected = lite.transform(images)[..., channels]
    np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([0, 9], "channels range from 0 to 9, but the embeddings have 9"),
        ([-1], "channels range from -1"),
        ([], "non-empty 1-D sequence of integers"),
        ([[0]], "non-empty 1-D sequence of integers"),
        ([0.5], "non-empty 1-D sequence of integers"),
    ],
)
def test_channels_that_do_not_exist_are_an_error_at_once(small, images, channels, message):
    with pytest.raises(ValueError, match=message):
        small.iter_embed(ImageSequence(images), channels)


def test_inference_mode_does_not_leak_between_batches(small, images):
    batches = small.iter_embed(ImageSequence(images))
    next(batches)
    assert not torch.is_inference_mode_enabled()


# Its fingerprint


@pytest.mark.parametrize(
    "parameters",
    [
        {"layers": ("coarse", "fine")},
        {"layers": ("fine",)},
        {"grid_stride": 4},
        {"neighborhood": 1},
        {"alignment": "nearest"},
        {"image_size": (96, 64)},
        {"image_size": (72, 104), "crop_size": (64, 96)},
        {"precision": "bfloat16"},
        {"jpeg_draft": True},
        {"resample": "lanczos"},
        {"random_state": 1},
        {"backbone": lambda: SmallTanh()},
    ],
)
def test_the_fingerprint_changes_with_what_decides_the_embedding(small, parameters):
    before = small.fingerprint()
    assert small.set_params(**parameters).fingerprint() != before


@pytest.mark.parametrize(
    "parameters",
    [
        {"layers": ["fine", "coarse"]},
        {"grid_stride": 8},
        {"image_size": np.array([64, 96])},
        {"crop_size": (64, 96)},
        {"neighborhood": np.int64(3)},
        {"device": "cpu"},
        {"batch_size": 1},
        {"verbose": 1},
        {"backbone": lambda: Small()},
    ],
)
def test_the_fingerprint_does_not_change_with_anything_else(small, parameters):
    before = small.fingerprint()
    assert small.set_params(**parameters).fingerprint() == before


def test_the_fingerprint_is_that_of_the_file_not_of_its_path(tmp_path):
    def fingerprint(name):
        return PatchEmbedder("resnet18", weights=tmp_path / name, image_size=64).fingerprint()

    network = get_model("resnet18", weights=None)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    torch.save(network.state_dict(), tmp_path / "same.pth")
    before = fingerprint("weights.pth")
    assert fingerprint("same.pth") == before
    with torch.no_grad():
        network.layer3[0].conv1.weight[0, 0, 0, 0] += 1
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    assert fingerprint("weights.pth") != before


@pytest.mark.parametrize(
    "make_copy", [clone, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_a_copy_with_a_module_has_the_same_fingerprint(make_copy):
    embedder = PatchEmbedder(Small(), layers=["coarse"], image_size=64)
    before = embedder.fingerprint()
    assert make_copy(embedder).fingerprint() == before


@pytest.fixture(scope="module")
def elsewhere():
    """What another process imports for an embedder, and the fingerprint that it has there."""
    code = (
        "import sys, skpadim.embedding; embedder = skpadim.embedding.PatchEmbedder().fit();"
        "print({'torch', 'torchvision', 'timm'} & set(sys.modules));"
        "print(embedder.set_params(image_size=(64, 96)).fingerprint())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_fingerprint_is_the_same_in_another_process(elsewhere):
    assert elsewhere[1] == PatchEmbedder(image_size=(64, 96)).fingerprint()


class Options(nn.Module):
    """Cannot be traced; what it does is in attributes and buffers."""

    def __init__(self, scale=1.0, shift=0.0, dtype=torch.float32):
        super().__init__()
        self.scales = [scale, None]
        self.register_buffer("shift", torch.tensor(shift, dtype=dtype), persistent=False)
        self.register_buffer("nothing", torch.empty(0))
        self.layer = nn.Conv2d(3, 4, 4, stride=4)

    def forward(self, x):
        if x.isnan().any():
            x = x.nan_to_num()
        return self.layer(x * self.scales[0] + self.shift)


@pytest.mark.parametrize("options", [{"scale": 2.0}, {"shift": 1.0}])
def test_options_of_a_network_that_cannot_be_traced_are_in_the_fingerprint(options):
    def fingerprint(**options):
        make = partial(Options, **options)
        return PatchEmbedder(make, layers=["layer"], image_size=64).fingerprint()

    assert fingerprint() == fingerprint()
    assert fingerprint(**options) != fingerprint()


def test_the_statistics_of_the_input_are_in_the_fingerprint():
    def fingerprint(config):
        network = Small()
        network.load_state_dict(state)
        network.pretrained_cfg = config
        return PatchEmbedder(network, layers=["fine"], image_size=64).fingerprint()

    state = Small().state_dict()
    config = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    assert fingerprint(config) == fingerprint(dict(config))
    assert fingerprint(config) != fingerprint({**config, "mean": (0.5, 0.5, 0.4)})


# An estimator of scikit-learn


def test_it_works_without_fit_and_fit_returns_itself(small, images):
    check_is_fitted(small)
    assert small.fit() is small
    assert small.fit(images, None) is small
    np.testing.assert_array_equal(small.fit_transform(images), small.transform(images))


def test_fit_and_use_add_no_public_attribute(small, images):
    small.fit(images).transform(images)
    public = {name for name in vars(small) if not name.startswith("_")}
    assert public == set(small.get_params())


def test_it_tells_scikit_learn_that_it_takes_images():
    tags = sklearn.utils.get_tags(PatchEmbedder())
    assert not tags.requires_fit
    assert not tags.input_tags.two_d_array


def test_data_frames_asked_for_globally_are_not_made(small, images):
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(small.transform(images), np.ndarray)


def test_it_works_in_a_pipeline(small, images):
    pipeline = make_pipeline(small, FunctionTransformer(lambda X: X.mean((1, 2))))
    expected = small.transform(images).mean((1, 2))
    np.testing.assert_array_equal(pipeline.fit_transform(images), expected)


@pytest.mark.parametrize(
    "make_copy", [clone, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
@pytest.mark.parametrize("used", [False, True])
def test_copies_give_the_same_embeddings(small, images, make_copy, used):
    if used:
        small.transform(images)
    duplicate = make_copy(small)
    np.testing.assert_array_equal(duplicate.transform(images), small.transform(images))


def test_a_copy_of_an_embedder_with_a_module_takes_the_module_along(images):
    embedder = PatchEmbedder(Small(), layers=["coarse"], image_size=(64, 96))
    for duplicate in (clone(embedder), pickle.loads(pickle.dumps(embedder))):
        np.testing.assert_array_equal(duplicate.transform(images), embedder.transform(images))


def test_the_network_is_not_pickled(lite, images):
    lite.transform(images)
    assert len(pickle.dumps(lite)) < 2000


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", Small, Small()])
def test_use_does_not_change_the_hash(images, backbone):
    layers = None if backbone == "efficientnet_lite0" else ("coarse",)
    embedder = PatchEmbedder(backbone, layers=layers, image_size=(64, 96), engine="torch")
    before = joblib.hash(embedder)
    embedder.transform(images)
    assert joblib.hash(embedder) == before


def test_the_network_is_built_once(images):
    calls = []

    def make():
        calls.append(1)
        return Small()

    embedder = PatchEmbedder(make, layers=("coarse",), image_size=(64, 96))
    for _ in range(2):
        embedder.transform(images)
        embedder.set_params(neighborhood=1, batch_size=3)
    assert len(calls) == 1


def test_the_network_is_built_again_when_its_parameters_change(small, images):
    before = small.transform(images)
    small.set_params(random_state=1)
    assert not np.array_equal(small.transform(images), before)


def test_a_list_of_layers_may_change_in_place(small, images):
    layers = ["fine"]
    small.set_params(layers=layers)
    assert small.output_shape[-1] == 4
    layers.append("coarse")
    assert small.output_shape[-1] == 9


def test_verbose_shows_the_progress_in_images(small, images, capfd):
    small.set_params(verbose=1).transform(images)
    assert "5/5" in capfd.readouterr().err
    small.set_params(verbose=0).transform(images)
    assert capfd.readouterr() == ("", "")


def test_torch_is_left_as_it_was(small, images):
    def state():
        return (
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
            torch.get_float32_matmul_precision(),
            torch.is_grad_enabled(),
            torch.get_rng_state().sum().item(),
        )

    before = state()
    small.transform(images)
    assert state() == before


def test_importing_it_imports_no_torch(elsewhere):
    assert elsewhere[0] == "set()"


# Errors


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"neighborhood": 2}, "neighborhood=2 must be odd"),
        ({"neighborhood": 0}, "'neighborhood' parameter"),
        ({"alignment": "bicubic"}, "'alignment' parameter"),
        ({"resample": "nearest"}, "'resample' parameter"),
        ({"grid_stride": 0}, "'grid_stride' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
        ({"random_state": None}, "'random_state' parameter"),
        ({"precision": "float16"}, "'precision' parameter"),
        ({"backbone": 3}, "'backbone' parameter"),
        ({"layers": "layer1"}, "'layers' parameter"),
        ({"layers": []}, "non-empty sequence of names"),
        ({"layers": [1]}, "non-empty sequence of names"),
        ({"layers": ["blocks.1", "blocks.1"]}, "a name more than once"),
        ({"image_size": 0}, "'image_size' parameter"),
        ({"image_size": (224, 0)}, r"image_size=\(224, 0\) must be"),
        ({"image_size": (224, 224, 3)}, r"image_size=\(224, 224, 3\) must be"),
        ({"image_size": (224, 22.5)}, r"image_size=\(224, 22.5\) must be"),
        ({"image_size": True}, "image_size=True must be"),
        ({"crop_size": (64, True)}, r"crop_size=\(64, True\) must be"),
        ({"crop_size": (1,)}, r"crop_size=\(1,\) must be"),
        ({"crop_size": 256}, r"crop_size=\(256, 256\) must not be larger than image_size=\(224"),
        ({"image_size": (64, 96), "crop_size": (32, 100)}, "not be larger than image_size"),
    ],
)
def test_invalid_parameters_are_an_error_in_fit_and_in_transform(images, parameters, message):
    embedder = PatchEmbedder(**parameters)
    with pytest.raises(ValueError, match=message):
        embedder.fit()
    with pytest.raises(ValueError, match=message):
        embedder.transform(images)


@pytest.mark.parametrize("device", ["nonsense", "meta", "cuda:99", "xpu:99", "hpu"])
def test_a_device_that_does_not_work_is_an_error(images, device):
    with pytest.raises(ValueError, match=f"device='{device}' does not work here"):
        PatchEmbedder(device=device).transform(images)


def test_images_too_small_for_the_network_are_an_error(images):
    embedder = PatchEmbedder("squeezenet1_0", layers=["features.12"], weights=None, image_size=8)
    with pytest.raises(ValueError, match="cannot take images of 8 x 8 pixels"):
        embedder.transform(images)


def test_images_too_large_for_the_memory_are_an_error(images):
    with pytest.raises(ValueError, match="cannot take images of 1000000 x 1000000 pixels"):
        PatchEmbedder(image_size=10**6).transform(images)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("as_module", [True, False])
def test_a_network_that_gives_no_numbers_is_an_error_that_blames_it(images, value, as_module):
    def damaged():
        network = Small()
        nn.init.constant_(network.coarse.bias, value)
        return network

    backbone = damaged() if as_module else damaged
    embedder = PatchEmbedder(backbone, layers=["coarse"], image_size=(64, 96))
    name = "Small" if as_module else "damaged"
    with pytest.raises(ValueError, match=f"backbone={name} gives NaN or infinite .* weights"):
        embedder.transform(images)


def test_large_numbers_whose_sum_is_infinite_are_numbers(images):
    def large():
        network = Small()
        nn.init.constant_(network.coarse.bias, 1e38)
        return network

    embedder = PatchEmbedder(large, layers=["coarse"], image_size=(64, 96))
    np.testing.assert_allclose(embedder.transform(images), np.float32(1e38))


class Shapes(nn.Module):
    """Layers that give no maps."""

    def __init__(self):
        super().__init__()
        self.flat = nn.Flatten()
        self.pair = Pair()
        self.last = ChannelsLast()
        self.unused = nn.Identity()

    def forward(self, x):
        return self.flat(x), self.pair(x), self.last(x)


class Pair(nn.Module):
    def forward(self, x):
        return x, x


class ChannelsLast(nn.Module):
    def forward(self, x):
        return x[:, :, ::4, ::4].movedim(1, -1)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("flat", r"'flat' gives \(1, 18432\) for one image"),
        ("pair", "'pair' gives tuple for one image"),
        ("last", r"'last' gives \(1, 16, 24, 3\) .* channels were last"),
        ("unused", "'unused' gives NoneType for one image"),
    ],
)
def test_a_layer_that_gives_no_map_is_an_error_that_tells_its_shape(images, layer, message):
    embedder = PatchEmbedder(Shapes, layers=[layer], image_size=(64, 96))
    with pytest.raises(ValueError, match=message):
        embedder.transform(images)
