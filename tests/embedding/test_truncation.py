import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import fx, nn
from torch.nn.utils import weight_norm
from torchvision.models import get_model

from skpadim.embedding._truncation import truncate


def with_random_statistics(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def hooked(network, layers, x):
    """Outputs of layers as copied at the moment they are returned."""
    caught = {}
    for layer in layers:
        network.get_submodule(layer).register_forward_hook(
            lambda _, __, output, layer=layer: caught.__setitem__(layer, output.clone())
        )
    network(x)
    return [caught[layer] for layer in layers]


def assert_equal_to_hooks(network, layers):
    x = torch.randn(2, 3, 16, 16)
    expected = hooked(copy.deepcopy(network), layers, x)
    for out, reference in zip(truncate(network, layers)(x), expected, strict=True):
        torch.testing.assert_close(out, reference, rtol=1e-4, atol=1e-4)


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        yield


@pytest.fixture
def small():
    """Convolution, norm, ReLU in place, and again."""
    return with_random_statistics(
        nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
        )
    )


def n_batch_norms(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("layers", [("layer1", "layer2", "layer3"), ("layer3.1.bn2", "layer1.0")])
def test_a_truncated_resnet_gives_the_outputs_of_its_layers(layers):
    assert_equal_to_hooks(with_random_statistics(get_model("resnet18")), layers)


def test_nothing_is_kept_beyond_the_last_layer(small):
    truncated = truncate(small, ("2",))
    assert sum(isinstance(module, nn.Conv2d) for module in truncated.modules()) == 1


def test_batch_norms_are_folded_into_convolutions(small):
    truncated = truncate(small, ("5",))
    assert n_batch_norms(truncated) == 0


@pytest.mark.parametrize("layers", [("0", "5"), ("3", "0")])
def test_a_wanted_convolution_is_not_folded_with_the_norm_that_follows(small, layers):
    assert_equal_to_hooks(small, layers)


@pytest.mark.parametrize("layers", [("1", "5"), ("4", "1")])
def test_a_wanted_map_is_safe_from_later_layers_that_work_in_place(small, layers):
    assert_equal_to_hooks(small, layers)


def test_a_layer_and_the_last_of_its_own_layers_can_both_be_wanted():
    network = with_random_statistics(get_model("resnet18"))
    assert_equal_to_hooks(network, ("layer2", "layer2.1", "layer2.0"))


class TwoUses(nn.Module):
    """Norms that cannot be folded: of a shared convolution, and of a map with two uses."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.stem_norm = nn.BatchNorm2d(4)
        self.shared = nn.Conv2d(4, 4, 1)
        self.first_norm = nn.BatchNorm2d(4)
        self.second_norm = nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.stem_norm(x)
        return self.second_norm(self.shared(self.first_norm(self.shared(x))))


def test_norms_that_do_not_own_their_convolution_are_left_alone():
    network = with_random_statistics(TwoUses())
    assert_equal_to_hooks(copy.deepcopy(network), ("second_norm",))
    assert n_batch_norms(truncate(network, ("second_norm",))) == 3


# torch points to its successor, but old modules have it still.
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_convolution_that_makes_its_weight_anew_is_not_folded():
    with torch.inference_mode(False):
        network = nn.Sequential(weight_norm(nn.Conv2d(3, 4, 1)), nn.BatchNorm2d(4))
    network = with_random_statistics(network)
    x = torch.randn(2, 3, 16, 16)
    expected = network(x)
    torch.testing.assert_close(truncate(network, ("1",))(x)[0], expected)


def test_a_norm_without_running_statistics_is_not_folded():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    assert_equal_to_hooks(network.eval(), ("1",))


class Discarding(nn.Module):
    """Counts on a ReLU in place, and throws away what it returns."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.convolution(x)
        self.relu(x)
        return self.last(x)


def test_work_in_place_counts_even_if_its_result_is_discarded():
    assert_equal_to_hooks(Discarding().eval(), ("last",))


class Untraceable(nn.Module):
    """Decides by the values of the input."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 5, 1)
        self.unused = nn.Identity()

    def forward(self, x):
        x = self.first(x)
        if x.sum() > 1e9:
            x = self.unused(x)
        return self.second(self.relu(x))


def test_hooks_catch_the_layers_of_a_network_that_cannot_be_traced():
    assert_equal_to_hooks(Untraceable().eval(), ("second", "first"))


def test_threads_do_not_catch_the_outputs_of_each_other():
    truncated = truncate(Untraceable().eval(), ("first", "second"))
    inputs = [torch.full((1, 3, 16, 16), float(number)) for number in range(8)] * 20
    expected = [truncated(x) for x in inputs]

    def run(x):
        with torch.inference_mode():  # each thread has its own
            return truncated(x)

    with ThreadPoolExecutor(4) as pool:
        torch.testing.assert_close(list(pool.map(run, inputs)), expected)


def test_no_hook_stays_on_the_network():
    network = Untraceable().eval()
    truncate(network, ("first",))(torch.randn(1, 3, 4, 4))
    assert not network.first._forward_hooks


def test_a_layer_that_is_not_run_gives_none():
    truncated = truncate(Untraceable().eval(), ("first", "unused"))
    assert truncated(torch.randn(1, 3, 4, 4))[1] is None


def test_threads_may_truncate_networks_while_others_run_theirs():
    def build():
        return nn.Sequential(*[nn.Conv2d(3, 3, 3, padding=1) for _ in range(30)]).eval()

    def run(_):
        with torch.inference_mode():  # each thread has its own
            return running(x)

    running, x = build(), torch.randn(1, 3, 16, 16)
    expected = run(None)
    with ThreadPoolExecutor(4) as pool:
        truncated = pool.map(lambda _: truncate(build(), ("9",)), range(20))
        outputs = pool.map(run, range(200))
        assert all(isinstance(network, fx.GraphModule) for network in truncated)
        assert all(torch.equal(output, expected) for output in outputs)
