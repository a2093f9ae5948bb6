"""The judge: an answer is tried on fresh inputs and compared with a truth made before, and its mistake is looked up."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import re
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nfteach.exercises.comparing import difference, in_words, is_close, listed, misfit, printed
from nfteach.exercises.copies import in_single_precision
from nfteach.exercises.diagnosis import Diagnosis
from nfteach.exercises.mistakes import Misconception, resolved
from nfteach.exercises.outcome import Outcome, outcome
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
        use: where a class is due: ``use(answer, *arguments)`` makes an instance, sets its parameters, and returns what
            is compared with ``truth``.
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
    use: Callable[..., Any] | None = None

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
            if self.use is not None and not isinstance(answer, type):
                return Judgement(State.NOT_YET, f"Hand in the class itself; what came is {printed(answer)}.")
            if self.arguments and not callable(answer):
                what = f"a function of {', '.join(self.arguments)}"
                return Judgement(State.NOT_YET, f"Hand in {what}, without calling it; what came is {printed(answer)}.")
            with undisturbed(), seeded(seed):
                return self._tried(answer, seed)
        except Refused as refusal:  # of code that a judge runs
            return Judgement(State.NOT_YET, str(refusal))
        except Exception as error:  # an exercise that breaks must not stop a notebook
            return Judgement(
                State.NOT_YET,
                f"This answer could not be judged: {printed(error)}. It may well be right; "
                "the fault is the course's own.",
            )

    def function(self, answer: Any) -> Any:
        """Return an answer as what is called: a class, where one is due, through ``use``."""
        return functools.partial(self.use, answer) if self.use is not None and isinstance(answer, type) else answer

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

    def _called(self, answer: Any, cases: Sequence[tuple[Any, ...]], truths: Sequence[Outcome]) -> list[Outcome]:
        """Return the outcomes of the learner's own function."""
        came, function = [], self.function(answer)
        for case, truth in zip(cases, truths, strict=True):
            given = in_words(case, self.arguments)

            def limited(*arguments: Any, given: str = given) -> Any:
                return run(function, arguments, seconds=self.seconds, given=given) if self.arguments else answer

            try:
                came.append(self._outcome(limited, case, like=truth.value))
            except Refused as refusal:
                raise _Failed(refusal, case) from None
            if came[-1].value is None or came[-1].value is ...:
                # Of an untouched skeleton nothing is known before it has run.
                words = f"Your {'class' if self.use else 'function'} returns nothing: is there a `return` at its end?"
                raise _Failed(Refused(words), case)
        return came

    def _outcome(self, function: Any, case: tuple[Any, ...], like: Any = ...) -> Outcome:
        return outcome(function, case, self.arguments, like=like, gradients=self.gradients)

    def _compared(
        self,
        answer: Any,
        cases: Sequence[tuple[Any, ...]],
        came: Sequence[Outcome],
        truths: Sequence[Outcome],
        tolerance: float,
    ) -> Judgement:
        wrong = [self._wrong(*one, tolerance) for one in zip(came, truths, cases, strict=True)]
        changed = [name for name in self.arguments if any(name in one.changed for one in came)]
        if not any(wrong):
            return self._right(answer, changed, cases)
        first = next(index for index, sentence in enumerate(wrong) if sentence)
        inputs = cases[first]
        plain = slice(len(cases) - self.extreme)
        diagnosis = Diagnosis(
            answer=self.function(answer),
            function=self.function,
            truth=self.truth,
            arguments=self.arguments,
            returns=self.returns,
            cases=cases[plain],
            came=came[plain],
            truths=truths[plain],
            tolerance=tolerance,
            gradients=self.gradients,
        )
        found = diagnosis.mistake(self.misconceptions, self.answer)
        if found:
            return Judgement(State.NOT_YET, found.message, found.name, inputs)
        right = sum(not sentence for sentence in wrong)
        others = f"{' Almost.' if right == len(wrong) - 1 else ''} It was right for {right} of {len(wrong)} inputs."
        given = f" It was called with {in_words(inputs, self.arguments)}." if self.arguments else ""
        said = diagnosis.relation(self.misconceptions) or wrong[first]
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

    def _wrong(self, came: Outcome, truth: Outcome, case: tuple[Any, ...], tolerance: float) -> str:
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


class _Failed(Exception):
    """A call that returned no answer."""

    def __init__(self, refusal: Refused, case: tuple[Any, ...]) -> None:
        super().__init__(str(refusal))
        self.refusal, self.case = refusal, case


def _quoted(names: Sequence[str]) -> str:
    return listed([f"`{name}`" for name in names])
