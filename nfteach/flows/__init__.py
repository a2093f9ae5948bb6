"""The mathematics of normalizing flows. Needs torch and nothing else."""

from .flow import Flow, FlowDistribution, InverseFlow, Permutation, Stack, Step
from .planar import Planar
from .realnvp import AffineCoupling, BatchNorm, RealNVP, alternating_mask, half_mask

__all__ = [
    "AffineCoupling",
    "BatchNorm",
    "Flow",
    "FlowDistribution",
    "InverseFlow",
    "Permutation",
    "Planar",
    "RealNVP",
    "Stack",
    "Step",
    "alternating_mask",
    "half_mask",
]
