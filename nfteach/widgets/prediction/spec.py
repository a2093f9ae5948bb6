"""What a prediction asks, checked: the structure that the page is given, and the same in words and as Markdown."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nfteach.widgets.prediction.text import Pieces, cut, to_markdown, to_plain

__all__ = ["LETTERS", "Choices", "Wrong", "check_choices", "check_number", "in_markdown", "in_words", "judge", "read"]

Choices = Mapping[str, str | tuple[str, str]] | Sequence[tuple[str, str | tuple[str, str]]]
Wrong = Mapping[float | tuple[float | None, float | None] | Callable[[float], float], str]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PLAIN = r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?"
_NUMBER = re.compile(rf"{_PLAIN}(\s*/\s*{_PLAIN})?", re.IGNORECASE | re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)


def check_choices(choices: Choices) -> dict[str, Any]:
    """The choices as the page is given them; raises ValueError for what no learner should meet."""
    pairs = list(choices.items() if isinstance(choices, Mapping) else choices)
    if not 2 <= len(pairs) <= len(LETTERS):
        raise ValueError(f"choices must be 2 to {len(LETTERS)}, but are {len(pairs)}")
    checked: list[dict[str, Any]] = []
    right: list[int] = []
    for letter, (label, feedback) in zip(LETTERS, pairs, strict=False):
        pieces = cut(f"choice {letter}", label)
        plain = to_plain(pieces)
        if isinstance(feedback, tuple | list):
            if len(feedback) != 2 or feedback[0] != "right":
                raise ValueError(f'choice {letter} must have feedback or ("right", explanation), but has {feedback!r}')
            right.append(len(checked))
            feedback = feedback[1]
        if plain in [other["plain"] for other in checked]:
            raise ValueError(f"two choices are called {plain!r}; a label stands once")
        name = f"the {'explanation' if len(checked) in right else 'feedback'} of choice {letter}"
        checked.append({"label": pieces, "plain": plain, "feedback": cut(name, feedback)})
    if len(right) != 1:
        marked = ", ".join(repr(checked[index]["plain"]) for index in right) or "none"
        raise ValueError(f'exactly one choice must be ("right", explanation), but so marked are: {marked}')
    return {"choices": checked, "right": right[0]}


def check_number(
    number: float, tolerance: float | None, unit: str, explanation: str, wrong: Wrong, otherwise: str
) -> dict[str, Any]:
    """The number asked for as the page is given it; raises ValueError for what no learner should meet."""
    answer = _finite("number", number)
    if tolerance is None and answer != round(answer):
        raise ValueError(f"number is {answer:g}, which is not whole: say how far off still is right, tolerance=...")
    tolerance = 0.0 if tolerance is None else _finite("tolerance", tolerance)
    if tolerance < 0:
        raise ValueError(f"tolerance must be zero or more, but is {tolerance:g}")
    right = _around(answer, tolerance)
    slips = []
    for key, feedback in wrong.items():
        if isinstance(key, tuple):
            name, reach = _range(key)
        else:
            value = _finite("a key of wrong", key(answer) if callable(key) else key)
            name, reach = _shown(value), _around(value, tolerance)
            if _within(value, right):
                raise ValueError(f"{name} in wrong counts as right: it is within {tolerance:g} of {_shown(answer)}")
        slips.append({**reach, "name": name, "feedback": cut(f"the feedback for {name}", feedback)})
    unit_pieces = cut("unit", unit) if unit else []
    asked = {
        **right,
        "shown": _shown(answer),
        "tolerance": f"{tolerance:g}" if tolerance else "",
        "unit": unit_pieces,
        "unit_plain": to_plain(unit_pieces),
        "explanation": cut("explanation", explanation),
        "wrong": slips,
        "otherwise": cut("otherwise", otherwise) if otherwise else [],
    }
    return {"number": asked}


def read(text: str, unit: str = "") -> float:
    """What a learner types for a number: 0.5, -0,5, 1/3, 2e-3, with or without the unit.

    The page reads by the same rules (``read`` in prediction.js).

    Raises:
        ValueError: no number, or one that can be read in two ways.
    """
    typed = text.strip().replace("\N{MINUS SIGN}", "-")
    if unit and typed.endswith(unit):
        typed = typed[: -len(unit)].rstrip()
    if not _NUMBER.fullmatch(typed):
        raise ValueError(f"{text!r} is no number; type one such as 0.5, -2 or 1/3")
    parts = [part.strip() for part in typed.split("/")]
    for part in parts:
        if _THOUSANDS.fullmatch(part):
            raise ValueError(
                f"{part} can be read in two ways; write {part.replace(',', '')} or {part.replace(',', '.')}"
            )
    values = [float(part.replace(",", ".")) for part in parts]
    value = values[0] if len(values) == 1 else values[0] / values[1] if values[1] else math.inf
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite; type a number such as 0.5, -2 or 1/3")
    return value


def judge(spec: Mapping[str, Any], committed: int | str) -> tuple[bool, Pieces]:
    """Whether what was committed is right, and the feedback or the explanation that goes with it (``judge`` in
    prediction.js does the same)."""
    if "choices" in spec:
        return committed == spec["right"], spec["choices"][committed]["feedback"]
    asked = spec["number"]
    value = read(committed, asked["unit_plain"])
    if _within(value, asked):
        return True, asked["explanation"]
    fitting = [slip["feedback"] for slip in asked["wrong"] if _within(value, slip)]
    return False, fitting[0] if fitting else asked["otherwise"]


def in_words(spec: Mapping[str, Any]) -> str:
    """The question and what can be answered, for a terminal; the answer is not in it."""
    lines = [f"Predict. {to_plain(spec['question'])}"]
    if "choices" in spec:
        lines += [f"  {letter}) {choice['plain']}" for letter, choice in zip(LETTERS, spec["choices"], strict=False)]
    else:
        lines.append(f"  ({_wanted(spec['number'], to_plain)})")
    return "\n".join(lines)


def in_markdown(spec: Mapping[str, Any]) -> str:
    """The question, and the answer with all feedback folded below it."""
    lines = [f"> **Predict.** {to_markdown(spec['question'], paragraph=chr(10) + '>' + chr(10) + '> ')}", ">"]
    if "choices" in spec:
        choices = list(zip(LETTERS, spec["choices"], strict=False))
        lines += [f"> - {letter}) {to_markdown(choice['label'])}" for letter, choice in choices]
        letter, right = choices.pop(spec["right"])
        answer = [f"**{letter})** {to_markdown(right['label'])}", to_markdown(right["feedback"])]
        answer += [f"If you chose {letter}): {to_markdown(choice['feedback'])}" for letter, choice in choices]
    else:
        asked = spec["number"]
        lines.append(f"> ({_wanted(asked, to_markdown)})")
        shown = f"{asked['shown']} {to_markdown(asked['unit'])}".rstrip()
        answer = [f"**{shown}**", to_markdown(asked["explanation"])]
        answer += [f"If you said {slip['name']}: {to_markdown(slip['feedback'])}" for slip in asked["wrong"]]
        if asked["otherwise"]:
            answer.append(f"If you said anything else: {to_markdown(asked['otherwise'])}")
    folded = ["<details><summary>Show the answer</summary>", *answer, "</details>"]
    return "\n".join(lines) + "\n\n" + "\n\n".join(folded) + "\n"


def _wanted(asked: Mapping[str, Any], write: Callable[[Pieces], str]) -> str:
    """What kind of number: its unit and how near it has to be."""
    unit = f", in {write(asked['unit'])}" if asked["unit"] else ""
    return f"a number{unit}" + (f", to within {asked['tolerance']}" if asked["tolerance"] else "")


def _finite(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, but is {value!r}")
    return float(value)


def _range(key: tuple[float | None, float | None]) -> tuple[str, dict[str, float | None]]:
    """A range in words, and its ends."""
    if len(key) != 2 or key == (None, None):
        raise ValueError(f"a range in wrong must be (low, high), one of them None for an open end, but is {key}")
    low, high = (None if end is None else _finite("an end of a range in wrong", end) for end in key)
    if low is not None and high is not None and low >= high:
        raise ValueError(f"a range in wrong must be (low, high), but {_shown(low)} is not below {_shown(high)}")
    ends = {"low": low, "high": high}
    if low is None:
        return f"{_shown(high)} or less", ends
    return (f"{_shown(low)} or more" if high is None else f"{_shown(low)} to {_shown(high)}"), ends


def _around(value: float, tolerance: float) -> dict[str, float]:
    # 1/3 typed as a fraction is the same number as 0.3333... in the lesson, whatever the last bit says.
    reach = tolerance + 1e-9 * abs(value)
    return {"low": value - reach, "high": value + reach}


def _shown(value: float) -> str:
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:g}"


def _within(value: float, reach: Mapping[str, Any]) -> bool:
    low, high = reach["low"], reach["high"]
    return (low is None or value >= low) and (high is None or value <= high)
