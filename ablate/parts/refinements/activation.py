"""The activation function.

Paper    relu: Nair & Hinton 2010; leaky_relu (slope 0.01): Maas et al. 2013; elu: Clevert et al. 2016 (arXiv 1511.07289); gelu:
         Hendrycks & Gimpel 2016 (arXiv 1606.08415); silu, also called swish: Ramachandran et al. 2017 (arXiv 1710.05941); mish:
         Misra 2019 (arXiv 1908.08681); hard_swish: Howard et al. 2019 (arXiv 1905.02244).
Formula  torch's layer of that name takes the place of every ReLU. First weights are drawn as for ReLU, so that arms share them.
Recipe   model.activation: gelu
When     To see what a newer network owes to its activation. The smooth ones cost more memory: they do not work in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ablate.parts.declare import Field, Refinement, Settings

if TYPE_CHECKING:
    from torch import nn

PATH = "model.activation"
LAYERS = {
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "hard_swish": "Hardswish",
}
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "mish", "hard_swish"]


def change(network: nn.Module, settings: Settings) -> None:
    from torch import nn

    from ablate.parts.residual import replace

    for holder, name, _ in replace(network, nn.ReLU):
        setattr(holder, name, getattr(nn, LAYERS[settings[PATH]])())


PART = Refinement(
    name="activation",
    acts=("network",),
    fields={PATH: Field(Activation, "relu", "in place of each ReLU", "relu")},
    is_off=lambda settings: settings[PATH] == "relu",
    change=change,
    is_variant=True,
    on={PATH: "gelu"},
)
