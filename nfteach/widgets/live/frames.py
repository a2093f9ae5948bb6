"""Pictures that the browser steps through by itself: what they hold, and what of them is new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nfteach.widgets.live.mover import Moving, same
from nfteach.widgets.live.packing import rows_of

__all__ = ["Frames"]


class Frames:
    """The frames of a live figure.

    Args:
        label: what a frame is called: "layer", "step".

    Attributes:
        values: for each frame its checked ``parts``, by the artist's name, and its ``readout``, or None.
        told: all that the browser knows of them.
    """

    def __init__(self, label: str) -> None:
        self.values: list[dict[str, Any]] = []
        self.told: dict[str, Any] = {"label": label, "list": []}

    def __len__(self) -> int:
        return len(self.values)

    def replace(
        self,
        frames: Sequence[Mapping[str, Any]],
        moving: Mapping[str, Moving],
        check: Callable[[Mapping[str, Any]], dict[str, dict[str, Any]]],
    ) -> list[dict[str, Any]] | None:
        """Take new frames; the old ones stay if a new one is refused.

        Args:
            frames: each like the arguments of ``LiveFigure.update``, with a ``label`` if it has one.
            moving: name -> artist.
            check: what an update does to values.

        Returns:
            What of each frame is new to the browser; None if it must be told all of them.

        Raises:
            ValueError: a frame that an update would refuse.
        """
        values, told = [], []
        for index, frame in enumerate(frames):
            given = dict(frame)
            label, readout = given.pop("label", ""), given.pop("readout", None)
            try:
                written = None if readout is None else rows_of(readout)
                values.append({"parts": check(given), "readout": readout})
            except ValueError as error:
                raise ValueError(f"frame {index}: {error}") from error
            told.append({"label": str(label), "error": "", "readout": written})
        before = [value["parts"] for value in self.values]
        after = [value["parts"] for value in values]
        alike = [parts.keys() for parts in before] == [parts.keys() for parts in after]
        for index, parts in enumerate(after):
            # Most of a picture is the same when one slider moves: only the rest is made, and sent, again.
            new = {name: p for name, p in parts.items() if not (alike and same(p, before[index][name]))}
            told[index]["artists"] = {name: moving[name].put(p) for name, p in new.items()}
        self.values = values
        if not alike:
            self.told["list"] = told
            return None
        for known, new in zip(self.told["list"], told, strict=True):
            artists = {name: {**one, **new["artists"].get(name, {})} for name, one in known["artists"].items()}
            known |= {**new, "artists": artists}
        return told
