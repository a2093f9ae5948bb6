"""The number formats: as many digits as say something, a true minus sign where numbers are drawn, no negative zero."""

import math

import pytest
import torch

from nfteach.jacobian.numbers import (
    bound,
    bracketed,
    brief,
    cell,
    condition,
    coordinate,
    fixed,
    gap,
    number,
    short_vector,
    summed,
    value_at,
)  # fmt: skip

VALUES = (0.0, -0.001, 0.5, -1.234, 9.999, 99.96, 12345.6, -2e12)


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (number, ["0", "-0.0010", "0.5000", "-1.2340", "9.9990", "99.9600", "1.23e+04", "-2.00e+12"]),
        (brief, ["0", "-0.001", "0.5", "-1.234", "9.999", "99.96", "1.235e+04", "-2e+12"]),
        (cell, ["0.00", "0.00", "0.50", "−1.23", "10.0", "100", "1e4", "−2e12"]),
        (lambda value: cell(value, smallest=0.005), ["0.00", "−1e−3", "0.50"]),
        (lambda value: cell(value, 1), ["0.0", "0.0", "0.5", "−1.2", "10", "100", "1e4", "−2e12"]),
        (fixed, ["0.00", "0.00", "0.50", "−1.23", "10.00", "99.96", "1.2e+04", "−2.0e+12"]),
        (lambda value: fixed(value, 3, low=0.01), ["0.000", "−1.0e−03", "0.500", "−1.234"]),
    ],
)
def test_numbers_are_written_as_expected(write, expected):
    assert [write(value) for value in VALUES[: len(expected)]] == expected


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_a_number_fits_its_cell_and_says_what_it_is(decimals):
    for value in torch.logspace(-6, 12, 400, dtype=torch.float64).tolist():
        for signed in (value, -value):
            text = cell(signed, decimals, smallest=0.005)
            assert len(text.lstrip("−")) <= 3 + decimals
            # One digit of a power of ten is good to a third; a decimal to half of its last place.
            assert float(text.replace("−", "-")) == pytest.approx(signed, rel=0.34, abs=0.501 * 10**-decimals)


def test_differences_and_condition_numbers_have_two_digits():
    assert [gap(value) for value in (None, 1e-10, 0.0123, 12.34, 12345.6)] == ["", "< 1e-9", "0.012", "12", "1.2e+04"]
    assert [bound(value) for value in (1e-10, 2e-9, 0.0123)] == ["1e-9", "2.0e-09", "0.012"]
    assert bound(1e-7, rounding=1e-6) == "1e-6"
    assert [condition(value) for value in (1.26, 12345.6)] == ["1.3", "1e+04"]


def test_what_is_not_finite_is_named():
    assert [number(value) for value in (math.inf, -math.inf, math.nan)] == ["inf", "-inf", "nan"]
    assert [cell(value) for value in (math.inf, -math.inf, math.nan)] == ["inf", "−inf", "nan"]


def test_vectors_and_coordinates():
    assert short_vector(torch.tensor([1.25, -0.5])) == "(1.25, -0.5)"
    assert short_vector(torch.arange(8.0)) == "(0, 1, 2, 3, 4, 5, ...)"
    assert value_at(torch.tensor([True, False])) == "(1, 0)"
    assert value_at(torch.zeros(2, 3)) == "a 2 x 3 array, entries from 0 to 0"
    assert [coordinate("x", index) for index in (0, 9, 122)] == ["x₁", "x₁₀", "x₁₂₃"]


def test_negative_terms_are_bracketed_in_products_and_subtracted_in_sums():
    assert [bracketed(value) for value in (1.5, -0.25, -0.001)] == ["1.50", "(\N{MINUS SIGN}0.25)", "0.00"]
    assert summed([0.5, -0.25, torch.tensor(1.0)]) == "0.50 \N{MINUS SIGN} 0.25 + 1.00"
    assert summed([-0.5]) == "\N{MINUS SIGN}0.50"
