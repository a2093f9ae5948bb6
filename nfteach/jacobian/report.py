"""Reports: what was measured of a map, what follows from it, ``check`` for tests; as text, as HTML, and as data."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from numbers import Real
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from .compared import DIFFERS, NAMES, UNCHECKED, Compared
from .diagnose import Diagnosis
from .finding import ERRORS, NOTES, Finding
from .views.document import Document
from .views.html import render_html
from .views.text import render_text, text_table
from .views.words import jacobian_document

__all__ = ["Accepted", "JacobianReport", "Shown", "failures"]

VERSION = 1


class Accepted(NamedTuple):
    """Comparisons that ``check`` requires, findings that it accepts, and errors that it accepts by their size."""

    require: Collection[str]
    ignore: Collection[str]
    atol: float
    rtol: float

    def small(self, gap: Tensor | float, size: Tensor | float) -> bool:
        """Return True for gaps that are accepted, relative to the sizes of what is off."""
        return bool(torch.as_tensor(gap <= self.atol + self.rtol * size).all())


def failures(findings: Iterable[Finding], report: Diagnosis | None, accepted: Accepted) -> list[str]:
    """Return what is wrong with one map, in words: errors that are not accepted, and comparisons that are missing."""
    wrong = [
        str(finding)
        for finding in findings
        if finding.severity == "error"
        and finding.code not in accepted.ignore
        and not (finding.gap is not None and accepted.small(finding.gap, finding.size))
    ]
    compared = [(name, UNCHECKED, "there is no report") for name in NAMES] if report is None else report.compared
    noted = {finding.about for finding in findings if finding.severity == "note"} - {
        finding.about for finding in findings if finding.severity == "error"
    }
    return wrong + [
        f"[required] {name} {'was not compared' if result == UNCHECKED else 'differs'}: {words}"
        for name, result, words in compared
        if name in accepted.require and (result == UNCHECKED or (result == DIFFERS and name in noted))
    ]


class Shown(ABC):
    """A report, a dataclass, that is shown as a document."""

    compared: tuple[Compared, ...]

    @abstractmethod
    def document(self) -> Document:
        """Return what is shown."""

    def _wrong(self, accepted: Accepted) -> tuple[str, list[str]]:
        """Return a title, and what is wrong, in words."""
        raise NotImplementedError

    @abstractmethod
    def __rich_repr__(self) -> Iterator[Any]:
        """Yield what stands in the one-line form: a name, and (key, value) pairs."""

    def check(
        self, *, require: Collection[str] = (), ignore: Collection[str] = (), atol: float = 0.0, rtol: float = 0.0
    ) -> Self:
        """Return the report if nothing is wrong, for use in tests.

        Args:
            require: what must have been compared, by the names in ``report.compared``, such as ``"log-det"``; of a
                stack in every layer and in the composition.
            ignore: codes of findings that are accepted.
            atol, rtol: errors of log-dets in nats, and of coordinates after x -> y -> x, that are accepted: up to
                ``atol`` plus ``rtol`` times their size. No wrong gradient is accepted by its size.

        Raises:
            AssertionError: with every error found and where, and all that was required and not compared.
            ValueError: if ``require`` or ``ignore`` has an unknown name, or a tolerance is negative.
        """
        for argument, given, names in (("require", require, NAMES), ("ignore", ignore, sorted(ERRORS | NOTES))):
            several = isinstance(given, Collection) and not isinstance(given, str)
            if not several or any(name not in names for name in given):
                raise ValueError(f"{argument} must hold some of {', '.join(names)}, but is {given!r}")
        if not all(isinstance(one, Real) and one >= 0 for one in (atol, rtol)):
            raise ValueError(f"atol and rtol must be numbers from 0 on, but are {atol!r} and {rtol!r}")
        title, wrong = self._wrong(Accepted(require, ignore, atol, rtol))
        if wrong:
            raise AssertionError(f"{title}: " + "\n".join(wrong))
        return self

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


class JacobianReport(Shown, Diagnosis):
    """The result of :func:`inspect_jacobian`: the attributes of :class:`Facts`, and findings.

    ``print(report)`` shows it in words; a notebook shows it with a picture. ``bool(report)`` is ``report.ok``.
    """

    def _wrong(self, accepted: Accepted) -> tuple[str, list[str]]:
        return f"{self.name}, D = {self.dim}", failures(self.findings, self, accepted)

    def document(self) -> Document:
        """Return what is shown."""
        return jacobian_document(self)

    def __rich_repr__(self) -> Iterator[Any]:
        yield self.name
        yield "D", self.dim
        yield "points", len(self.x)
        yield "structure", self.structure.name if self.structure is not None else "unknown"
        yield "ok", self.ok
        if not self.ok:
            yield "errors", [finding.code for finding in self.findings if finding.severity == "error"]
