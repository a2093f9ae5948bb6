"""The judge: an answer is tried on fresh inputs and compared with a truth made before, and its mistake is looked up."""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nfteach.exercises.comparing import as_parts, difference, in_words, is_close, listed, misfit
from nfteach.exercises.copies import differs, in_single_precision, leaves
from nfteach.exercises.mistakes import Misconception, pairs, resolved
from nfteach.exercises.relations import relation, twisted
from nfteach.exercises.running import Refused, run
from nfteach.exercises.state import undisturbed
from nfteach.exercises.untouched import is_untouched
from nfteach.exercises.verdict import State
from nfteach.jacobian.rng import seeded

__all__ = ["Judgement", "Task"]

_SINGLE = 1e-3  # the tolerance for numbers of float32


@dataclass(frozen=True)
class Judgement:
    """The result of judging an answer.

    Attributes:
        state: not attempted, not yet, or right.
        message: what is wrong, or what is to be noted.
        misconception: the name of the mistake; empty if it has none.
        inputs: the arguments of the first call that went wrong; None if there is none.
    """

    state: State
    message: str = ""
    misconception: str = ""
    inputs: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class _Outcome:
    """The result of one call.

    Attributes:
        value: what was returned.
        parts: the value as tensors of the expected form; None where it has another.
        gradient: the gradient of the sum of all parts, with respect to what a training would move; or None.
        spent: whether ``backward()`` was called already.
        changed: the names of the arguments that the call changed.
    """

    value: Any
    parts: list[Tensor] | None
    gradient: Tensor | None = None
    spent: bool = False
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Task:
    """A function to write, and the ways in which an answer is judged.

    An answer is tried on fresh random inputs, never the same twice, and compared with ``truth``, which shares no code
    with the right answer: autograd, a plain loop, quadrature.

    Args:
        arguments: the names of the function's arguments, by default those of ``answer``; empty if a value is due.
        returns: the names of the returned things, for messages.
        cases: ``cases(generator, index)`` makes the arguments of the index-th try, from 0.
        truth: the right answer, from the same arguments.
        answer: the right answer, as it stands in the lesson.
        misconceptions: the mistakes known by name; the first that fits is reported.
        judge: in place of the comparison with ``truth``, where more than one answer is right: ``judge(came,
            *arguments)`` returns what is wrong in a sentence, or nothing.
        tolerance: absolute for numbers below one, relative above.
        gradients: whether the gradients of the answer count.
        keeps: the arguments that have to be left as they are.
        remark: ``remark(answer)`` returns a sentence on the way of a right answer, or nothing.
        extreme: the number of cases, at the end, that only right answers have to get right: mistakes show before.
        tries: the number of cases.
        seconds: how long one try may take.
    """

    returns: tuple[str, ...]
    cases: Callable[[torch.Generator, int], tuple[Any, ...]]
    truth: Callable[..., Any]
    answer: Any
    misconceptions: tuple[Misconception, ...]
    arguments: tuple[str, ...] | None = None
    judge: Callable[..., str] | None = None
    tolerance: float = 1e-4
    gradients: bool = False
    keeps: tuple[str, ...] = ()
    remark: Callable[[Callable[..., Any]], str] | None = None
    extreme: int = 0
    tries: int = 6
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.arguments is None:
            object.__setattr__(self, "arguments", tuple(inspect.signature(self.answer).parameters))
        object.__setattr__(self, "misconceptions", resolved(self.misconceptions, self.answer))

    def judgement(self, answer: Any, seed: int) -> Judgement:
        """Judge an answer, in a clean state of the process, which is afterwards as it was before.

        Args:
            answer: the function, or the value, that the task requires.
            seed: a seed for the inputs, and for what the answer draws itself.
        """
        try:
            if is_untouched(answer):
                return Judgement(State.NOT_ATTEMPTED)
            if self.arguments and not callable(answer):
                what = f"a function of {', '.join(self.arguments)}"
                return Judgement(
                    State.NOT_YET, f"Hand in {what}, without calling it; what came is {_short(repr(answer))}."
                )
            with undisturbed(), seeded(seed):
                return self._tried(answer, seed)
        except Refused as refusal:  # of code that a judge runs
            return Judgement(State.NOT_YET, str(refusal))
        except Exception as error:  # an exercise that breaks must not stop a notebook
            return Judgement(
                State.NOT_YET,
                f"This answer could not be judged: {type(error).__name__}, {_short(str(error))}. It may well be right; "
                "the fault is the course's own.",
            )

    def named(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return arguments as a tuple whose entries have their names."""
        return namedtuple("Inputs", self.arguments)(*values)

    def _tried(self, answer: Any, seed: int) -> Judgement:
        generator = torch.Generator().manual_seed(seed)
        cases = [self.cases(generator, index) for index in range(self.tries)]
        truths = [self._outcome(self.truth, case) for case in cases]
        given = cases
        try:
            came = self._called(answer, given, truths)
        except _Failed as failed:
            if not failed.refusal.clash:
                return Judgement(State.NOT_YET, str(failed.refusal), inputs=failed.case)
            # Zeros of the default dtype are as right as the lesson's own numbers, which are float32.
            try:
                given = in_single_precision(cases)
                came = self._called(answer, given, truths)
            except _Failed:
                return Judgement(State.NOT_YET, str(failed.refusal), inputs=failed.case)
        tolerance = self.tolerance if given is cases else max(self.tolerance, _SINGLE)
        return self._compared(answer, given, came, truths, tolerance)

    def _called(self, answer: Any, cases: Sequence[tuple[Any, ...]], truths: Sequence[_Outcome]) -> list[_Outcome]:
        """Return the outcomes of the learner's own function."""
        came = []
        for case, truth in zip(cases, truths, strict=True):
            given = in_words(case, self.arguments)

            def limited(*arguments: Any, given: str = given) -> Any:
                return run(answer, arguments, seconds=self.seconds, given=given) if self.arguments else answer

            try:
                came.append(self._outcome(limited, case, like=truth.value))
            except Refused as refusal:
                raise _Failed(refusal, case) from None
            if came[-1].value is None or came[-1].value is ...:
                # Of an untouched skeleton nothing is known before it has run.
                words = "Your function returns nothing: is there a `return` at its end?"
                raise _Failed(Refused(words), case)
        return came

    def _outcome(self, function: Any, case: tuple[Any, ...], like: Any = ...) -> _Outcome:
        given = copy.deepcopy(case)
        value = function(*given) if callable(function) else function
        parts = as_parts(value, value if like is ... else like)
        changed = [name for name, a, b in zip(self.arguments, case, given, strict=True) if differs(a, b)]
        gradient, spent = _gradient(parts, list(leaves(given))) if self.gradients and parts else (None, False)
        return _Outcome(value, parts, gradient, spent, tuple(changed))

    def _compared(
        self,
        answer: Any,
        cases: Sequence[tuple[Any, ...]],
        came: Sequence[_Outcome],
        truths: Sequence[_Outcome],
        tolerance: float,
    ) -> Judgement:
        wrong = [self._wrong(*one, tolerance) for one in zip(came, truths, cases, strict=True)]
        changed = [name for name in self.arguments if any(name in one.changed for one in came)]
        if not any(wrong):
            return self._right(answer, changed, cases)
        first = next(index for index, sentence in enumerate(wrong) if sentence)
        inputs = cases[first]
        plain = slice(len(cases) - self.extreme)
        came, truths, cases = came[plain], truths[plain], cases[plain]
        found = self._recognised(came, truths, cases, tolerance)
        if found:
            return Judgement(State.NOT_YET, found.message, found.name, inputs)
        right = sum(not sentence for sentence in wrong)
        others = f"{' Almost.' if right == len(wrong) - 1 else ''} It was right for {right} of {len(wrong)} inputs."
        given = f" It was called with {in_words(inputs, self.arguments)}." if self.arguments else ""
        said = self._related(answer, came, truths, cases, tolerance) or wrong[first]
        if changed:
            said = f"You changed {_quoted(changed)}, which your function was given: work on a copy. {said}"
        message = f"{said}{others if right else ''}{given}"
        return Judgement(State.NOT_YET, re.sub(r"(^|[.?!] )the ", r"\1The ", message), inputs=inputs)

    def _right(self, answer: Any, changed: Sequence[str], cases: Sequence[tuple[Any, ...]]) -> Judgement:
        """Return the judgement on an answer with right values; changes of its arguments count as well."""
        case = dict(zip(self.arguments, cases[0], strict=True))
        spoilt = [name for name in changed if name in self.keeps or isinstance(case[name], nn.Module)]
        if spoilt:
            return Judgement(
                State.NOT_YET,
                f"The numbers are right, but you changed {_quoted(spoilt)} itself: its owner finds others there. "
                "Work on a copy.",
                "in place",
                cases[0],
            )
        note = f"(It changes {_quoted(changed)}, which it was given: a copy would be safer.)" if changed else ""
        if self.remark is not None:
            with contextlib.suppress(Refused):  # the inputs of a remark may be unusual
                note = (
                    f"{self.remark(lambda *given: run(answer, given, seconds=self.seconds, given=''))} {note}".strip()
                )
        return Judgement(State.RIGHT, note)

    def _wrong(self, came: _Outcome, truth: _Outcome, case: tuple[Any, ...], tolerance: float) -> str:
        """Return what is wrong with the outcome of one case, in a sentence; empty if nothing is."""
        if self.judge is not None:
            return self.judge(came.value, *copy.deepcopy(case))
        off = misfit(came.value, came.parts, truth.value, self.returns) or difference(
            came.parts, truth.parts, self.returns, tolerance
        )
        if off or truth.gradient is None:
            return off
        if came.spent:
            return "You called `backward()` inside, and training cannot call it again. Return the number, no more."
        if came.gradient is None:
            return (
                f"The numbers of {self.returns[0]} may be right, but no gradient flows through them: something in "
                "between cut it, such as .item(), .detach(), torch.tensor(...) or NumPy. Training would not move."
            )
        if not is_close(came.gradient, truth.gradient, tolerance):
            return f"{self.returns[0]} is right, but its gradient is not: something in between is cut off."
        return ""

    def _recognised(
        self,
        came: Sequence[_Outcome],
        truths: Sequence[_Outcome],
        cases: Sequence[tuple[Any, ...]],
        tolerance: float,
    ) -> Misconception | None:
        """Return the mistake that the answer makes: one that is known, or two of those at once."""
        for one in self.misconceptions:
            if one.fits is not None:
                if all(one.fits(c.value, *copy.deepcopy(case)) for c, case in zip(came, cases, strict=True)):
                    return one
            elif self._makes(one.answer, came, truths, cases, tolerance):
                return one
        cut = self.gradients and all(
            one.gradient is None and _agree(one, true, tolerance) for one, true in zip(came, truths, strict=True)
        )
        for one, other, both in pairs(self.misconceptions, self.answer) if _tells(came) and not cut else ():
            if self._makes(both, came, truths, cases, tolerance):
                message = f"Two things at once. {one.message} And: {other.message}"
                return Misconception(name=f"{one.name}; {other.name}", message=message)
        return None

    def _makes(
        self,
        mistake: Any,
        came: Sequence[_Outcome],
        truths: Sequence[_Outcome],
        cases: Sequence[tuple[Any, ...]],
        tolerance: float,
    ) -> bool:
        """Return whether the answer does what the mistake does on every case, and the truth does not on some."""
        like_truth = True
        for outcome, truth, case in zip(came, truths, cases, strict=True):
            try:
                mistaken = self._outcome(mistake, case, like=truth.value)
            except Exception:  # a mistake that breaks on some inputs is not this one, for the answer ran
                return False
            if not _agree(outcome, mistaken, tolerance):
                return False
            if not _agree(truth, mistaken, tolerance):
                like_truth = False
            elif self.gradients and not _same_gradient(truth, mistaken, tolerance):
                if not _same_gradient(outcome, mistaken, tolerance):
                    return False
                like_truth = False
        return not like_truth

    def _related(
        self,
        answer: Any,
        came: Sequence[_Outcome],
        truths: Sequence[_Outcome],
        cases: Sequence[tuple[Any, ...]],
        tolerance: float,
    ) -> str:
        """Return how an answer relates to the truth, or to a known mistake; empty if no relation is known."""
        parts, true = [one.parts for one in came], [one.parts for one in truths]
        if None in parts or None in true:
            return ""
        fine = [
            name
            for i, name in enumerate(self.returns)
            if all(is_close(a[i], b[i], tolerance) for a, b in zip(parts, true, strict=True))
        ]
        start = f"{listed(fine)} {'is' if len(fine) == 1 else 'are'} right. " if fine else ""
        if len(fine) == len(self.returns):
            return ""
        said = relation(parts, true, self.returns, tolerance)
        finite = all(bool(part.isfinite().all()) for one in parts for part in one)
        if not said and finite and (ignored := list(self._ignored(answer, came, truths, cases))):
            said = f"Your answer does not depend on {listed(ignored)}, and should."
        said = said or relation(parts, true, self.returns, tolerance, vague=True)
        said = said or next(self._twisted(parts, truths, cases, tolerance), "")
        if start and not said:
            off = (difference(a, b, self.returns, tolerance) for a, b in zip(parts, true, strict=True))
            said = next(sentence for sentence in off if sentence)
        return f"{start}{said}"

    def _ignored(
        self,
        answer: Any,
        came: Sequence[_Outcome],
        truths: Sequence[_Outcome],
        cases: Sequence[tuple[Any, ...]],
    ) -> Iterator[str]:
        """Yield the arguments that make no difference to the answer, though they make one to the truth."""
        for place, name in enumerate(self.arguments):
            matters = False
            for case, before, true in zip(cases, came, truths, strict=True):
                pushed = _pushed(case[place])
                if pushed is None:
                    break
                moved = (*case[:place], pushed, *case[place + 1 :])
                try:
                    value = run(answer, copy.deepcopy(moved), seconds=1.0, given="")
                    after = _Outcome(value, as_parts(value, true.value))
                    truth = self._outcome(self.truth, moved)
                except Exception:  # these arguments no longer belong together
                    break
                if not _agree(before, after, 1e-9):
                    break
                matters = matters or not _agree(true, truth, 1e-4)
            else:
                if matters:
                    yield name

    def _twisted(
        self,
        came: Sequence[list[Tensor]],
        truths: Sequence[_Outcome],
        cases: Sequence[tuple[Any, ...]],
        tolerance: float,
    ) -> Iterator[str]:
        """Yield the known mistakes to which something simple was done besides, such as a flipped sign."""
        for one in self.misconceptions:
            if one.fits is not None:
                continue
            try:
                mistaken = [
                    self._outcome(one.answer, case, like=truth.value).parts
                    for case, truth in zip(cases, truths, strict=True)
                ]
            except Exception:  # a mistake that breaks on some inputs
                continue
            besides = "" if None in mistaken else twisted(came, mistaken, [one.parts for one in truths], tolerance)
            if besides:
                yield f"Two things at once. {one.message} {besides}"


class _Failed(Exception):
    """A call that returned no answer."""

    def __init__(self, refusal: Refused, case: tuple[Any, ...]) -> None:
        super().__init__(str(refusal))
        self.refusal, self.case = refusal, case


def _agree(one: _Outcome, other: _Outcome, tolerance: float) -> bool:
    if one.parts is None or other.parts is None:
        return False
    return all(is_close(a, b, tolerance) for a, b in zip(one.parts, other.parts, strict=True))


def _tells(came: Sequence[_Outcome]) -> bool:
    """Return whether an answer is so special that two mistakes agree with it for no other reason than being made."""
    numbers = [part.detach().double().flatten() for one in came for part in one.parts or ()]
    everything = torch.cat(numbers) if numbers else torch.zeros(0)
    real = everything[everything.isfinite() & (everything != everything.round())]
    return len(real) > 2 or len(everything) > 30


def _same_gradient(one: _Outcome, other: _Outcome, tolerance: float) -> bool:
    if one.gradient is None or other.gradient is None:
        return one.gradient is other.gradient and one.spent == other.spent
    return is_close(one.gradient, other.gradient, tolerance)


def _gradient(parts: Sequence[Tensor], moved: Sequence[Tensor]) -> tuple[Tensor | None, bool]:
    """Return the gradient of the sum of all parts as one row, and whether the graph was used up before."""
    value = sum(part.double().sum() for part in parts if not part.is_complex())
    if not moved or not isinstance(value, Tensor) or not value.requires_grad:
        return None, False
    try:
        found = torch.autograd.grad(value, moved, allow_unused=True)
    except RuntimeError:  # backward() was called by the answer itself
        return None, True
    rows = [torch.zeros_like(p) if g is None else g for g, p in zip(found, moved, strict=True)]
    return torch.cat([row.detach().double().flatten() for row in rows]), False


def _pushed(value: Any) -> Any:
    """Return another value of an argument; None where there is no plain way to make one."""
    if isinstance(value, Tensor) and value.numel():
        if value.is_floating_point():
            return value + 0.37 * torch.randn_like(value).sign()
        return None if value.dtype == torch.bool else value.flip(0)
    return value * 1.3 if isinstance(value, float) else None


def _quoted(names: Sequence[str]) -> str:
    return listed([f"`{name}`" for name in names])


def _short(text: str) -> str:
    return text if len(text) < 80 else f"{text[:76]} ..."
