"""Shown: a report as text, as HTML, and as data."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from torch import Tensor

from .compared import Compared
from .finding import Finding
from .views.document import Document
from .views.html import render_html
from .views.tables import text_table
from .views.text import render_text

__all__ = ["Shown"]

VERSION = 1


class Shown(ABC):
    """A report, a dataclass, that is shown as a document."""

    compared: tuple[Compared, ...]

    @abstractmethod
    def document(self) -> Document:
        """Return what is shown."""

    @abstractmethod
    def __rich_repr__(self) -> Iterator[Any]:
        """Yield what stands in the one-line form: a name, and (key, value) pairs."""

    def text(self, *, width: int | None = None, ascii: bool = False) -> str:
        """Return the report as text; ``print(report)`` prints it.

        Args:
            width: the number of characters in a line, at least 60; by default that of the terminal, at most 96.
            ascii: whether to write plain ASCII. It is done in any case if ``sys.stdout`` cannot encode the signs.

        Raises:
            ValueError: if ``width`` is not a whole number from 60 up.
        """
        return render_text(self.document(), width, ascii)

    def comparisons(self) -> str:
        """Return what was compared as lines of text: the name, the result, and how closely or why not."""
        return "\n".join(text_table([(each.name, each.result, each.words) for each in self.compared], left=3))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as dictionaries, lists, strings, numbers, booleans and None, ready for ``json.dumps``.

        The keys are the attributes of the report. Arrays become nested lists; infinity and NaN, for which JSON has no
        numbers, become the strings "inf", "-inf" and "nan", which ``float`` reads. The version rises when a key goes or
        changes its meaning; new keys may come at any time.
        """
        head = {"report": type(self).__name__, "version": VERSION, "ok": bool(self)}
        return head | {field.name: _data(getattr(self, field.name)) for field in fields(self)}

    def __repr__(self) -> str:
        name, *pairs = self.__rich_repr__()
        return f"{type(self).__name__}({', '.join([name, *(f'{key}={value!r}' for key, value in pairs)])})"

    def __str__(self) -> str:
        return self.text()

    def __format__(self, spec: str) -> str:
        """Format the text of the report; with a specification such as ">80", its one-line form."""
        return format(repr(self), spec) if spec else str(self)

    def _repr_html_(self) -> str:
        return render_html(self.document())


def _data(value: Any) -> Any:
    """Return a value as what JSON can hold."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, np.ndarray | np.generic):
        return _data(value.tolist())
    if isinstance(value, Tensor):
        listed = value.detach().cpu().tolist()
        return listed if value.isfinite().all() and not value.is_complex() else _data(listed)
    if isinstance(value, Shown):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: _data(getattr(value, field.name)) for field in fields(value)}
        return found | {"severity": value.severity} if isinstance(value, Finding) else found
    if isinstance(value, Mapping):
        return {str(key): _data(one) for key, one in value.items()}
    if hasattr(value, "_asdict"):
        return _data(value._asdict())
    if isinstance(value, Collection):
        listed = [_data(one) for one in value]
        return sorted(listed) if isinstance(value, set | frozenset) else listed
    return str(value)
