"""What a prediction asks, checked: the structure that the page is given, and the same as Markdown."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nfteach.widgets.prediction.number import Typed, evaluate, read

__all__ = ["LETTERS", "Choices", "Wrong", "check_choices", "check_number", "in_markdown", "in_words", "judge", "tidy"]

Choices = Mapping[str, str | tuple[str, str]] | Sequence[tuple[str, str | tuple[str, str]]]
Wrong = Mapping[float | str, str]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# What "\top", "\frac", "\beta", "\rho", "\alpha" and "\varepsilon" begin with where the string is not a raw one.
_SLIPS = {"\t": "t", "\f": "f", "\b": "b", "\r": "r", "\a": "a", "\v": "v"}
_MARKED = re.compile(r"\\.|`[^`]+`|\$\$(?:\\.|[^$\\])+\$\$|\$(?:\\.|[^$\\\n])+\$")
_TOLERANCE = 0.01  # of the number: 2 * 0.69 is right for 2 log 2


def tidy(name: str, text: str) -> str:
    """Return a text with one line a paragraph.

    Raises:
        ValueError: there is no text, TeX was not written as a raw string, or a dollar or backtick has no partner.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} must be a text, but is {text!r}")
    for character, letter in _SLIPS.items():
        if character in text:
            raise ValueError(f'{name} holds \\{letter} as a control character; write a text with TeX as r"..."')
    for mark, word in (("$", "dollar"), ("`", "backtick")):
        if mark in _MARKED.sub("", text):
            raise ValueError(
                f"{name} has a {word} without its partner on the same line; write \\{mark} for a plain one"
            )
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip()))


def check_choices(choices: Choices) -> dict[str, Any]:
    """Return the choices as the page is given them; raises ValueError for what no learner should meet."""
    pairs = list(choices.items() if isinstance(choices, Mapping) else choices)
    if not 2 <= len(pairs) <= len(LETTERS):
        raise ValueError(f"choices must be 2 to {len(LETTERS)}, but are {len(pairs)}")
    checked: list[dict[str, str]] = []
    right: list[int] = []
    for letter, (label, feedback) in zip(LETTERS, pairs, strict=False):
        label = tidy(f"choice {letter}", label)
        if isinstance(feedback, tuple | list):
            if len(feedback) != 2 or feedback[0] != "right":
                raise ValueError(f'choice {letter} must have feedback or ("right", explanation), but has {feedback!r}')
            right.append(len(checked))
            feedback = feedback[1]
        if label in [other["label"] for other in checked]:
            raise ValueError(f"two choices are called {label!r}; labels must differ")
        name = f"the {'explanation' if len(checked) in right else 'feedback'} of choice {letter}"
        checked.append({"label": label, "feedback": tidy(name, feedback)})
    if len(right) != 1:
        marked = ", ".join(repr(checked[index]["label"]) for index in right) or "none"
        raise ValueError(f'exactly one choice must be ("right", explanation), but so marked are: {marked}')
    return {"choices": checked, "right": right[0]}


def check_number(
    number: float | str, tolerance: float | None, unit: str, explanation: str, wrong: Wrong, otherwise: str
) -> dict[str, Any]:
    """Return the number asked for as the page is given it; raises ValueError for what no learner should meet."""
    answer = _finite("number", number)
    if tolerance is None:
        tolerance = 0.0 if answer == round(answer) else _TOLERANCE * abs(answer)
    if _finite("tolerance", tolerance) < 0:
        raise ValueError(f"tolerance must be zero or more, but is {tolerance:g}")
    asked = _target(answer, tolerance, tidy("explanation", explanation))
    slips = []
    for key, feedback in wrong.items():
        value = _finite("a key of wrong", key)
        slips.append(_target(value, _TOLERANCE * abs(value), tidy(f"the feedback for {key}", feedback)))
        if _fits(Typed(value, 0.0), asked):
            raise ValueError(f"{key} in wrong counts as right: it is within {tolerance:g} of {asked['shown']}")
    otherwise = tidy("otherwise", otherwise) if otherwise else ""
    return {"number": asked | {"whole": answer == round(answer), "unit": unit, "wrong": slips, "otherwise": otherwise}}


def judge(spec: Mapping[str, Any], committed: int | str) -> tuple[bool, str]:
    """Return whether a committed answer is right, and its feedback (or the explanation), as the page does."""
    if "choices" in spec:
        return committed == spec["right"], spec["choices"][committed]["feedback"]
    asked = spec["number"]
    typed = read(committed, asked["unit"])
    if _fits(typed, asked):
        return True, asked["feedback"]
    fitting = [slip["feedback"] for slip in asked["wrong"] if _fits(typed, slip)]
    return False, fitting[0] if fitting else asked["otherwise"]


def in_words(spec: Mapping[str, Any]) -> str:
    """Return the question and what can be answered, without the answer, for a terminal."""
    if "choices" in spec:
        answers = [f"  {letter}) {choice['label']}" for letter, choice in zip(LETTERS, spec["choices"], strict=False)]
    else:
        answers = [f"  ({_wanted(spec['number'])})"]
    return "\n".join([f"Predict. {spec['question']}", *answers])


def in_markdown(spec: Mapping[str, Any]) -> str:
    """Return the question, and the answer with all feedback folded below it, for a page without widgets."""
    lines = [f"> **Predict.** {spec['question']}".replace("\n", "\n> "), ">"]
    if "choices" in spec:
        choices = list(zip(LETTERS, spec["choices"], strict=False))
        lines += [f"> - {letter}) {choice['label']}" for letter, choice in choices]
        letter, right = choices.pop(spec["right"])
        answer = [f"**{letter})** {right['label']}", right["feedback"]]
        answer += [f"If you chose {letter}): {choice['feedback']}" for letter, choice in choices]
    else:
        asked = spec["number"]
        lines.append(f"> ({_wanted(asked)})")
        answer = [f"**{asked['shown']} {asked['unit']}".rstrip() + "**", asked["feedback"]]
        answer += [f"If you said {slip['shown']}: {slip['feedback']}" for slip in asked["wrong"]]
        if asked["otherwise"]:
            answer.append(f"If you said anything else: {asked['otherwise']}")
    lines += [">", "> *Run this cell to answer, with a hint and a second try.*"]
    folded = ["<details><summary>Show the answer</summary>", *map(_without_html, answer), "</details>"]
    return _without_html("\n".join(lines)) + "\n\n" + "\n\n".join(folded) + "\n"


def _without_html(text: str) -> str:
    """Return Markdown in which HTML has no power, nor a plain dollar for MathJax, which does not look across a tag."""
    power = {"&": "&amp;", "<": "&lt;", r"\$": r"<span>\$</span>"}
    return re.sub(rf"{_MARKED.pattern}|[<&]", lambda match: power.get(match[0], match[0]), text)


def _wanted(asked: Mapping[str, Any]) -> str:
    unit = f", in {asked['unit']}" if asked["unit"] else ""
    return f"a {'whole ' if asked['whole'] else ''}number{unit}"


def _finite(name: str, value: Any) -> float:
    if isinstance(value, str):
        return evaluate(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, but is {value!r}")
    return float(value)


def _target(value: float, tolerance: float, feedback: str) -> dict[str, Any]:
    shown = f"{value:.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.4g}"
    # 1/3 typed as a fraction is the same number as 0.3333... in the lesson, whatever the last bit says.
    return {"value": value, "tolerance": tolerance + 1e-9 * abs(value), "shown": shown, "feedback": feedback}


def _fits(typed: Typed, target: Mapping[str, Any]) -> bool:
    return abs(typed.value - target["value"]) <= max(typed.reach, target["tolerance"])
