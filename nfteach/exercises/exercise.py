"""An exercise: what is asked, how an answer is judged, and the mistakes that it knows by name."""

from __future__ import annotations

import inspect
import secrets
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nfteach.exercises.comparing import difference, in_words, misfit, same
from nfteach.exercises.record import Record
from nfteach.exercises.running import Refused, run
from nfteach.exercises.untouched import is_untouched
from nfteach.exercises.verdict import Note, State, Verdict
from nfteach.jacobian.rng import seeded

__all__ = ["Exercise", "Misconception"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Misconception:
    """A mistake with a name, as code.

    Args:
        name: a word or two, such as "sign flipped".
        message: what whoever makes it is told: what is wrong, not what is right.
        answer: the mistake itself: a function like the solution, or, where the answer is a value, that value. An answer
            that agrees with it on every case, and not with the truth, is taken for it.
        fits: in place of that comparison, where answers are random or take many forms: ``fits(came, *arguments)``.
    """

    name: str
    message: str
    answer: Any
    fits: Callable[..., bool] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Exercise:
    """A coding exercise that judges an answer at once, and names the mistake where it knows it.

    An answer is tried on fresh random inputs, never the same twice, and compared with ``truth``, which shares no code
    with the right answer: autograd, a plain loop, quadrature.

    Args:
        number: such as "4.2": lesson and place in it.
        title: what is to be written, in a few words.
        arguments: what the function's arguments are called; empty if the answer is a value and no function.
        returns: what the returned things are called, for messages.
        cases: ``cases(generator, index)`` makes the arguments of the index-th try, from 0.
        truth: the right answer, from the same arguments.
        answer: the right one, as a learner would write it; :meth:`solution` shows its source.
        reasoning: why, in Markdown.
        hints: in Markdown, each says more than the one before.
        misconceptions: the mistakes known by name; the first that fits is told.
        judge: in place of the comparison with ``truth``, where more than one answer is right: ``judge(came,
            *arguments)`` returns what is wrong in a sentence, or nothing.
        tolerance: absolute for numbers below one, relative above.
        gradients: whether gradients must flow through the answer.
        tries: how many cases.
        seconds: how long one try may take.

    Example:
        >>> double = Exercise(
        ...     number="0.9",
        ...     title="twice",
        ...     arguments=("x",),
        ...     returns=("y",),
        ...     cases=lambda generator, index: (torch.randn(3, generator=generator),),
        ...     truth=lambda x: x + x,
        ...     answer=lambda x: 2 * x,
        ...     reasoning="Twice is two times.",
        ...     hints=("Multiply.",),
        ...     misconceptions=(
        ...         Misconception(name="square", message="You squared x.", answer=lambda x: x**2),
        ...     ),
        ... )
        >>> double.judged(lambda x: x * x)
        Exercise 0.9: not yet. You squared x.
    """

    number: str
    title: str
    arguments: tuple[str, ...]
    returns: tuple[str, ...]
    cases: Callable[[torch.Generator, int], tuple[Any, ...]]
    truth: Callable[..., Any]
    answer: Any
    reasoning: str
    hints: tuple[str, ...]
    misconceptions: tuple[Misconception, ...]
    judge: Callable[..., str] | None = None
    tolerance: float = 1e-4
    gradients: bool = False
    tries: int = 6
    seconds: float = 10.0

    def check(self, answer: Any) -> Verdict:
        """Judge an answer, remember the result for ``progress()``, and show it.

        Args:
            answer: the function, or the value, that was asked for.

        Returns:
            The verdict; nothing is ever raised for a wrong answer, so that *Run All* goes on.
        """
        verdict = self.judged(answer)
        Record(self.number).note(verdict.state)
        return verdict

    def judged(self, answer: Any, seed: int | None = None) -> Verdict:
        """The verdict on an answer, which is not remembered.

        Args:
            answer: the function, or the value, that was asked for.
            seed: of the inputs, and of what the answer draws itself; by default fresh ones. PyTorch's own generator is
                left as it was.
        """
        if is_untouched(answer):
            return self._verdict(State.NOT_ATTEMPTED)
        if self.arguments and not callable(answer):
            what = f"a function of {', '.join(self.arguments)}"
            return self._verdict(State.NOT_YET, f"Hand in {what}, without calling it; what came is {answer!r}.")
        seed = secrets.randbits(31) if seed is None else seed
        generator = torch.Generator().manual_seed(seed)
        with seeded(seed):
            try:
                return self._tried(answer, [self.cases(generator, index) for index in range(self.tries)])
            except Refused as refusal:
                return self._verdict(State.NOT_YET, str(refusal))

    def hint(self) -> Note:
        """The next hint; each says more than the one before."""
        seen = Record(self.number).hint(len(self.hints))
        return Note(f"Hint {seen} of {len(self.hints)} for exercise {self.number}", self.hints[seen - 1])

    def solution(self) -> Note:
        """The solution, and why it is one."""
        Record(self.number).solution_seen()
        source = _source(self.answer)
        return Note(f"Solution of exercise {self.number}", f"```python\n{source.rstrip()}\n```\n\n{self.reasoning}")

    def _tried(self, answer: Any, cases: Sequence[tuple[Any, ...]]) -> Verdict:
        came = []
        for case in cases:
            came.append(self._came(answer, case))
            if came[-1] is None or came[-1] is ...:
                # Of an untouched skeleton nothing is known before it has run.
                return self._verdict(State.NOT_YET, "Your function returns nothing: is there a `return` at its end?")
        truths = [self.truth(*_fresh(case)) for case in cases]
        wrong = [self._wrong(one, truth, case) for one, truth, case in zip(came, truths, cases, strict=True)]
        if not any(wrong):
            return self._verdict(State.RIGHT)
        for misconception in self.misconceptions:
            if self._fits(misconception, came, truths, cases):
                return self._verdict(State.NOT_YET, misconception.message, misconception.name)
        first = next(index for index, sentence in enumerate(wrong) if sentence)
        right = sum(not sentence for sentence in wrong)
        others = f" It was right for {right} of {len(cases)} inputs." if right else ""
        given = f" It was called with {in_words(cases[first], self.arguments)}." if self.arguments else ""
        return self._verdict(State.NOT_YET, f"{wrong[first]}{others}{given}")

    def _came(self, answer: Any, case: tuple[Any, ...]) -> Any:
        if not self.arguments:
            return answer
        given = in_words(case, self.arguments)
        return run(answer, _fresh(case), seconds=self.seconds, given=given)

    def _wrong(self, came: Any, truth: Any, case: tuple[Any, ...]) -> str:
        """What is wrong with what came for one case, in a sentence; empty if nothing is."""
        if self.judge is not None:
            return self.judge(came, *_fresh(case))
        form = misfit(came, truth, self.returns, gradients=self.gradients)
        return form or difference(came, truth, self.returns, self.tolerance)

    def _fits(
        self, one: Misconception, came: Sequence[Any], truths: Sequence[Any], cases: Sequence[tuple[Any, ...]]
    ) -> bool:
        """Whether the answer does on every case what the mistake does, and the truth does not on some."""
        if one.fits is not None:
            return all(one.fits(value, *_fresh(case)) for value, case in zip(came, cases, strict=True))
        right = True
        for value, truth, case in zip(came, truths, cases, strict=True):
            try:
                mistaken = one.answer(*_fresh(case)) if self.arguments else one.answer
            except Exception:  # a mistake that breaks on some inputs is not this one, for the answer ran
                return False
            if not same(value, mistaken, self.tolerance):
                return False
            right = right and same(truth, mistaken, self.tolerance)
        return not right

    def _verdict(self, state: State, message: str = "", misconception: str = "") -> Verdict:
        return Verdict(self.number, self.title, state, message, misconception)


def _source(answer: Any) -> str:
    """The source as shown to a learner: under a name without the underscore of a module's own things."""
    return textwrap.dedent(inspect.getsource(answer)).replace("def _", "def ", 1) if callable(answer) else repr(answer)


def _fresh(case: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copies of the tensors: an answer that writes into its inputs spoils nothing."""
    return tuple(
        value.detach().clone().requires_grad_(value.requires_grad) if isinstance(value, torch.Tensor) else value
        for value in case
    )
