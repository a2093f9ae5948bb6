"""Exercises: a task, the calls with which a learner hands in an answer and gets help, and the solution."""

from __future__ import annotations

import inspect
import platform
import secrets
import sys
import textwrap
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

from nfteach.exercises.comparing import printed
from nfteach.exercises.judging import Judgement, Task
from nfteach.exercises.mistakes import Misconception
from nfteach.exercises.record import Record
from nfteach.exercises.verdict import Help, Note, State, Verdict

__all__ = ["Exercise", "Misconception"]

_FAILING: dict[str, tuple[Any, ...]] = {}  # number of an exercise -> the arguments of the last call that went wrong


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Exercise(Task):
    """A coding exercise that judges an answer at once, and names the mistake where it knows it.

    Args:
        number: such as "4.2": lesson and place in it.
        title: what is to be written, in a few words.
        reasoning: why, in Markdown.
        hints: in Markdown, each with more than the one before.
        optional: whether the lesson goes on without it.

    The other arguments are those of :class:`~nfteach.exercises.judging.Task`.

    Example:
        >>> def double(x):
        ...     return 2 * x
        >>> exercise = Exercise(
        ...     number="0.9",
        ...     title="twice",
        ...     returns=("y",),
        ...     cases=lambda generator, index: (torch.randn(3, generator=generator),),
        ...     truth=lambda x: x + x,
        ...     answer=double,
        ...     reasoning="Twice is two times.",
        ...     hints=("Multiply.",),
        ...     misconceptions=(
        ...         Misconception(name="square", message="You squared x.", answer=lambda x: x**2),
        ...     ),
        ... )
        >>> exercise.judged(lambda x: x * x)
        Exercise 0.9: not yet. You squared x.
        >>> exercise.judged(lambda x: -2 * x).message.split(".")[0]
        'y has the wrong sign, and is right but for that'
    """

    number: str
    title: str
    reasoning: str
    hints: tuple[str, ...]
    optional: bool = False

    def __repr__(self) -> str:
        calls = ", ".join(f"{self.call}.{name}" for name in ("check(...)", "hint()", "solution()"))
        return f"Exercise {self.number} ({self.title}): call {calls}"

    @property
    def call(self) -> str:
        """The name of the exercise in its lesson, such as "exercise.psi"."""
        lesson = getattr(sys.modules.get(getattr(self.answer, "__module__", None)), "__dict__", {})
        return next((f"exercise.{name}" for name, one in lesson.items() if one is self), "exercise")

    def check(self, answer: Any) -> Verdict:
        """Judge an answer, remember the result for ``progress()``, and show it.

        Args:
            answer: the function, or the value, that the exercise requires.

        Returns:
            The verdict; no error is ever raised for a wrong answer, so that *Run All* goes on.
        """
        verdict = self.judged(answer)
        Record(self.number).note(verdict.state)
        return verdict

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the lesson's solution."""
        return self.answer(*arguments, **named)

    def or_solution(self, answer: Any) -> Any:
        """Return an answer that passes its check, else the lesson's solution, so that a lesson can build on it.

        Args:
            answer: the function, the class or the value that the exercise requires.
        """
        if self.judged(answer).state is State.RIGHT:
            return answer
        print(f"Exercise {self.number} is not solved yet. From here on the lesson uses its solution.")
        return self.answer

    def judged(self, answer: Any, seed: int | None = None) -> Verdict:
        """Return the verdict on an answer, without remembering it.

        Args:
            answer: the function, or the value, that the exercise requires.
            seed: a seed for the inputs, and for what the answer draws itself; by default a fresh one. The generators of
                PyTorch, NumPy and Python are left as they were.
        """
        seed = secrets.randbits(31) if seed is None else seed
        found = self.judgement(answer, seed)
        help_ = None
        if found.state is State.NOT_YET:
            _FAILING.pop(self.number, None)
            if found.inputs is not None:
                _FAILING[self.number] = found.inputs
            help_ = Help(self.hints, self.solution_in_words(), self._report(answer, found, seed), self.call)
        return Verdict(self.number, self.title, found.state, found.message, found.misconception, help_)

    def hint(self) -> Note:
        """Return the next hint; each gives more than the one before."""
        seen = Record(self.number).hint(len(self.hints))
        return Note(f"Hint {seen} of {len(self.hints)} for exercise {self.number}", self.hints[seen - 1])

    def solution(self) -> Note:
        """Return the solution, and why it is one."""
        Record(self.number).solution_seen()
        return Note(f"Solution of exercise {self.number}", self.solution_in_words())

    def solution_in_words(self) -> str:
        """Return the code of the lesson's solution and the reasoning, in Markdown."""
        return f"```python\n{_source(self.answer).rstrip()}\n```\n\n{self.reasoning}"

    def inputs(self) -> tuple[Any, ...]:
        """Return the arguments of the last call that went wrong, to look into it: ``function(*exercise.inputs())``.

        Raises:
            LookupError: no answer to this exercise went wrong since the kernel was started.
        """
        if self.number not in _FAILING:
            raise LookupError(f"no answer to exercise {self.number} has gone wrong yet; check() one first")
        return self.named(_FAILING[self.number])

    def _report(self, answer: Any, found: Judgement, seed: int) -> str:
        """Return what is needed to look into a message that does not fit the code, to be pasted."""
        return textwrap.dedent("""\
            Exercise {number}, seed {seed}: {state}. {message}
            nfteach {version}, torch {torch}, Python {python}
            The message does not fit, because: ...

            {code}""").format(
            number=self.number,
            seed=seed,
            state=found.state.value,
            message=found.message,
            version=version("nfteach"),
            torch=torch.__version__,
            python=platform.python_version(),
            code=_source(answer).rstrip(),
        )


def _source(answer: Any) -> str:
    """Return the source of a function, or a value as it prints itself."""
    try:
        return textwrap.dedent(inspect.getsource(answer))
    except (OSError, TypeError):  # a value, or a function whose source is not kept
        return printed(answer)
