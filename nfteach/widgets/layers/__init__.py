"""A stack of layers, one after the other."""

from nfteach.widgets.layers.stepper import LayerStepper

__all__ = ["LayerStepper"]
