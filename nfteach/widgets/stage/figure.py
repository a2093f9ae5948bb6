"""LiveFigure: a picture of parts that moves in the browser, and the same picture drawn by matplotlib."""

from __future__ import annotations

import base64
import hashlib
import itertools
import pathlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import numpy as np
import traitlets
from matplotlib.figure import Figure

from nfteach.widgets.cells import keep_track
from nfteach.widgets.parts import Number, Part, flatten
from nfteach.widgets.stage.modules import joined
from nfteach.widgets.stage.packing import in_words, packed, rows_of
from nfteach.widgets.stage.printed import figure_of, to_png

__all__ = ["LiveFigure", "flat_picture"]

_HERE = pathlib.Path(__file__).parent
Flat = dict[str, dict[str, Any]]


class LiveFigure(anywidget.AnyWidget):
    """A picture of parts, painted by the browser from arrays.

    An update sends what has changed, as binary arrays in one message. Frames are kept in the browser, which steps
    through them by itself and moves what is drawn from one to the next.

    Args:
        picture: name -> part (:mod:`nfteach.widgets.parts`), with ``"readout"``, label -> number, if it has one.
        frames: pictures to step through, in place of one picture.
        step: what a frame is called: "layer", "step"; stops: the names of the frames, by default 0, 1, ....
        main: pixels, the width of the column with the picture, beside that with the numbers.
        help: one line above the picture: what to try. ``[u](x)`` sets "u" in the colour of the role x.
        alt: the picture in words; the numbers of the readout are added.
        autoplay: whether frames are played once when they come into view (not where less motion is wanted).

    Attributes:
        frame: the index of the frame that is shown.

    Raises:
        ValueError: as :func:`nfteach.widgets.parts.flatten` does.

    Example:
        >>> import torch
        >>> from nfteach.widgets.parts import Dots, Plane
        >>> z = torch.randn(300, 2)
        >>> live = LiveFigure({"plane": Plane({"samples": Dots(z)}), "readout": {"mean": z.mean()}}, alt="samples")
        >>> live.update({"plane": Plane({"samples": Dots(2 * z)}), "readout": {"mean": 2 * z.mean()}})
    """

    # Texts, not paths: anywidget would watch the files, and keep every widget for that.
    _esm = joined(_HERE / "page" / "main.js")
    _css = (_HERE / "stage.css").read_text(encoding="utf-8")
    _state = traitlets.Any().tag(sync=True)
    _frames = traitlets.Any().tag(sync=True)
    _programs = traitlets.Any().tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        picture: Mapping[str, Any] | None = None,
        *,
        frames: Sequence[Mapping[str, Any]] = (),
        step: str = "step",
        stops: Sequence[str] = (),
        main: int = 560,
        help: str = "",
        alt: str = "a picture that moves",
        autoplay: bool = False,
    ) -> None:
        self._lock = threading.RLock()
        self.step, self.stops, self.autoplay = step, list(stops), autoplay
        self.main, self.help, self._alt = main, help, alt.rstrip(".")
        self._flat: Flat = {}
        self._shown: Mapping[str, Any] = {}
        self._pictures: list[Mapping[str, Any]] = []
        self._checked: list[tuple[Flat, dict[str, Number]]] = []
        self._pool: dict[bytes, int] = {}
        self._ids = itertools.count(1)
        self._readout: dict[str, Number] = {}
        self._error, self._seq = "", 0
        self._wiring: dict[str, Any] | None = None
        self._program: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
        self._on_gesture: list[Callable[..., None]] = []
        self._unanswered: int | None = None
        super().__init__()
        self.on_msg(self._hear)
        if frames:
            self.set_frames(frames)
        else:
            self.update(picture or {})

    # ---- what is shown -------------------------------------------------------------------------------------------

    def update(self, picture: Mapping[str, Any], *, travel: int = 0) -> None:
        """Show another picture and clear the error line.

        Args:
            picture: as for the constructor.
            travel: milliseconds in which what is drawn moves to its new place.

        Raises:
            ValueError: a part that cannot be drawn; nothing has changed then.
        """
        flat, readout = flat_picture(picture)
        with self._lock:
            content = self._news(flat, readout, again=bool(self._pictures))
            if self._pictures:
                self._pictures, self._checked, self._pool = [], [], {}
                content |= {"frames": [], "pool": {}}
            if not content and not self._error and self._unanswered is None:
                return
            self._flat, self._shown, self._readout, self._error = flat, picture, readout, ""
            self._tell({**content, "error": "", **({"travel": travel} if travel else {})})

    def set_frames(self, frames: Sequence[Mapping[str, Any]], *, travel: int = 0) -> None:
        """Show frames, which the browser steps through by itself, also while the kernel is busy or gone.

        Args:
            frames: pictures, as for the constructor.
            travel: milliseconds in which what is drawn moves to its new place.

        Raises:
            ValueError: a frame that cannot be drawn; the frames before stay.
        """
        checked = []
        for index, picture in enumerate(frames):
            try:
                checked.append(flat_picture(picture))
            except ValueError as error:
                raise ValueError(f"frame {index}: {error}") from error
        with self._lock:
            self._pictures, self._checked = list(frames), checked
            self.frame = min(self.frame, max(len(checked) - 1, 0))
            self._error = ""
            self._show_frame()
            self._tell({**self._frames_now(known=self._pool), "error": "", **({"travel": travel} if travel else {})})

    def _frames_now(self, known: Mapping[bytes, int]) -> dict[str, Any]:
        """Return all frames, in which an array is ``{"@": id}``, and the arrays that are not ``known`` yet, by id.

        Frames share most of their arrays, among each other and with those before.
        """
        pool, fresh = {}, {}

        def refer(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            key = hashlib.blake2b(repr((value.dtype, value.shape)).encode() + value.tobytes(), digest_size=16).digest()
            if key not in pool:
                pool[key] = self._pool.get(key) or next(self._ids)
                if key not in known:
                    fresh[str(pool[key])] = value
            return {"@": pool[key]}

        frames = [
            {
                "nodes": {path: {name: refer(value) for name, value in node.items()} for path, node in flat.items()},
                "order": list(flat),
                "rows": rows_of(readout),
            }
            for flat, readout in self._checked
        ]
        self._pool = pool
        return {"frames": frames, "pool": fresh}

    @traitlets.validate("frame")
    def _valid_frame(self, proposal: Any) -> int:
        last = max(len(self._pictures) - 1, 0)
        if not 0 <= proposal["value"] <= last:
            raise ValueError(f"frame must be a whole number from 0 to {last}, but is {proposal['value']}")
        return proposal["value"]

    @traitlets.observe("frame")
    def _show_frame(self, _: Any = None) -> None:
        with self._lock:
            if self._pictures:
                self._shown = self._pictures[self.frame]
                self._flat, self._readout = self._checked[self.frame]

    def show_error(self, words: str) -> None:
        """Show what went wrong, in words; the next good update clears it."""
        with self._lock:
            self._error = str(words)
            self._tell({"error": self._error})

    @property
    def error(self) -> str:
        """The words in the error line; empty if all is well."""
        return self._error

    @property
    def parts(self) -> dict[str, Part]:
        """The parts that are shown, with their tensors: name -> part."""
        return {name: part for name, part in self._shown.items() if isinstance(part, Part)}

    def mark(self, name: str) -> Any:
        """Return the mark or part with this name; None if nothing that is shown has it."""
        for part_name, part in self.parts.items():
            if part_name == name:
                return part
            if name in getattr(part, "marks", {}):
                return part.marks[name]
        return None

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The frames, as they were handed in; empty without frames."""
        return [dict(picture) for picture in self._pictures]

    @property
    def readout(self) -> dict[str, float | int | str]:
        """The numbers: label -> value."""
        values = {label: number.value for label, number in self._readout.items()}
        return {label: value.item() if hasattr(value, "item") else value for label, value in values.items()}

    @property
    def alt(self) -> str:
        """The picture in words, with the numbers that are always in view."""
        rows = [row for row in rows_of(self._readout) if not row[5]]
        numbers = [f"{label} {value} {unit}".strip() for label, value, unit, *_ in rows]
        return self._alt + ("" if not numbers else ": " + ", ".join(numbers)) + "."

    def printed(self) -> Figure:
        """Return the picture as it is now, drawn by matplotlib: one axes for each part, in their order."""
        with self._lock:
            return figure_of(self._flat, rows_of(self._readout), self.help, self.main)

    def static_png(self, pixel_ratio: float = 1.25) -> bytes:
        """Return the picture as it is now, drawn by matplotlib, on a transparent ground."""
        with self._lock:
            return to_png(self.printed(), pixel_ratio)

    # ---- what the browser computes -------------------------------------------------------------------------------

    def connect(
        self, wiring: Mapping[str, Any] | None, program: Callable[[Mapping[str, Any]], dict[str, Any]] | None
    ) -> None:
        """Let the browser compute the picture from controls; None and None leave it to the kernel.

        Args:
            wiring: what it has to know of the controls, see ``Wiring`` in ``page/types.d.ts``.
            program: ``program(wanted)`` returns a recorded program (:mod:`nfteach.widgets.program`) for what the
                browser asks for: ``state``, ``move``, ``values``; or ``{"refused": why}``.
        """
        self._wiring, self._program = wiring, program

    def store_programs(self, programs: Sequence[Mapping[str, Any]]) -> None:
        """Keep programs for a page without a kernel."""
        self._programs = packed(programs, share=True)

    # ---- what the browser says -----------------------------------------------------------------------------------

    def on_gesture(self, callback: Callable[..., None]) -> None:
        """Call ``callback(name, *values)`` when something in the picture is dragged, painted or clicked.

        While it works, further positions wait in the browser, where the newest replaces the others. What it raises is
        shown in words.
        """
        self._on_gesture.append(callback)

    def _hear(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        if content.get("type") == "state" and content.get("seq") != self._seq:
            with self._lock:
                self.send_state(["_frames", "_state"])
        if content.get("type") == "program" and self._program is not None:
            # Beside what moves meanwhile: a recording takes from a tenth of a second to two.
            threading.Thread(target=self._send_program, args=(content,), daemon=True).start()
        if content.get("type") == "gesture":
            self._gesture(content["name"], content["values"], content["number"])

    def _send_program(self, content: Mapping[str, Any]) -> None:
        message = packed({"key": content["key"], "program": self._program(content)})
        self.send(message["content"], message["buffers"])

    def _gesture(self, name: str, values: Sequence[float], number: int) -> None:
        # No lock around the callbacks: an explorer's callback takes its own lock first, then this one.
        self._unanswered = number
        try:
            for callback in self._on_gesture:
                callback(name, *values)
        except Exception as error:
            self.show_error(in_words(error))
        with self._lock:
            if self._unanswered is not None:
                self._tell({})

    # ---- what the browser is told --------------------------------------------------------------------------------

    def _news(self, flat: Flat, readout: Mapping[str, Number], *, again: bool) -> dict[str, Any]:
        content: dict[str, Any] = {}
        nodes = _changes({} if again else self._flat, flat)
        if nodes:
            content["nodes"] = nodes
        if again or list(flat) != list(self._flat):
            content["order"] = list(flat)
        rows = rows_of(readout)
        if again or rows != rows_of(self._readout):
            content["rows"] = rows
        return content

    def _tell(self, content: dict[str, Any]) -> None:
        """Send one message, numbered; it also answers the gesture that is worked at, if there is one."""
        self._seq += 1
        content = {**content, "seq": self._seq}
        if self._unanswered is not None:
            content["answers"], self._unanswered = self._unanswered, None
        message = packed(content)
        self.send(message["content"], message["buffers"])

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the state for the browser; the picture is put together only when it is asked for."""
        wanted = {key} if isinstance(key, str) else set(self.keys if key is None else key)
        with self._lock:
            if "_state" in wanted:
                now = {"nodes": self._flat, "order": list(self._flat), "rows": rows_of(self._readout)}
                fixed = {
                    "help": self.help,
                    "alt": self._alt,
                    "error": self._error,
                    "seq": self._seq,
                    "step": self.step,
                    "stops": self.stops,
                    "autoplay": self.autoplay,
                    "main": self.main,
                    "wiring": self._wiring,
                }
                self._trait_values["_state"] = packed({**now, **fixed, "frame": self.frame})
            if "_frames" in wanted:
                self._trait_values["_frames"] = packed(self._frames_now(known={}))
            return super().get_state(key, drop_defaults)

    def __repr__(self) -> str:
        return f"LiveFigure({', '.join(self.parts)})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        keep_track(self)
        data, metadata = super()._repr_mimebundle_(**kwargs)
        data["image/png"] = base64.b64encode(self.static_png()).decode("ascii")
        return data, {**metadata, "image/png": {"alt": self.alt}}


def flat_picture(picture: Mapping[str, Any]) -> tuple[Flat, dict[str, Number]]:
    """Return the flat picture and its readout."""
    given = dict(picture)
    readout = {
        str(label): value if isinstance(value, Number) else Number(value)
        for label, value in given.pop("readout", {}).items()
    }
    rows_of(readout)  # raises if a number is none
    return flatten(given), readout


def _changes(before: Flat, now: Flat) -> dict[str, Any]:
    """Return path -> the fields that are new or different."""
    news = {}
    for path, node in now.items():
        known = before.get(path, {})
        fresh = {name: value for name, value in node.items() if name not in known or not _same(value, known[name])}
        if fresh:
            news[path] = fresh
    return news


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and one.shape == other.shape and one.tobytes() == other.tobytes()
    return bool(one == other)
