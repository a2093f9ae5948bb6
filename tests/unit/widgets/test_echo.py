"""A slider and the values that the browser returns: moves count, echoes of the kernel's own values do not."""

from __future__ import annotations

import pytest

from nfteach.widgets import echo
from nfteach.widgets.controls import slider

NOISE = 3e-14  # as 75 comes back as 75.00000000000003


@pytest.fixture
def knob():
    return slider("angle", 0, 100, 50.0, step=0.5)


def heard(knob) -> list[float]:
    """Return the list of values that a listener gets from now on."""
    values: list[float] = []
    knob.observe(lambda change: values.append(change["new"]), "value")
    return values


def test_a_move_in_the_browser_counts(knob) -> None:
    values = heard(knob)
    for value in (50.5, 51.0 + NOISE, 50.5):
        knob.set_state({"value": value})
    assert values == [50.5, 51.0 + NOISE, 50.5]


def test_the_echo_of_the_value_that_stands_changes_nothing(knob) -> None:
    knob.value = 75.0
    values = heard(knob)
    knob.set_state({"value": 75.0 + NOISE})
    assert values == []
    assert knob.value == 75.0


def test_a_late_echo_does_not_move_the_slider_back(knob) -> None:
    for value in (60.0, 61.0, 62.0):
        knob.value = value
    values = heard(knob)
    for value in (60.0, 61.0, 62.0):
        knob.set_state({"value": value + NOISE})
    assert values == []
    assert knob.value == 62.0


def test_a_move_to_where_the_slider_was_a_moment_ago_counts(knob) -> None:
    for value in (60.0, 61.0):
        knob.value = value
    values = heard(knob)
    knob.set_state({"value": 60.0})  # to the last digit, so it is not an echo
    assert values == [60.0]


def test_each_value_has_one_echo(knob) -> None:
    for value in (60.0, 61.0):
        knob.value = value
    knob.set_state({"value": 60.0 + NOISE})
    knob.set_state({"value": 60.0 + NOISE})  # the second time it is a move
    assert knob.value == 60.0 + NOISE


def test_after_a_while_it_is_a_move(knob, monkeypatch) -> None:
    for value in (60.0, 61.0):
        knob.value = value
    now = echo.time.monotonic()
    monkeypatch.setattr(echo.time, "monotonic", lambda: now + 10)
    knob.set_state({"value": 60.0 + NOISE})
    assert knob.value == 60.0 + NOISE


def test_other_news_come_through_with_an_echo(knob) -> None:
    knob.value = 75.0
    knob.set_state({"value": 75.0 + NOISE, "description": "turn"})
    assert (knob.value, knob.description) == (75.0, "turn")
