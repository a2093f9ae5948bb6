"""A picture of parts: told to the browser, and drawn by matplotlib."""

from nfteach.widgets.stage.figure import LiveFigure

__all__ = ["LiveFigure"]
