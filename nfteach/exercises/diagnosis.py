"""The look at a wrong answer: a mistake with a name, two at once, or a relation to the right answer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nfteach.exercises.comparing import as_parts, difference, is_close, listed
from nfteach.exercises.mistakes import Misconception, pairs
from nfteach.exercises.outcome import Outcome, agree, outcome, same_gradient
from nfteach.exercises.relations import related, twisted
from nfteach.exercises.running import run

__all__ = ["Diagnosis"]


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A wrong answer, its outcomes on some cases, and those of the truth.

    Args:
        answer: the learner's function.
        function: the function that calls an answer, which may be a class.
        truth: the right answer, from the same arguments.
        arguments: the names of the arguments.
        returns: the names of the returned things.
        cases: the arguments of each call.
        came: the outcomes of the answer.
        truths: the outcomes of the truth.
        tolerance: absolute for numbers below one, relative above.
        gradients: whether gradients count.
    """

    answer: Any
    function: Callable[[Any], Any]
    truth: Callable[..., Any]
    arguments: tuple[str, ...]
    returns: tuple[str, ...]
    cases: Sequence[tuple[Any, ...]]
    came: Sequence[Outcome]
    truths: Sequence[Outcome]
    tolerance: float
    gradients: bool

    def mistake(self, known: Sequence[Misconception], right: Any) -> Misconception | None:
        """Return the mistake that the answer makes: one that is known, or two of those at once."""
        for one in known:
            if one.fits is not None:
                if all(one.fits(c.value, *copy.deepcopy(case)) for c, case in zip(self.came, self.cases, strict=True)):
                    return one
            elif self._makes(one.answer):
                return one
        cut = self.gradients and all(
            one.gradient is None and agree(one, true, self.tolerance)
            for one, true in zip(self.came, self.truths, strict=True)
        )
        for one, other, both in pairs(known, right) if _tells(self.came) and not cut else ():
            if self._makes(both):
                message = f"Two things at once. {one.message} And: {other.message}"
                return Misconception(name=f"{one.name}; {other.name}", message=message)
        return None

    def _makes(self, mistake: Any) -> bool:
        """Return whether the answer does what the mistake does on every case, and the truth does not on some."""
        like_truth = True
        for one, truth, case in zip(self.came, self.truths, self.cases, strict=True):
            try:
                mistaken = self._outcome(mistake, case, truth.value)
            except Exception:  # a mistake that breaks on some inputs is not this one, for the answer ran
                return False
            if not agree(one, mistaken, self.tolerance):
                return False
            if not agree(truth, mistaken, self.tolerance):
                like_truth = False
            elif self.gradients and not same_gradient(truth, mistaken, self.tolerance):
                if not same_gradient(one, mistaken, self.tolerance):
                    return False
                like_truth = False
        return not like_truth

    def relation(self, known: Sequence[Misconception]) -> str:
        """Return how an answer relates to the truth, or to a known mistake; empty if no relation is known."""
        parts, true = [one.parts for one in self.came], [one.parts for one in self.truths]
        if None in parts or None in true or any(part.is_complex() for one in parts for part in one):
            return ""
        fine = [
            name
            for i, name in enumerate(self.returns)
            if all(is_close(a[i], b[i], self.tolerance) for a, b in zip(parts, true, strict=True))
        ]
        start = f"{listed(fine)} {'is' if len(fine) == 1 else 'are'} right. " if fine else ""
        if len(fine) == len(self.returns):
            return ""
        said = related(parts, true, self.returns, self.tolerance)
        finite = all(bool(part.isfinite().all()) for one in parts for part in one)
        if not said and finite and (ignored := list(self._ignored())):
            said = f"Your answer does not depend on {listed(ignored)}, and should."
        said = said or related(parts, true, self.returns, self.tolerance, vague=True)
        said = said or next(self._twisted(known), "")
        if start and not said:
            off = (difference(a, b, self.returns, self.tolerance) for a, b in zip(parts, true, strict=True))
            said = next(sentence for sentence in off if sentence)
        return f"{start}{said}"

    def _ignored(self) -> Iterator[str]:
        """Yield the arguments that make no difference to the answer, though they make one to the truth."""
        for place, name in enumerate(self.arguments):
            others = [
                ((*case[:place], pushed, *case[place + 1 :]), before, true)
                for case, before, true in zip(self.cases, self.came, self.truths, strict=True)
                for pushed in _pushed(case[place])
            ]
            try:
                if not any(self._answers_otherwise(*one) for one in others) and any(
                    self._should_be_another(*one) for one in others
                ):
                    yield name
            except Exception:  # these arguments do not belong together
                continue

    def _answers_otherwise(self, case: tuple[Any, ...], before: Outcome, true: Outcome) -> bool:
        value = run(self.answer, copy.deepcopy(case), seconds=1.0, given="")
        return not agree(before, Outcome(value, as_parts(value, true.value)), 1e-9)

    def _should_be_another(self, case: tuple[Any, ...], _before: Outcome, true: Outcome) -> bool:
        return not agree(true, self._outcome(self.truth, case, true.value), 1e-4)

    def _twisted(self, known: Sequence[Misconception]) -> Iterator[str]:
        """Yield the known mistakes to which something simple was done besides, such as a flipped sign."""
        came, true = [one.parts for one in self.came], [one.parts for one in self.truths]
        for one in known:
            if one.fits is not None:
                continue
            try:
                mistaken = [
                    self._outcome(one.answer, case, truth.value).parts
                    for case, truth in zip(self.cases, self.truths, strict=True)
                ]
            except Exception:  # a mistake that breaks on some inputs
                continue
            besides = "" if None in mistaken else twisted(came, mistaken, true, self.tolerance)
            if besides:
                yield f"Two things at once. {one.message} {besides}"

    def _outcome(self, function: Any, case: tuple[Any, ...], like: Any) -> Outcome:
        return outcome(self.function(function), case, self.arguments, like=like, gradients=self.gradients)


def _tells(came: Sequence[Outcome]) -> bool:
    """Return whether an answer is so special that two mistakes agree with it for no other reason than being made."""
    parts = [part.detach() for one in came for part in one.parts or ()]
    numbers = [part.double().flatten() for part in parts if not part.is_complex()]
    everything = torch.cat(numbers) if numbers else torch.zeros(0)
    real = everything[everything.isfinite() & (everything != everything.round())]
    return len(real) > 2 or len(everything) > 30


def _pushed(value: Any) -> Iterator[Any]:
    """Yield other values of an argument, near and far, where there is a plain way to make them."""
    if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
        yield value + 0.37 * torch.randn_like(value).sign()
        yield value + 3 * (1 + value.abs().mean()) * torch.randn_like(value)
    elif isinstance(value, Tensor) and value.dtype == torch.long and value.numel():
        yield from (value.flip(0), value.roll(1, 0))
    elif isinstance(value, float):
        yield from (0.6 * value, 1.3 * value)
