"""Mistakes with a name: edits of the right answer's source, so that two at once are a mistake as well."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

__all__ = ["Misconception", "pairs", "resolved"]

Span = tuple[int, int, str]
"""An edit of a text: where what it replaces begins and ends, and the new text."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Misconception:
    """A mistake with a name, as code.

    Args:
        name: a word or two, such as "sign flipped".
        message: the explanation for the learner: what is wrong, not what is right.
        answer: the mistake itself: a function like the right answer, or, where the answer is a value, that value. An
            answer that agrees with it on every case, and not with the truth, is taken for it.
        edits: in place of ``answer``, different ways to make the mistake by editing the right answer's source.
            ``"old -> new"`` edits a text that occurs once in the source; ``"old => new"`` replaces every occurrence;
            ``" ;; "`` separates edits that belong together.
        fits: in place of the comparison, where a mistake takes many forms: ``fits(came, *arguments)``.
        spans: the edit as it is applied, filled in by the exercise.
    """

    name: str
    message: str
    answer: Any = None
    edits: tuple[str, ...] = ()
    fits: Callable[..., bool] | None = None
    spans: tuple[Span, ...] = ()


def resolved(known: Sequence[Misconception], right: Any) -> tuple[Misconception, ...]:
    """Return mistakes that have an answer each: one for each way in which the right answer is edited."""
    if not any(one.edits for one in known):
        return tuple(known)
    source = _source(right)
    made = []
    for one in known:
        for edit in one.edits:
            try:
                spans = _spans(source, edit)
            except ValueError as error:
                raise ValueError(f"mistake {one.name!r}: {error}") from None
            made.append(replace(one, edits=(), spans=spans, answer=_edited(right, source, spans)))
        if not one.edits:
            made.append(one)
    return tuple(made)


def pairs(known: Sequence[Misconception], right: Any) -> Iterator[tuple[Misconception, Misconception, Any]]:
    """Yield two mistakes, and the answer that makes both, for all edits that leave each other alone."""
    edits = [one for one in known if one.spans]
    source = _source(right) if edits else ""
    for one, other in combinations(edits, 2):
        spans = tuple(sorted(one.spans + other.spans))
        apart = all(end <= start for (_, end, _), (start, _, _) in pairwise(spans))
        if apart and one.name != other.name:
            try:
                answer = _edited(right, source, spans)
            except SyntaxError:
                continue
            yield one, other, answer


def _source(answer: Any) -> str:
    """Return the source of a function or class, without decorators and indentation."""
    return textwrap.dedent(inspect.getsource(answer))


def _spans(source: str, edit: str) -> tuple[Span, ...]:
    spans: list[Span] = []
    for part in edit.split(" ;; "):
        everywhere = " =>" in part
        old, _, new = part.partition(" =>" if everywhere else " ->")
        places = [place for place in range(len(source)) if source.startswith(old, place)]
        if not places or (len(places) > 1 and not everywhere):
            raise ValueError(f"{old!r} occurs {len(places)} times in the answer")
        spans += [(place, place + len(old), new.removeprefix(" ")) for place in places]
    return tuple(sorted(spans))


def _edited(right: Any, source: str, spans: Sequence[Span]) -> Any:
    for start, end, new in reversed(spans):
        source = source[:start] + new + source[end:]
    made: dict[str, Any] = {}
    names = vars(sys.modules[right.__module__])
    exec(compile(source, f"<{right.__name__} with a mistake>", "exec", dont_inherit=True), names, made)
    return made[right.__name__]
