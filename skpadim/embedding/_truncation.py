"""Networks reduced to what some of their layers need."""

import threading
from collections import Counter
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# While torch.fx traces, it replaces methods of all modules.
_TRACING = threading.Lock()


def truncate(network: nn.Module, layers: tuple[str, ...]) -> nn.Module:
    """Return a network that gives a list of the outputs of layers; `network` is used up."""
    tracer = _LayerTracer()
    try:
        with _TRACING:
            graph = tracer.trace(network)
        nodes = [tracer.outputs[layer].node for layer in layers]
    except Exception:
        # Tracing runs code that was not written for it; there is no list of what it may raise.
        return _HookedNetwork(network, layers)
    _end_graph(graph, nodes)
    truncated = fx.GraphModule(network, graph)
    _fold_batch_norms(truncated)
    return truncated


class _LayerTracer(fx.Tracer):
    """Tracer that remembers what each submodule has returned."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, Any] = {}
        self._thread = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:
            # Another thread runs a network that has nothing to do with this one.
            return forward(*args, **kwargs)
        output = super().call_module(m, forward, args, kwargs)
        self.outputs[self.path_of_module(m)] = output
        return output


def _end_graph(graph: fx.Graph, nodes: list[fx.Node]) -> None:
    """Return the nodes, and do nothing after the last of them."""
    # What comes before stays, used or not: it may work in place.
    for node in reversed(graph.nodes):
        if node in nodes:
            break
        graph.erase_node(node)
    maps = {}
    for node in nodes:
        maps[node] = node
        if node.users:
            # A later layer may overwrite the map: ReLUs and additions like to work in place.
            with graph.inserting_after(node):
                maps[node] = graph.call_method("clone", (node,))
    graph.output([maps[node] for node in nodes])


def _fold_batch_norms(network: fx.GraphModule) -> None:
    """Multiply the batch norms in evaluation mode into the convolutions that feed them alone."""
    modules = dict(network.named_modules())
    calls = Counter(node.target for node in network.graph.nodes if node.op == "call_module")

    def is_called_once(node: Any, kind: type[nn.Module]) -> bool:
        return (
            node.op == "call_module"
            and type(modules[node.target]) is kind
            and calls[node.target] == 1
        )

    for node in network.graph.nodes:
        if not is_called_once(node, nn.BatchNorm2d):
            continue
        (source,) = node.all_input_nodes
        if not is_called_once(source, nn.Conv2d) or len(source.users) > 1:
            continue
        convolution, norm = modules[source.target], modules[node.target]
        # torch.nn.utils.weight_norm makes the weight anew on each call, and would undo this.
        if "weight" not in dict(convolution.named_parameters()) or norm.running_mean is None:
            continue
        network.add_submodule(source.target, fuse_conv_bn_eval(convolution, norm))
        node.replace_all_uses_with(source)
        network.graph.erase_node(node)
    network.delete_all_unused_submodules()
    network.recompile()


class _HookedNetwork(nn.Module):
    """Network that runs whole while hooks catch the outputs of some layers."""

    def __init__(self, network: nn.Module, layers: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.layers = layers
        # A hook catches what any thread computes.
        self._lock = threading.Lock()

    def forward(self, x: torch.Tensor) -> list[Any]:
        with self._lock:
            return self._catch(x)

    def _catch(self, x: torch.Tensor) -> list[Any]:
        caught = {}

        def catch(layer: str) -> Any:
            def hook(module: nn.Module, args: Any, output: Any) -> None:
                caught[layer] = output.clone() if isinstance(output, torch.Tensor) else output

            return hook

        handles = [
            self.network.get_submodule(layer).register_forward_hook(catch(layer))
            for layer in self.layers
        ]
        try:
            self.network(x)
        finally:
            for handle in handles:
                handle.remove()
        return [caught.get(layer) for layer in self.layers]


class ReorderedNetwork(nn.Module):
    """Network whose list of maps is put in another order, and channels first."""

    def __init__(self, network: nn.Module, order: list[int], channels_last: bool) -> None:
        super().__init__()
        self.network = network
        self.order = order
        self.channels_last = channels_last

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the maps (batch, channels, rows, columns) in their order."""
        maps = self.network(x)
        maps = [maps[index] for index in self.order]
        return [features.movedim(-1, 1) for features in maps] if self.channels_last else maps
