"""Texts that learners may type for a number, in Python's tests and in the page's: their values, and those refused."""

from __future__ import annotations

import math

__all__ = ["FINITE_NOT", "NUMBERS", "NUMBERS_NOT", "TWO_WAYS"]

#: With the unit "bits".
NUMBERS = {
    "0.5": 0.5,
    " -2 ": -2.0,
    "+3": 3.0,
    ".25": 0.25,
    "3.": 3.0,
    "0,125": 0.125,  # not thousands: 125 is not written as 0,125
    "1e-3": 1e-3,
    "2E2": 200.0,
    "−1": -1.0,
    "2 bits": 2.0,
    "2bits": 2.0,
    "1/3": 1 / 3,
    "-1 / 4": -0.25,
    "1,5/3": 0.5,
    "1/2/4": 0.125,
    "50 %": 0.5,
    "12.5%": 0.125,
    "200 % / 4": 0.5,
    "log(1.5)": math.log(1.5),
    "ln 2": math.log(2),
    "Log(1,5) bits": math.log(1.5),
    "log2(8)": 3.0,
    "log2 (8)": 3.0,
    "log10(1000)": 3.0,
    "2*0.693": 1.386,
    "2 log 2": 2 * math.log(2),
    "2log2": 2 * math.log(2),
    "2 log(2)^2": 2 * math.log(2) ** 2,
    "log 2^3": math.log(8),
    "log sqrt 4": math.log(2),
    "3 log(2) - log(2)": 2 * math.log(2),
    "-log 2": -math.log(2),
    "e^-2": math.exp(-2),
    "e^−2": math.exp(-2),
    "exp(-2)": math.exp(-2),
    "2e": 2 * math.e,
    "2e1": 20.0,
    "sqrt(2)/2": math.sqrt(2) / 2,
    "√2/2": math.sqrt(2) / 2,
    "sqrt 2 / 2": math.sqrt(2) / 2,
    "2π": 2 * math.pi,
    "1/(2 pi)": 1 / (2 * math.pi),
    "-2^2": -4.0,
    "(-2)^2": 4.0,
    "2**3**2": 512.0,
    "2^-1": 0.5,
    "2 - -3": 5.0,
    "3 × 4 · 2 ÷ 8": 3.0,
    "(1/2)(3)": 1.5,
    "2(3 + 4)": 14.0,
    "abs(-3)": 3.0,
    "1 - 0.8^2": 0.36,
    "0^0": 1.0,
    "\u00a07\u00a0": 7.0,
}
NUMBERS_NOT = ["", " ", "bits", "two", "1.2.3", "1 2", "0x10", "nan", "inf", "2 nats", "١", "1_000", "(1", "1)", "()"]
NUMBERS_NOT += ["2+", "*2", "log", "log()", "log2 8", "foo(2)", "constructor", "__proto__", "2;3", "1" * 81, "(" * 81]
NUMBERS_NOT += ["2 3^2", "1 e5", "=1", "%", "5!", "x", "toString(1)", "log -2", "1.5.", "2^", "π π 2"]
TWO_WAYS = ["1,234", "-12,345", "1,234/2", "1/2pi", "1/2 log 2", "log 2 pi", "2/3(4)", "log 2 (3)"]
FINITE_NOT = ["1/0", "1e999", "log(0)", "log(-1)", "sqrt(-1)", "0^-1", "(-8)^(1/3)", "9^9^9^9", "exp(1000)", "1/(1/0)"]
