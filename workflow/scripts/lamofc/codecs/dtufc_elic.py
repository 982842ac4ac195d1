"""DT-UFC k-means tables and one-channel ELIC: the second anchor of LaMoFCBench."""

from __future__ import annotations

from dataclasses import dataclass

from lamofc.codecs import dtufc_hyperprior


@dataclass(frozen=True)
class Codec(dtufc_hyperprior.Codec):
    """DT-UFC (arXiv:2506.16495) with the ELIC of LaMoFCBench (arXiv:2605.24025) in the place of its hyperprior.

    ELIC (He et al., CVPR 2022) predicts means and scales of the latents from the hyper-latents, from the groups of
    channels before, and from every second latent of the same group. Fields as there.
    """

    network: str = "elic-small"
