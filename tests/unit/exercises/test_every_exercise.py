"""Mutation tests: of every exercise the answer passes, and every mistake is caught with its own message."""

from __future__ import annotations

import pytest
import torch

from nfteach.exercises import Exercise
from nfteach.exercises.mistakes import pairs
from nfteach.exercises.table import exercises_of, lessons
from nfteach.exercises.verdict import State

ALL = [exercise for lesson in lessons() for exercise in exercises_of(lesson)]
MISTAKES = [(exercise, one, seed) for exercise in ALL for seed, one in enumerate(exercise.misconceptions)]


def number_of(value) -> str:
    if isinstance(value, int):
        return f"seed {value}"
    return value.number if isinstance(value, Exercise) else value.name.replace(" ", "-")


@pytest.mark.slow
@pytest.mark.parametrize("exercise", ALL, ids=number_of)
def test_the_answer_passes_fifteen_seeds(exercise: Exercise) -> None:
    for seed in range(15):
        verdict = exercise.judged(exercise.answer, seed)
        assert verdict.state is State.RIGHT, (seed, str(verdict))


@pytest.mark.parametrize(("exercise", "mistake", "seed"), MISTAKES, ids=number_of)
def test_a_mistake_is_caught_with_its_own_message(exercise: Exercise, mistake, seed: int) -> None:
    verdict = exercise.judged(mistake.answer, seed)
    assert (verdict.state, verdict.misconception) == (State.NOT_YET, mistake.name), str(verdict)
    assert verdict.message == mistake.message


@pytest.mark.parametrize("number", ["0.1", "1.1", "2.3", "3.4", "4.2", "5.3", "6.2", "8.5", "9.3"])
def test_two_mistakes_at_once_are_both_named(number: str) -> None:
    exercise = next(one for one in ALL if one.number == number)
    found = []
    for one, other, both in list(pairs(exercise.misconceptions, exercise.answer))[:24:2]:
        verdict = exercise.judged(both, 1)
        assert verdict.state is State.NOT_YET
        found.append({one.name, other.name} == set(verdict.misconception.split("; ")))
    assert sum(found) >= 0.6 * len(found), found


@pytest.mark.parametrize("exercise", ALL, ids=number_of)
def test_empty_and_broken_answers_are_handled(exercise: Exercise) -> None:
    assert exercise.check(None).state is State.NOT_ATTEMPTED
    if not exercise.arguments:
        return

    def skeleton(*arguments):
        # your code here
        ...

    def raises(*arguments):
        raise KeyError("no such thing")

    def as_answer(function):
        """Return a class that calls the function when it is made, where a class is due."""
        return type("Mine", (), {"__new__": function, "forward": function}) if exercise.use else function

    assert exercise.check(skeleton).state is State.NOT_ATTEMPTED
    assert "raised KeyError: 'no such thing'" in exercise.check(as_answer(raises)).message
    for nonsense in ("text", torch.zeros(7, 7, 7), float("nan"), object()):
        verdict = exercise.check(as_answer(lambda *arguments, value=nonsense: value))
        assert verdict.state is State.NOT_YET
        assert verdict.misconception == ""
        assert verdict.message


@pytest.mark.parametrize("exercise", ALL, ids=number_of)
def test_hints_and_the_solution_are_there(exercise: Exercise) -> None:
    assert exercise.hints
    assert len(exercise.misconceptions) >= 2
    assert exercise.reasoning
    assert "```python" in str(exercise.solution())


def test_numbers_are_those_of_the_lessons() -> None:
    assert len({exercise.number for exercise in ALL}) == len(ALL)
    for lesson in lessons():
        numbers = [exercise.number for exercise in exercises_of(lesson)]
        first = str(int(lesson.__name__[-2:]))
        assert numbers == [f"{first}.{k}" for k in range(1, len(numbers) + 1)]
