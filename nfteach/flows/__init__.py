"""The mathematics of normalizing flows, in torch alone."""

from .distribution import FlowDistribution
from .flow import Flow, InverseFlow, Permutation, Stack, Step
from .images import Squeeze, channel_mask, checkerboard_mask, squeeze, unsqueeze
from .mixture import Mixture
from .multiscale import ConvConditioner, FactorOut, ImageRealNVP
from .nade import NADE, NADEStep
from .orderings import pixel_ordering
from .pixels import Logit, bits_per_dim, dequantise, quantise
from .planar import Planar, PlanarStacks
from .realnvp import AffineCoupling, BatchNorm, RealNVP, alternating_mask, half_mask
from .rnade import RNADE, RNADEStep, TriangularMap
from .spline import SplineCoupling, rational_quadratic, rational_quadratic_inverse, spline_knots

__all__ = [
    "NADE",
    "RNADE",
    "AffineCoupling",
    "BatchNorm",
    "ConvConditioner",
    "FactorOut",
    "Flow",
    "FlowDistribution",
    "ImageRealNVP",
    "InverseFlow",
    "Logit",
    "Mixture",
    "NADEStep",
    "Permutation",
    "Planar",
    "PlanarStacks",
    "RNADEStep",
    "RealNVP",
    "SplineCoupling",
    "Squeeze",
    "Stack",
    "Step",
    "TriangularMap",
    "alternating_mask",
    "bits_per_dim",
    "channel_mask",
    "checkerboard_mask",
    "dequantise",
    "half_mask",
    "pixel_ordering",
    "quantise",
    "rational_quadratic",
    "rational_quadratic_inverse",
    "spline_knots",
    "squeeze",
    "unsqueeze",
]
