"""The palette: one meaning a colour in every lesson and plot.

One picture has to be legible on a white page and on a dark one, so every colour stands out from both. Contrasts, by
WCAG 2, with white and with #111, the ground of JupyterLab's dark theme:

========  =======  =====  ====  ==================================================
name      colour   white  #111  meaning
========  =======  =====  ====  ==================================================
LATENT    #0072B2    5.2   3.6  what is read in latent space: z, its samples
DATA      #D55E00    3.9   4.9  what lives in data space: x, its samples, densities
NEGATIVE  #B96CD2    3.4   5.5  below zero, turned over, folded
POSITIVE  #2E9C4E    3.5   5.4  above zero
SOFT      #767676    4.5   4.2  text, ticks, grids, and whatever belongs to no space
========  =======  =====  ====  ==================================================
"""

from __future__ import annotations

from matplotlib.colors import Colormap, LinearSegmentedColormap, to_rgb

from nfteach.jacobian.views.scale import NEGATIVE, POSITIVE

__all__ = [
    "DATA",
    "INK",
    "LATENT",
    "NEGATIVE",
    "PAPER",
    "POSITIVE",
    "SOFT",
    "tint",
]

# Blue and orange are Okabe and Ito's: https://jfly.uni-koeln.de/color/
LATENT = "#0072B2"
DATA = "#D55E00"
SOFT = "#767676"

PAPER = "#F4F4F4"  #: the ground of printed numbers
INK = "#222222"  #: text on PAPER


def tint(colour: str = DATA, strongest: float = 0.85) -> Colormap:
    """Return a colour map from the page's own ground, through ever stronger tints, to one saturated colour."""
    rgb = to_rgb(colour)
    # 64 steps look like a smooth gradient and keep the files of pictures small.
    return LinearSegmentedColormap.from_list(f"tint {colour}", [(*rgb, 0.0), (*rgb, strongest)], N=64)
