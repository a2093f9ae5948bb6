"""LiveFigure: a matplotlib figure in which some artists move, painted by the browser."""

from __future__ import annotations

import base64
import pathlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import numpy as np
import traitlets
from matplotlib.figure import Figure

from nfteach.widgets.cells import keep_track
from nfteach.widgets.live.areas import follow
from nfteach.widgets.live.frames import Frames
from nfteach.widgets.live.mover import Moving
from nfteach.widgets.live.packing import in_words, rows_of
from nfteach.widgets.live.packing import packed as _packed
from nfteach.widgets.live.shapes import MovingPoints
from nfteach.widgets.live.still import freeze, paint_order, to_png

__all__ = ["LiveFigure"]

_HERE = pathlib.Path(__file__).parent


class LiveFigure(anywidget.AnyWidget):
    """A matplotlib figure in which some artists move, fast.

    The axes, ticks and titles are drawn once by matplotlib. What moves travels as binary arrays, one message an
    update, and is painted by the browser. The same figure drawn wholly by matplotlib, :meth:`static_png`, is the
    picture that a notebook stores.

    Args:
        figure: an ordinary ``matplotlib.figure.Figure`` (not made by pyplot, which is not safe in callbacks).
        moving: name -> artist. Artists that can move, and what a bare array means for them: an image (rows, columns);
            a scatter plot or a line (n, 2); a line collection (lines, points, 2); a quiver in data coordinates
            (n, 4): x, y, dx, dy; bars (n,), their lengths; a rectangle (4,): x, y, width, height; a polygon (n, 2);
            a text; a :class:`HeatMap` (rows, columns).
        frames: pictures to step through in the browser, without the kernel: each is a dict like the arguments of
            :meth:`update`, and may have a ``label``. See :meth:`set_frames`.
        frame_label: what a frame is called: "layer", "step".
        handles: name -> what a drag does, in words. Scatter plots of one point, among what moves, that can be dragged
            in the picture; :meth:`on_drag` says what comes of it. They may also be set later.
        alt: the picture in words, for those who can't see it.

    Axis limits stay as they are when the figure is handed over; after changing them, a title, or a colour of what
    moves, call :meth:`refresh`.

    Raises:
        ValueError: an artist that can't move, or one that is not in the figure; a handle that is no scatter plot.

    Example:
        >>> from matplotlib.figure import Figure
        >>> figure = Figure(figsize=(3, 3))
        >>> ax = figure.add_subplot(xlim=(-3, 3), ylim=(-3, 3))
        >>> live = LiveFigure(figure, {"samples": ax.scatter([], [])}, alt="samples of the flow")
        >>> live.update(samples=[[0.0, 1.0], [2.0, -1.0]], readout={"mean of x": 1.0, "area": (2.5, "nats")})
        >>> live.readout
        {'mean of x': 1.0, 'area': 2.5}
        >>> live.update(samples=[[0.0, float("nan")]])
        Traceback (most recent call last):
        ...
        ValueError: samples has 1 of 2 numbers that are NaN or infinite; give finite ones
    """

    # The text, not the path: anywidget would watch the file, and keep every widget for that.
    _esm = (_HERE / "live.js").read_text(encoding="utf-8")
    _css = (_HERE / "live.css").read_text(encoding="utf-8")

    # Made when the browser asks for them, not at every update: an update is one message and no more.
    _scene = traitlets.Any().tag(sync=True, to_json=lambda _, live: _packed(live._scene_now()))
    _state = traitlets.Any().tag(sync=True, to_json=lambda _, live: _packed(live._state_now()))
    _frames = traitlets.Any().tag(sync=True, to_json=lambda _, live: _packed(live._stored.told))
    frame = traitlets.Int(0, help="the frame that is shown").tag(sync=True)
    handles = traitlets.Dict(help="name of a point that can be dragged -> what a drag does").tag(sync=True)

    def __init__(
        self,
        figure: Figure,
        moving: Mapping[str, Any],
        *,
        frames: Sequence[Mapping[str, Any]] = (),
        frame_label: str = "frame",
        handles: Mapping[str, str] | None = None,
        alt: str = "",
    ) -> None:
        self.figure, self.alt = figure, alt
        self._lock = threading.RLock()
        self._artists = dict(moving)
        self._moving = {name: follow(name, artist) for name, artist in moving.items()}
        for name, one in self._moving.items():
            if any(artist.get_figure(root=True) is not figure for artist in one.artists):
                raise ValueError(f"{name} is not an artist of this figure")
            if name in ("readout", "label"):
                raise ValueError(f"an artist can't be called {name!r}, which has a meaning of its own; rename it")
        self._readout: dict[str, Any] = {}
        self._error, self._seq = "", 0
        self._on_drag: list[Callable[[str, float, float], None]] = []
        self._unanswered: int | None = None
        self.handles = dict(handles or {})
        self._stored, self._frames_seq = Frames(frame_label), 0
        self._draw_layers()
        if frames:
            self._take_frames(frames)
            self._show_frame()
        super().__init__()
        self.on_msg(self._hear)

    def update(self, *, readout: Mapping[str, Any] | None = None, **values: Any) -> None:
        """Move artists, all or (where one value is wrong) none, and clear the error line.

        Args:
            readout: label -> value, or label -> (value, unit): the table of numbers below the picture, in place of
                the one before.
            values: name -> array, or name -> dict of parts such as ``{"points": ..., "visible": True}``.

        Raises:
            ValueError: an unknown name, a wrong shape, NaN or infinity; nothing has changed then.
        """
        checked = self._checked(values)
        rows = rows_of(readout) if readout is not None else None
        if not checked and rows is None and not self._error:
            return  # there is nothing to tell
        with self._lock:
            # Where there are frames, the browser may show another one than is known here: then all is told again.
            accept = Moving.put if len(self._stored) else Moving.take
            told = {name: accept(self._moving[name], parts) for name, parts in checked.items()}
            content: dict[str, Any] = {"artists": {name: news for name, news in told.items() if news}}
            if readout is not None:
                self._readout = dict(readout)
                content["readout"] = rows
            self._error = content["error"] = ""
            self._tell(content)
            self._settle()

    def show_error(self, words: str) -> None:
        """Show what went wrong, in words, below the picture; the next good update clears it."""
        with self._lock:
            self._error = str(words)
            self._tell({"error": self._error, "artists": {}})

    def on_drag(self, callback: Callable[[str, float, float], None]) -> None:
        """Call ``callback(name, x, y)`` when a handle is dragged to x, y: data coordinates, inside its axes.

        While the callback works, further positions wait in the browser, where the newest replaces the others: a drag
        never queues. What the callback raises is shown in words.
        """
        self._on_drag.append(callback)

    @property
    def error(self) -> str:
        """The words in the error line; empty if all is well."""
        return self._error

    @property
    def readout(self) -> dict[str, float | int | str]:
        """The numbers below the picture: label -> value."""
        values = {label: value[0] if isinstance(value, tuple) else value for label, value in self._readout.items()}
        return {label: value.item() if hasattr(value, "item") else value for label, value in values.items()}

    def artist(self, name: str) -> Any:
        """Return the moving artist ``name``, as it was handed in, with all values that it has been given."""
        with self._lock:
            self._moving[name].settle()
            return self._artists[name]

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The frames, each as name -> parts, with its ``readout`` if it has one; empty without frames."""
        with self._lock:
            return [
                stored["parts"] | ({} if stored["readout"] is None else {"readout": stored["readout"]})
                for stored in self._stored.values
            ]

    def set_frames(self, frames: Sequence[Mapping[str, Any]]) -> None:
        """Send pictures that the browser steps through by itself, also while the kernel is busy or gone.

        Args:
            frames: each a dict like the arguments of :meth:`update` (``readout`` too), with a ``label`` if it has one.

        Raises:
            ValueError: a frame that :meth:`update` would refuse; the frames before stay.
        """
        with self._lock:
            alike = self._take_frames(frames)
            self._error = ""
            # The frame that is shown goes first: it need not wait for the others.
            for first in (True, False) if alike else ():
                news = [
                    self._stored.news(k) if (k == self.frame) is first else {"artists": {}} for k in range(len(frames))
                ]
                self._tell({"artists": {}, "frames": news, "error": ""})
            self._show_frame()
            if not alike:
                self.send_state(["_frames", "_state"])
            self._frames_seq = self._seq

    def refresh(self) -> None:
        """Draw the still parts again: after a change of limits, titles or whatever does not move."""
        with self._lock:
            self._draw_layers()
            self.send_state(["_scene", "_state"])

    def static_png(self, pixel_ratio: float = 1.5, *, colors: int | None = 256) -> bytes:
        """The whole figure, as it is now, drawn by matplotlib; with few ``colors`` it is a third of the size."""
        with self._lock:
            return to_png(self.figure, pixel_ratio, colors=colors)

    def _checked(self, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        unknown = [name for name in values if name not in self._moving]
        if unknown:
            raise ValueError(f"nothing that moves is called {unknown[0]!r}; what moves: {', '.join(self._moving)}")
        checked = {name: self._moving[name].check(value) for name, value in values.items()}
        for name in checked.keys() & self.handles.keys():
            if len(checked[name].get("points", [0])) != 1:
                raise ValueError(f"{name} can be dragged, so it is one point, but has {len(checked[name]['points'])}")
        return checked

    def _tell(self, content: dict[str, Any]) -> None:
        """One message, numbered; it also answers the drag that is worked at, if there is one."""
        self._seq += 1
        content["seq"] = self._seq
        if self._unanswered is not None:
            content["drag"], self._unanswered = self._unanswered, None
        packed = _packed(content)
        self.send(packed["content"], packed["buffers"])

    def _settle(self) -> None:
        """Bring matplotlib's artists up to date, once the browser has been told: pixels first, bookkeeping after."""
        for one in self._moving.values():
            one.settle()

    def _take_frames(self, frames: Sequence[Mapping[str, Any]]) -> bool:
        """Whether they are like those before, so that only what is new need be told."""
        alike = self._stored.replace(frames, self._moving, self._checked)
        if not alike:
            self.frame = min(self.frame, max(len(frames) - 1, 0))
        return alike

    @traitlets.validate("frame")
    def _valid_frame(self, proposal: Any) -> int:
        last = max(len(self._stored) - 1, 0)
        if not 0 <= proposal["value"] <= last:
            raise ValueError(f"frame must be a whole number from 0 to {last}, but is {proposal['value']}")
        return proposal["value"]

    @traitlets.observe("frame")
    def _show_frame(self, _: Any = None) -> None:
        with self._lock:
            if len(self._stored):
                shown = self._stored.values[self.frame]
                for name, parts in shown["parts"].items():
                    self._moving[name].take(parts)
                self._settle()
                if shown["readout"] is not None:
                    self._readout = dict(shown["readout"])

    def _draw_layers(self) -> None:
        freeze(self.figure)
        self._layers, self._order = paint_order(self.figure, self._moving)

    def _scene_now(self) -> dict[str, Any]:
        width, height = self.figure.bbox.size
        placed = {name: one.place(height) for name, one in self._moving.items()}
        layers = [np.frombuffer(png, dtype=np.uint8) for png in self._layers]
        shown = {"alt": self.alt, "layers": layers, "order": self._order, "artists": placed}
        return {"width": float(width), "height": float(height), **shown}

    def _state_now(self) -> dict[str, Any]:
        shown = {"readout": rows_of(self._readout), "error": self._error, "seq": self._seq, "frame": self.frame}
        return {"artists": {name: one.payload() for name, one in self._moving.items()}, **shown}

    def _hear(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        # A front end asks when it starts (it may have missed updates) and when the picture has come to rest
        # (so that a saved notebook or a second view has it).
        if content.get("type") == "state" and content.get("seq") != self._seq:
            with self._lock:
                late = content.get("seq", -1) < self._frames_seq
                self.send_state(["_frames", "_state"] if late else ["_state"])
        if content.get("type") == "drag":
            self._drag(content["name"], content["at"], content["drag"])

    def _drag(self, name: str, at: tuple[float, float], number: int) -> None:
        # No lock around the callbacks: an explorer's callback takes its own lock first, then this one.
        self._unanswered = number
        try:
            x, y = self._moving[name].data_at(at[0], self.figure.bbox.height - at[1])
            for callback in self._on_drag:
                callback(name, x, y)
        except Exception as error:
            self.show_error(in_words(error))
        with self._lock:
            if self._unanswered is not None:
                self._tell({"artists": {}})

    @traitlets.validate("handles")
    def _valid_handles(self, proposal: Any) -> dict[str, str]:
        for name in proposal["value"]:
            if not isinstance(self._moving.get(name), MovingPoints):
                points = [other for other, one in self._moving.items() if isinstance(one, MovingPoints)]
                raise ValueError(f"{name!r} can't be a handle: only a scatter plot can, here {', '.join(points)}")
        return {name: str(words) for name, words in proposal["value"].items()}

    def __repr__(self) -> str:
        return f"LiveFigure({', '.join(self._moving)})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        keep_track(self)
        data, metadata = super()._repr_mimebundle_(**kwargs)
        data["image/png"] = base64.b64encode(self.static_png()).decode("ascii")
        return data, {**metadata, "image/png": {"alt": self.alt}}
