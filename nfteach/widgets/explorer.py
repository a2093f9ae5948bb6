"""Explorer: controls -> state -> a picture with its numbers, a pure function in torch."""

from __future__ import annotations

import base64
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import ipywidgets
import torch
from torch import Tensor

from nfteach.widgets.cells import close_all_of, keep_track
from nfteach.widgets.controls import Hidden, checked_value, input_of, is_traced, nearest_value
from nfteach.widgets.parts import Handle, Part
from nfteach.widgets.program.ahead import programs_ahead
from nfteach.widgets.program.requests import answer_to, program_for, wiring_of
from nfteach.widgets.stage.figure import LiveFigure
from nfteach.widgets.stage.packing import in_words

__all__ = ["Explorer"]

TRAVEL = 450  # milliseconds in which a preset is reached


class Explorer(ipywidgets.VBox):
    """The base of all explorers: a picture as a pure function of controls.

    A subclass defines two methods; keyboard, mouse, reset, presets, numbers, frames, the error line, the stored
    picture and :meth:`set` for tests come from here.

    - ``build_controls()`` returns name -> control, made with :mod:`nfteach.widgets.controls`;
    - ``picture(s)`` returns name -> part (:mod:`nfteach.widgets.parts`), and ``"readout"``: label -> number. Of the
      state ``s``, real sliders and other traced controls are float64 tensors, all others plain values: ``s.angle``. It
      runs without gradients, maybe in another thread than the notebook's cells: it must not use pyplot. Written in
      torch operations alone, without looking at values of tensors, it can also be recorded and run by the browser. An
      exception in it is shown to the learner in words, so raise ``ValueError`` with a sentence.

    Optional:

    - ``help``: one line above the picture, what to try; ``alt``: the picture in words;
    - ``essential``: the names of the three or four controls that are always in view; the others stand under "more";
    - ``main``: pixels, the width of the column with the picture;
    - ``presets``: name -> values of controls, or a function of the state that returns them; what a preset does not
      name stays;
    - ``followers``: name of a control -> a function of the state that returns the controls that go along when it is
      moved;
    - ``drag(name, s, *values)`` returns control -> number, for what is dragged, painted or clicked in the picture;
      by default a :class:`~nfteach.widgets.parts.Handle` moves the controls that it names;
    - ``step``: the name of a control that steps through frames: whole numbers from 0, or a choice among as many
      options; the browser then holds all frames and moves from one to the next by itself. ``pictures(s)`` returns
      them, by default one ``picture`` for each step; where it returns none, ``picture(s)`` is shown. ``autoplay``:
      whether they are played once when they are first seen.

    Args:
        **state: initial values of controls, in place of the explorer's own.

    Attributes:
        controls: name -> ipywidget.
        live: the :class:`~nfteach.widgets.LiveFigure`.
        exception: what the last ``picture`` raised, with its traceback; None if all is well.

    Example:
        >>> import torch
        >>> from nfteach.widgets.controls import slider
        >>> from nfteach.widgets.parts import Dots, Plane
        >>> class Shear(Explorer):
        ...     help = "Shear the cloud: its area stays what it was."
        ...     presets = {"much": {"shear": 2.0}}
        ...
        ...     def __init__(self, points=500, **state):
        ...         self.z = torch.randn(points, 2, generator=torch.Generator().manual_seed(0)).double()
        ...         super().__init__(**state)
        ...
        ...     def build_controls(self):
        ...         return {"shear": slider("shear", -3, 3, value=0.5)}
        ...
        ...     def picture(self, s):
        ...         x = self.z + s.shear * self.z.flip(1) * torch.tensor([1.0, 0.0])
        ...         return {"plane": Plane({"samples": Dots(x)}), "readout": {"det J": torch.ones(())}}
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

    help: str = ""
    alt: str = "a picture that moves"
    essential: Sequence[str] = ()
    presets: Mapping[str, Mapping[str, Any] | Callable[[SimpleNamespace], Mapping[str, Any]]] = {}
    followers: Mapping[str, Callable[[SimpleNamespace], Mapping[str, Any]]] = {}
    main: int = 560
    step: str | None = None
    autoplay: bool = False

    def __init__(self, **state: Any) -> None:
        # Callbacks run in another thread than cells (ipykernel >= 7): whoever changes the state holds this lock.
        self._lock = threading.RLock()
        self._quiet = False
        # Moves are counted as they come, and computations as they begin.
        self._count, self._computed = itertools.count(), -1
        self._framed: dict[str, Any] | None = None  # the state, but for the step, whose frames are shown
        self.exception: Exception | None = None
        self.controls: dict[str, ipywidgets.Widget] = self.build_controls()
        for name, value in self._with_followers(self.checked(state)).items():
            self.controls[name].value = value
        self.initial = self.state
        options = getattr(self.controls[self.step], "options", ()) if self.step else ()
        self.live = LiveFigure(
            step=self.step or "step",
            stops=[str(option[0] if isinstance(option, tuple) else option) for option in options],
            main=self.main,
            help=self.help,
            alt=self.alt,
            autoplay=self.autoplay,
        )
        self.live.on_gesture(self._gesture)
        self._show()
        if self.step:
            self.live.observe(lambda change: setattr(self.controls[self.step], self._step_trait, change.new), "frame")
        self.live.connect(wiring_of(self), lambda wanted: answer_to(self, wanted))
        super().__init__([self.live, *self._panel()])
        self.add_class("nfteach-explorer")
        for control in self.controls.values():
            control.observe(self._moved, "value")

    def close(self) -> None:
        """Close the explorer and all its parts, in the browser, too."""
        close_all_of(self)
        super().close()

    # ---- what a subclass defines ---------------------------------------------------------------------------------

    def build_controls(self) -> dict[str, ipywidgets.Widget]:
        """Return name -> control."""
        raise TypeError(f"{type(self).__name__} has no controls: define build_controls(self)")

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        """Return name -> part, and the readout, for a state of the controls."""
        raise TypeError(f"{type(self).__name__} has no picture: define picture(self, s)")

    def pictures(self, s: SimpleNamespace) -> list[dict[str, Any]]:
        """Return one picture for each step."""
        steps = range(self.controls[self.step].max + 1)
        return [self.picture(SimpleNamespace(**{**vars(s), self.step: step})) for step in steps]

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        """Return control -> number for a gesture on the mark or part ``name``, of numbers float64 ().

        By default, these are the new position of a handle.
        """
        handle = self.live.mark(name)
        if not isinstance(handle, Handle):
            return {}
        return {control: value for control, value in zip((handle.x, handle.y), values, strict=True) if control}

    # ---- state ---------------------------------------------------------------------------------------------------

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
    def parts(self) -> dict[str, Part]:
        """The parts shown, with their tensors: name -> part."""
        return self.live.parts

    @property
    def error(self) -> str:
        """What went wrong, in words; empty if all is well."""
        return self.live.error

    def set(self, **state: Any) -> None:
        """Move controls, as a learner would, and compute once.

        Raises:
            ValueError: a name that is no control, or a value outside its range; nothing has changed then.
        """
        self._set(self._with_followers(self.checked(state)))

    def reset(self) -> None:
        """Return to where the explorer began."""
        self._set(self.initial, TRAVEL)

    def preset(self, name: str) -> None:
        """Show a preset; controls that it does not name stay where they are."""
        if name not in self.presets:
            raise ValueError(f"there is no preset {name!r}; there are: {', '.join(map(repr, self.presets))}")
        wanted = self.presets[name]
        self._set(self._valued(wanted(self._now()), name) if callable(wanted) else self.checked(wanted), TRAVEL)

    def _set(self, state: Mapping[str, Any], travel: int = 0) -> None:
        with self._lock, ExitStack() as later:
            self._quiet = True
            try:
                for name, value in state.items():
                    # The browser is sent the picture first, then where the sliders stand.
                    later.enter_context(self.controls[name].hold_sync())
                    self.controls[name].value = value
            finally:
                self._quiet = False
            self._show(travel)

    def _gesture(self, name: str, *values: float) -> None:
        with self._lock, torch.no_grad():
            wanted = self.drag(name, self._now(), *torch.tensor(values, dtype=torch.float64))
        self.set(**self._valued(wanted, name))

    def _valued(self, wanted: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Return what a gesture or a preset makes of controls as values that they take; ``by`` is its name."""
        state = {}
        for name, value in wanted.items():
            if name not in self.controls:
                raise ValueError(
                    f"{by!r} must move controls, but {name!r} is none; there are: {', '.join(self.controls)}"
                )
            control = self.controls[name]
            if not hasattr(control, "options") and getattr(value, "ndim", None) == 0:
                value = value.item()
            state[name] = nearest_value(control, value) if hasattr(control, "step") else value
        return self.checked(state)

    def _with_followers(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state with what follows its controls, unless it names that, too."""
        followed: dict[str, Any] = {}
        for name in self.followers.keys() & state.keys():
            followed |= self.checked(self.followers[name](self._now(state)))
        return followed | dict(state)

    def checked(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return name -> value as controls take them.

        Raises:
            ValueError: a name that is no control, or a value outside its range.
        """
        for name in state:
            if name not in self.controls:
                raise ValueError(f"there is no control {name!r}; there are: {', '.join(self.controls)}")
        return {name: checked_value(name, self.controls[name], value) for name, value in state.items()}

    def _moved(self, change: Any) -> None:
        move = next(self._count)
        with self._lock:
            # A computation that began after the move has shown it already.
            if self._quiet or move <= self._computed:
                return
            led = [name for name in self.followers if self.controls[name] is change.owner]
            if led:
                self.set(**{led[0]: change.new})
            else:
                self._show()

    def _now(self, state: Mapping[str, Any] | None = None) -> SimpleNamespace:
        """Return the state, in part replaced, as ``picture`` takes it."""
        now = {**self.state, **(state or {})}.items()
        controls = self.controls
        return SimpleNamespace(**{k: input_of(controls[k], v) if is_traced(controls[k]) else v for k, v in now})

    def _show(self, travel: int = 0) -> None:
        self._computed = next(self._count)
        try:
            if self.step:
                self._show_frames(travel)
                self.exception = None
                return
            with torch.no_grad(), _one_thread():
                picture = self.picture(self._now())
            self.live.update(picture, travel=travel)
            self.exception = None
        except Exception as error:
            # Shown, not raised: in a callback nobody would see it. `exception` keeps it for whoever looks closer.
            self.exception = error
            self.live.show_error(in_words(error))

    @property
    def _step_trait(self) -> str:
        """The trait of the control of steps that counts frames from 0."""
        return "index" if hasattr(self.controls[self.step], "options") else "value"

    def _show_frames(self, travel: int = 0) -> None:
        others = {name: value for name, value in self.state.items() if name != self.step}
        if others != self._framed:
            self._framed = None
            with torch.no_grad(), _one_thread():
                frames = self.pictures(self._now())
                picture = None if frames else self.picture(self._now())
            if picture is None:
                self.live.set_frames(frames, travel=travel)
            else:
                self.live.update(picture, travel=travel)
            self._framed = others
        if self.live.frames:
            self.live.frame = getattr(self.controls[self.step], self._step_trait)

    # ---- programs ------------------------------------------------------------------------------------------------

    def program(self, move: str = "", values: Sequence[float] = (), **state: Any) -> dict[str, Any]:
        """Return the picture, or what moves controls, recorded for the browser: a program for the choices of a state.

        Args:
            move: the name of a mark or part that is dragged, "preset NAME" or "follow NAME"; empty for the picture.
            values: those of the gesture.
            **state: values of controls, in place of those that they have.

        Raises:
            Refused: what cannot be recorded; the message names the line.
            ValueError: what ``picture`` raises, or a state that is none.
        """
        with _one_thread():
            return program_for(self, move, values, {**self.state, **self.checked(state)})

    def prepare(self) -> None:
        """Record programs for a page without a kernel, and keep them in the widget's state."""
        self.live.store_programs(programs_ahead(self))

    @property
    def has_own_drag(self) -> bool:
        """Whether a gesture does more than to move the controls that a handle names."""
        return type(self).drag is not Explorer.drag

    # ---- what is seen --------------------------------------------------------------------------------------------

    def _panel(self) -> Iterator[ipywidgets.Widget]:
        """Yield the rows below the picture: the essential controls; the presets; the other controls."""
        shown = {name: one for name, one in self.controls.items() if name != self.step and not isinstance(one, Hidden)}
        first = [shown[name] for name in self.essential] or list(shown.values())[:4]
        rest = [control for control in shown.values() if all(control is not one for one in first)]
        yield self._row(first, "nfteach-controls")
        buttons = []
        for name in (*self.presets, "reset"):
            button = ipywidgets.Button(description=name, layout={"width": "auto"}, tooltip=name)
            button.on_click(lambda _, name=name: self.reset() if name == "reset" else self.preset(name))
            button.add_class("nfteach-reset" if name == "reset" else "nfteach-preset")
            buttons.append(button)
        yield self._row(buttons, "nfteach-chips")
        if rest:
            more = ipywidgets.Accordion([self._row(rest, "nfteach-controls")], titles=("more",))
            more.add_class("nfteach-more")
            yield more

    @staticmethod
    def _row(widgets: Sequence[ipywidgets.Widget], name: str) -> ipywidgets.Widget:
        row = ipywidgets.HBox(list(widgets), layout={"flex_flow": "row wrap", "overflow": "visible"})
        row.add_class(name)
        return row

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
    """Run torch in one thread, in this thread only: others, such as a cell that trains, keep theirs.

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
