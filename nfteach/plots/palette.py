"""The palette: the same quantity has the same colour in every lesson, plot and widget."""

from __future__ import annotations

__all__ = [
    "BASE",
    "DATA",
    "DENSITY",
    "FORWARD",
    "HIGHLIGHT",
    "INK",
    "INVERSE",
    "MUTED",
    "ONE",
    "SIGNED",
    "ZERO",
]

# Okabe and Ito's colours, which readers with any form of colour blindness can distinguish: https://jfly.uni-koeln.de/color/
BASE = "#0072B2"  #: the base variable z and its samples
DATA = "#D55E00"  #: data x and its samples
FORWARD = "#009E73"  #: the map from input to output
INVERSE = "#CC79A7"  #: the inverse map
HIGHLIGHT = "#E69F00"  #: the centre of attention: a probe, a step, the best
INK = "#222222"  #: text and outlines
MUTED = "#777777"  #: the background: grids, guides, minor elements

ZERO = "#EDEDED"  #: an entry of a Jacobian that is zero by structure; also marked with a dot
ONE = "#F0E442"  #: an entry that is one by structure; also marked with a 1

DENSITY = "cividis"  #: colour map of densities, with even steps of lightness for all readers
SIGNED = "PuOr"  #: colour map of signed quantities, centred at zero
