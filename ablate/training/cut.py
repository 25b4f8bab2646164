"""A network cut in two where its frozen layers end: the trunk, which nothing in training changes, and the head above it.

The network's forward pass is traced by torch.fx. A layer is opened only where it holds both frozen and trainable parameters; every
other layer is called as it stands, so most of a network's own code is never traced. Both halves hold the network's own layers, not
copies of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

_RANDOM = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, torch.dropout, torch.bernoulli}


class NoCut(Exception):
    """Says why a network cannot be cut."""


@dataclass(frozen=True)
class Halves:
    """`head(trunk(images))` is what the network gives for images, in the mode that it was cut in. `last` names the trunk's last step."""

    trunk: fx.GraphModule
    head: fx.GraphModule
    last: str


def cut(network: nn.Module, still: Collection[nn.Module]) -> Halves:
    """The halves of a network in the mode that it is in; `still` are the BatchNorm layers that stay in evaluation mode.

    The cut is as high as one value is all that crosses it. Raises NoCut where the first layers train, and where the forward
    pass cannot be traced.
    """
    others = [name for name, of in inspect.signature(network.forward).parameters.items() if of.default is not of.empty]
    given = {name: inspect.signature(network.forward).parameters[name].default for name in others}
    try:
        graph = _Tracer().trace(network, given)
    except Exception as error:  # the network's own code runs here, and may object to being traced in any way
        raise NoCut(f"its forward pass cannot be traced ({type(error).__name__}: {error})") from error
    below = _below(network, graph, {id(module) for module in still})
    for node in reversed(graph.nodes):
        if node in below and node.op.startswith("call") and not _counts(node):
            inside = _ancestors(node)
            if all(_stays_inside(one, inside) for one in inside - {node}):
                return Halves(_trunk(network, graph, node), _head(network, graph, node, inside), node.name)
    raise NoCut("none of its first layers is frozen")


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return len({parameter.requires_grad for parameter in m.parameters()}) < 2


def _below(network: nn.Module, graph: fx.Graph, still: set[int]) -> set[fx.Node]:
    """The steps that follow from the images and from frozen layers alone, and draw nothing."""
    below: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "output" or not below.issuperset(node.all_input_nodes):
            continue
        if node.op == "call_module":
            fixed = _is_fixed(network.get_submodule(str(node.target)), still)
        elif node.op == "get_attr":
            fixed = not _attribute(network, str(node.target)).requires_grad
        else:
            fixed = node.target not in _RANDOM
        if fixed:
            below.add(node)
    return below


def _is_fixed(layer: nn.Module, still: set[int]) -> bool:
    if any(parameter.requires_grad for parameter in layer.parameters()):
        return False
    inside = list(layer.modules())
    if any(isinstance(module, _DropoutNd) and module.p > 0 for module in inside):
        return False
    return all(id(module) in still for module in inside if isinstance(module, _BatchNorm))


def _attribute(network: nn.Module, path: str) -> Any:
    found: Any = network
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found, waiting = {node}, [node]
    while waiting:
        new = set(waiting.pop().all_input_nodes) - found
        found |= new
        waiting += new
    return found


def _stays_inside(node: fx.Node, inside: set[fx.Node]) -> bool:
    """Whether a step's value is needed by no other than these; parameters, and how many images there are, are to be had above a cut too."""
    return node.op == "get_attr" or all(user in inside or _counts(user) for user in node.users)


def _counts(node: fx.Node) -> bool:
    """Whether a step only asks how many images there are."""
    return node.op == "call_method" and node.target == "size" and node.args[1:] == (0,)


def _trunk(network: nn.Module, graph: fx.Graph, last: fx.Node) -> fx.GraphModule:
    half, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in graph.nodes:
        copies[node] = half.node_copy(node, lambda of: copies[of])
        if node is last:
            break
    half.output(copies[last])
    return _module(network, half)


def _head(network: nn.Module, graph: fx.Graph, last: fx.Node, inside: set[fx.Node]) -> fx.GraphModule:
    half, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    copies[last] = half.placeholder("kept")
    for node in graph.nodes:
        if _counts(node):
            copies[node] = half.call_method("size", (copies[last], 0))
        elif node.op == "get_attr" or node not in inside:
            copies[node] = half.node_copy(node, lambda of: copies[of])
    return _module(network, half)


def _module(network: nn.Module, half: fx.Graph) -> fx.GraphModule:
    """Without the steps that lead nowhere."""
    made = fx.GraphModule(network, half)
    made.graph.eliminate_dead_code()
    made.recompile()
    made.delete_all_unused_submodules()
    return made
