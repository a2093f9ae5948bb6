"""Numbers as a learner types them: ``0.5``, ``-0,5``, ``1/3``, ``2 log 2``, ``e^-2``, ``50 %``.

The page reads by the same grammar (``evaluate`` in prediction.js), so that it can judge without a kernel::

    total    = product (("+" | "-") product)*
    product  = signed (("*" | "/") signed | power)*         a factor that follows directly is multiplied: 2 pi
    signed   = ("+" | "-") signed | power
    power    = primary "%"* [("^" | "**") signed]
    primary  = number | constant | "(" total ")" | function "(" total ")" | function power
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Typed", "evaluate", "read"]

LONGEST = 80
_NUMBER = r"(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:e[+-]?[0-9]+)?"
_TOKEN = re.compile(rf"{_NUMBER}|log(?:2|10)(?=\s*\()|[a-z]+|[π√]|\*\*|[-+*/^()%]")
_PLAIN = re.compile(r"[+-]?\s*0*([0-9]*)(?:[.,]([0-9]*))?(?:e([+-]?[0-9]+))?\s*(%?)")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2},[0-9]{3}")
_SAME = str.maketrans("\N{MINUS SIGN}\N{EN DASH}×·÷", "--**/")
_CONSTANTS = {"e": math.e, "pi": math.pi, "π": math.pi}
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "log": math.log,
    "ln": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "√": math.sqrt,
    "abs": abs,
}


class Typed(NamedTuple):
    """A number as typed: its value, and half a unit of its last digit (0 for an expression, and for a single digit)."""

    value: float
    reach: float


def read(text: str, unit: str = "") -> Typed:
    """Return the number that `text` stands for, with or without `unit` behind it.

    Raises:
        ValueError: `text` is not a number, is not finite, or can be read in two ways.
    """
    typed = text.strip()
    if unit and typed.endswith(unit):
        typed = typed[: -len(unit)].rstrip()
    value = evaluate(typed)
    plain = _PLAIN.fullmatch(typed.lower().translate(_SAME))
    if plain is None or len((plain[1] + (plain[2] or "")).lstrip("0")) < 2:
        return Typed(value, 0.0)
    last = int(plain[3] or 0) - len(plain[2] or "") - (2 if plain[4] else 0)
    return Typed(value, 0.5 * (1 + 1e-9) * 10.0**last)


def evaluate(text: str) -> float:
    """Return the value of an expression; raises ValueError as :func:`read` does."""
    source = text.lower().translate(_SAME)
    tokens = _TOKEN.findall(source)
    if not tokens or len(source) > LONGEST or "".join(tokens) != re.sub(r"\s", "", source):
        raise _not_a_number(text)
    for token in tokens:
        if _THOUSANDS.fullmatch(token):
            raise ValueError(
                f"{token} can be read in two ways; try {token.replace(',', '')} or {token.replace(',', '.')}"
            )
    try:
        return _value(text, tokens[::-1])
    except (ArithmeticError, TypeError) as error:  # TypeError: a power that is complex
        raise _not_finite(text) from error


def _not_a_number(text: str) -> ValueError:
    return ValueError(f"the answer must be a number, but is {text!r}; try one such as 0.5, 1/3 or log(2)")


def _not_finite(text: str) -> ValueError:
    return ValueError(f"the answer must be a finite number, but is {text!r}")


def _value(text: str, tokens: list[str]) -> float:
    """Return the value of tokens, the last one first, by recursive descent: one function a line of the grammar."""
    bare = False  # the last factor was a function without parentheses

    def take(*wanted: str) -> str:
        return tokens.pop() if tokens and tokens[-1] in wanted else ""

    def finite(function: Callable[..., float], *arguments: float) -> float:
        try:
            value = function(*arguments)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise _not_finite(text)
        return value

    def total() -> float:
        value = product()
        while sign := take("+", "-"):
            value = finite(operator.add if sign == "+" else operator.sub, value, product())
        return value

    def product() -> float:
        value, sign = signed(), ""
        while True:
            before, sign = sign, take("*", "/")
            if sign:
                value = finite(operator.mul if sign == "*" else operator.truediv, value, signed())
            elif tokens and re.match(r"[(a-zπ√]", tokens[-1]):
                if before == "/" or bare:
                    raise ValueError(f"{text!r} can be read in two ways; try parentheses or *")
                value = finite(operator.mul, value, power())
            else:
                return value

    def signed() -> float:
        sign = take("+", "-")
        return -signed() if sign == "-" else signed() if sign else power()

    def power() -> float:
        value = primary()
        while take("%"):
            value /= 100
        return finite(operator.pow, value, signed()) if take("^", "**") else value

    def primary() -> float:
        nonlocal bare
        token = tokens.pop() if tokens else ""
        bare = False
        if token in _FUNCTIONS:
            alone = tokens[-1:] != ["("]
            value = finite(_FUNCTIONS[token], power() if alone else primary())
            bare = alone
            return value
        if token == "(":
            value = total()
            if not take(")"):
                raise _not_a_number(text)
            bare = False
            return value
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if not re.fullmatch(_NUMBER, token):
            raise _not_a_number(text)
        return finite(float, token.replace(",", "."))

    value = total()
    if tokens:
        raise _not_a_number(text)
    return value
