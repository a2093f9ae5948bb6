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
        self._before: list[dict[str, Any]] = []
        self._told: list[dict[str, Any]] = []
        self._moving: Mapping[str, Moving] = {}
        self.told: dict[str, Any] = {"label": label, "list": []}

    def __len__(self) -> int:
        return len(self.values)

    def replace(
        self,
        frames: Sequence[Mapping[str, Any]],
        moving: Mapping[str, Moving],
        check: Callable[[Mapping[str, Any]], dict[str, dict[str, Any]]],
    ) -> bool:
        """Take new frames; the old ones stay if a new one is refused.

        Args:
            frames: each like the arguments of ``LiveFigure.update``, with a ``label`` if it has one.
            moving: name -> artist.
            check: what an update does to values.

        Returns:
            Whether there are as many as before, of the same artists. Then the browser need only be told what is new:
            :meth:`news`, to be asked of every frame.

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
        alike = [value["parts"].keys() for value in self.values] == [value["parts"].keys() for value in values]
        self._before = self.values if alike else [{"parts": {}} for _ in values]
        self._moving, self._told, self.values = moving, told, values
        if not alike:
            self.told["list"] = [{"artists": {}} for _ in values]
            for index in range(len(values)):
                self.news(index)
        return alike

    def news(self, index: int) -> dict[str, Any]:
        """What of a frame the browser is to be told: most of a picture is the same when one slider moves."""
        before, parts = self._before[index]["parts"], self.values[index]["parts"]
        new = {name: p for name, p in parts.items() if name not in before or not same(p, before[name])}
        told = {**self._told[index], "artists": {name: self._moving[name].put(p) for name, p in new.items()}}
        known = self.told["list"][index]
        artists = {name: {**known["artists"].get(name, {}), **fresh} for name, fresh in told["artists"].items()}
        self.told["list"][index] = {**told, "artists": known["artists"] | artists}
        return told
