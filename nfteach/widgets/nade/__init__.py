"""NADE, one pixel after the other."""

from nfteach.widgets.nade.stepper import NADEStepper

__all__ = ["NADEStepper"]
