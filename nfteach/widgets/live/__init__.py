"""A matplotlib figure that moves: what the author says, what is sent, what is kept."""

from nfteach.widgets.live.figure import LiveFigure
from nfteach.widgets.live.moving import HeatMap

__all__ = ["HeatMap", "LiveFigure"]
