"""Explorer: controls -> state -> arrays -> a live figure with its numbers."""

from __future__ import annotations

import base64
import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import ipywidgets
import torch

from nfteach.widgets.cells import close_all_of, keep_track
from nfteach.widgets.controls import checked_value, line_up, nearest_value
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.live.packing import in_words

__all__ = ["Explorer"]


class Explorer(ipywidgets.HBox):
    """The base of all explorers: what they have in common.

    A new explorer says three things: its controls, its figure, and how the state of the controls becomes arrays.
    It gets keyboard, mouse, reset, presets, numbers, an error line, the static picture and :meth:`set` for tests.

    - ``build_controls()`` -> dict name -> control, made with :mod:`nfteach.widgets.controls`;
    - ``build_live()`` -> the :class:`LiveFigure`;
    - ``compute(state)`` -> the arguments of ``LiveFigure.update``: arrays, and ``readout``. It runs without
      gradients, maybe in another thread than the notebook's cells: it must not use pyplot. An exception in it is
      shown to the learner in words, so raise ``ValueError`` with a sentence;
    - ``wide``: True for a picture that needs the whole width: then the controls stand above it, not on the left;
    - ``help``: one line, what to try; ``presets``: name -> the changes from the initial state;
    - ``handles``: name of a moving scatter plot of one point -> the two sliders that move when it is dragged in the
      picture, for x and y; None for a direction that stays.

    Args:
        **state: initial values of controls, in place of the explorer's own.

    Attributes:
        controls: name -> ipywidget.
        live: the LiveFigure.
        exception: what the last ``compute`` raised, with its traceback; None if all is well.

    Example:
        >>> import numpy as np
        >>> from matplotlib.figure import Figure
        >>> from nfteach.widgets.controls import slider
        >>> class Shear(Explorer):
        ...     help = "Shear the cloud: its area stays what it was."
        ...     presets = {"much": {"shear": 2.0}}
        ...
        ...     def __init__(self, points=500, **state):
        ...         self.z = np.random.default_rng(0).normal(size=(points, 2))
        ...         super().__init__(**state)
        ...
        ...     def build_controls(self):
        ...         return {"shear": slider("shear", -3, 3, value=0.5)}
        ...
        ...     def build_live(self):
        ...         figure = Figure(figsize=(4, 4))
        ...         ax = figure.add_subplot(xlim=(-6, 6), ylim=(-6, 6), aspect="equal")
        ...         return LiveFigure(figure, {"samples": ax.scatter([], [], s=6)}, alt="a sheared cloud of points")
        ...
        ...     def compute(self, state):
        ...         J = np.array([[1.0, state["shear"]], [0.0, 1.0]])
        ...         return {"samples": self.z @ J.T, "readout": {"det J": np.linalg.det(J)}}
        >>> explorer = Shear()
        >>> explorer.set(shear=1.5)
        >>> explorer
        Shear(shear=1.5)
        >>> explorer.readout
        {'det J': 1.0}
        >>> explorer.set(shear=5)
        Traceback (most recent call last):
        ...
        ValueError: shear must be a number from -3 to 3, but is 5
    """

    wide: bool = False
    help: str = ""
    presets: Mapping[str, Mapping[str, Any]] = {}
    handles: Mapping[str, tuple[str | None, str | None]] = {}

    def __init__(self, **state: Any) -> None:
        # Callbacks run in another thread than cells (ipykernel >= 7): whoever changes the state holds this lock.
        self._lock = threading.RLock()
        self._quiet = False
        # Moves are counted as they come, and computations as they begin.
        self._count, self._computed = itertools.count(), -1
        self.exception: Exception | None = None
        self.controls: dict[str, ipywidgets.Widget] = self.build_controls()
        for name, value in self._checked(state).items():
            self.controls[name].value = value
        self._initial = self.state
        self.live = self.build_live()
        self.live.handles = {name: self._drag_words(name) for name in self.handles}
        self.live.on_drag(lambda *drag: self.set(**self.dragged(*drag)))
        super().__init__([self._panel(), self.live])
        self.add_class("nfteach-explorer")
        # Beside the controls where there is room for it, else below them.
        self.layout.flex_flow, self.layout.align_items = "row wrap", "flex-start"
        self.live.layout.flex, self.live.layout.min_width = "1 1 480px", "0"
        self._show()
        for control in self.controls.values():
            control.observe(self._moved, "value")

    def close(self) -> None:
        """Close the explorer and all its parts, in the browser, too."""
        close_all_of(self)
        super().close()

    def build_controls(self) -> dict[str, ipywidgets.Widget]:
        """Name -> control."""
        raise TypeError(f"{type(self).__name__} has no controls: define build_controls(self)")

    def build_live(self) -> LiveFigure:
        """The picture, and what moves in it."""
        raise TypeError(f"{type(self).__name__} has no picture: define build_live(self)")

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state of the controls -> the arguments of ``LiveFigure.update``."""
        raise TypeError(f"{type(self).__name__} shows nothing: define compute(self, state)")

    @property
    def state(self) -> dict[str, Any]:
        """Name -> value of every control."""
        with self._lock:
            return {name: control.value for name, control in self.controls.items()}

    @property
    def readout(self) -> dict[str, float | int | str]:
        """The numbers shown, label -> value; empty while there is an error."""
        return {} if self.error else self.live.readout

    @property
    def error(self) -> str:
        """What went wrong, in words; empty if all is well."""
        return self.live.error

    def set(self, **state: Any) -> None:
        """Move controls, as a learner would, and compute once.

        Raises:
            ValueError: a name that is no control, or a value outside its range; nothing has changed then.
        """
        checked = self._checked(state)
        with self._lock, ExitStack() as later:
            self._quiet = True
            try:
                for name, value in checked.items():
                    # The browser is sent the picture first, then where the sliders stand.
                    later.enter_context(self.controls[name].hold_sync())
                    self.controls[name].value = value
            finally:
                self._quiet = False
            self._show()

    def reset(self) -> None:
        """Back to where the explorer began."""
        self.set(**self._initial)

    def preset(self, name: str) -> None:
        """Show a preset: its changes from the initial state."""
        if name not in self.presets:
            raise ValueError(f"there is no preset {name!r}; there are: {', '.join(map(repr, self.presets))}")
        self.set(**{**self._initial, **self.presets[name]})

    def dragged(self, name: str, x: float, y: float) -> dict[str, Any]:
        """What a drag of the handle ``name`` to x, y asks for: control -> value, within its range."""
        moved = zip(self.handles[name], (x, y), strict=True)
        return {control: nearest_value(self.controls[control], value) for control, value in moved if control}

    def _drag_words(self, name: str) -> str:
        sliders = [control for control in self.handles[name] if control]
        for control in sliders:
            if not hasattr(self.controls.get(control), "step"):
                raise ValueError(f"the handle {name!r} must move sliders, but {control!r} is none")
        return f"drag to move {' and '.join(self.controls[control].description for control in sliders)}"

    def _checked(self, state: Mapping[str, Any]) -> dict[str, Any]:
        for name in state:
            if name not in self.controls:
                raise ValueError(f"there is no control {name!r}; there are: {', '.join(self.controls)}")
        return {name: checked_value(name, self.controls[name], value) for name, value in state.items()}

    def _moved(self, _: Any) -> None:
        move = next(self._count)
        with self._lock:
            # A computation that began after the move has shown it: what waited here need not be done again.
            if not self._quiet and move > self._computed:
                self._show()

    def _show(self) -> None:
        self._computed = next(self._count)
        try:
            with torch.no_grad(), _one_thread():
                shown = self.compute(self.state)
            self.live.update(**shown)
            self.exception = None
        except Exception as error:
            # Shown, not raised: in a callback nobody would see it. `exception` keeps it for whoever looks closer.
            self.exception = error
            self.live.show_error(in_words(error))

    def _panel(self) -> ipywidgets.Widget:
        line_up(self.controls)
        buttons = []
        for name in ("reset", *self.presets):
            button = ipywidgets.Button(description=name, layout={"width": "auto"}, tooltip=name)
            button.on_click(lambda _, name=name: self.reset() if name == "reset" else self.preset(name))
            button.add_class("nfteach-reset" if name == "reset" else "nfteach-preset")
            buttons.append(button)
        parts = [*self.controls.values(), ipywidgets.HBox(buttons, layout={"flex_flow": "row wrap"})]
        if self.help:
            words = ipywidgets.Label(self.help, layout={"width": "100%", "height": "auto"})
            words.add_class("nfteach-help")
            parts = [words, *parts]
        if not self.wide:
            return ipywidgets.VBox(parts, layout={"width": "290px", "flex": "0 0 auto"})
        for control in self.controls.values():  # beside each other where there is room
            control.layout.width = "290px"
        return ipywidgets.VBox(parts, layout={"width": "100%", "flex_flow": "row wrap", "align_items": "center"})

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={_rounded(value)}" for name, value in self.state.items())
        return f"{type(self).__name__}({values})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        keep_track(self)
        data = {**super()._repr_mimebundle_(**kwargs), "text/plain": repr(self)}
        data["image/png"] = base64.b64encode(self.live.static_png()).decode("ascii")
        return data, {"image/png": {"alt": self.live.alt}}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch in one thread, in this thread only: others, such as a cell that trains, keep theirs.

    What an explorer computes is too small to be shared out. Meanwhile a second thread waits, and the browser, which
    is to paint, has a core less: on two cores a median of 48 ms became 17.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _rounded(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)
