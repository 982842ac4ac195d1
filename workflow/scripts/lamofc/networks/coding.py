"""From the arrays of one lambda to the network that codes with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lamofc.networks.elic import HYPER, Elic
from lamofc.networks.scale_hyperprior import ScaleHyperprior


def network(arrays: Mapping[str, np.ndarray]) -> Elic | ScaleHyperprior:
    """The network whose parameters these are."""
    return Elic(arrays) if f"{HYPER}.h_a.0.weight" in arrays else ScaleHyperprior(arrays)
