"""Recorded programs in Chromium compute what torch does: every operation, every text, every explorer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from nfteach.jacobian.numbers import added, bracketed, fixed, pick
from nfteach.widgets.program import lower
from nfteach.widgets.program.wiring import recorded
from nfteach.widgets.stage.packing import written
from tests.browser.operations import FAR_OUT, OPERATIONS, given
from tests.browser.programs import runner

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}
FLOATS = (torch.float64, torch.float32)


@pytest.fixture(scope="module")
def page(browser):
    with runner(browser) as running:
        yield running


def walk(count: int = 20) -> list[dict[str, float]]:
    """Return states of which every other changes both numbers, and those between x or y alone."""
    rng = np.random.default_rng(0)
    x, y = 0.7, -0.4
    states = []
    for k in range(count):
        x = float(rng.uniform(-2, 2)) if k % 4 != 1 else x
        y = float(rng.uniform(-2, 2)) if k % 4 != 3 else y
        states.append({"x": x, "y": y})
    return states


def run(name: str, dtype: torch.dtype, **numbers: torch.Tensor) -> list[torch.Tensor]:
    """Return what an operation of the table makes of two numbers, in a dtype."""
    out = OPERATIONS[name](given(*(number.to(dtype) for number in numbers.values())))
    return [out] if isinstance(out, torch.Tensor) else list(out)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_computes_what_torch_does(page, name):
    states = walk()
    for dtype in FLOATS:
        told = recorded(lambda dtype=dtype, **numbers: run(name, dtype, **numbers), states[-1])
        for state, (_, values) in zip(states, page.results(told, states, raw=True), strict=True):
            wanted = run(name, dtype, **{k: torch.tensor(v, dtype=torch.float64) for k, v in state.items()})
            for k, (node, want) in enumerate(zip(told["tree"], wanted, strict=True)):
                got = np.asarray(values[node["="]], dtype=float).reshape(want.shape)
                tolerance = TOLERANCE.get(torch.float32 if want.dtype == torch.float32 else dtype)
                np.testing.assert_allclose(got, want.double(), tolerance, tolerance, err_msg=f"{dtype}, {state}, {k}")


@pytest.mark.parametrize("name", FAR_OUT)
def test_a_function_is_precise_far_out(page, name):
    function, places = FAR_OUT[name]
    told = recorded(lambda x: [function(x)], {"x": 0.3})
    got = [values[0] for _, values in page.results(told, [{"x": place} for place in places], raw=True)]
    np.testing.assert_allclose(got, function(torch.tensor(places, dtype=torch.float64)), 1e-12, 1e-20)


def test_every_operation_is_in_the_table(monkeypatch):
    lowered = set()
    add = lower.Lowering.add

    def seen(self, node):
        lowered.add(node.op.lstrip("_"))
        return add(self, node)

    monkeypatch.setattr(lower.Lowering, "add", seen)
    for name in OPERATIONS:
        recorded(lambda name=name, **numbers: run(name, torch.float64, **numbers), {"x": 0.7, "y": -0.4})
    special = {name.removeprefix("op_") for name in vars(lower.Lowering) if name.startswith("op_")}
    tables = [{name.lstrip("_") for name in table} for table in (lower.MAPS, lower.FOLDS, lower.SCANS, special)]
    assert set().union(*tables) - lowered == set()
    assert sum(map(len, tables)) == len(set().union(*tables)), "no operation stands in two tables"


def test_where_a_guard_fails_the_program_declines_and_is_right_again_after_it(page):
    def function(x, y):
        a = torch.arange(3) * x
        return {"sum": a.sum() + y, "a": a * y, "rows": a[: int((2 + x.round()).long())]} if x > -1.5 else {"sum": y}

    told = recorded(function, {"x": 0.1, "y": 1.0})
    assert [guard[1] for guard in told["guards"]] == [1, 2]
    states = [
        {"x": x, "y": y} for x, y in ((0.1, 1), (0.2, 1), (0.2, 3), (0.7, 3), (0.3, 3), (-2, 3), (-2, 4), (-0.2, 5))
    ]
    results = page.results(told, states)
    assert [result is not None for result in results] == [True, True, True, False, True, False, False, True]
    for state, result in zip(states, results, strict=True):
        for name, want in (function(**{k: torch.tensor(v) for k, v in state.items()}) if result else {}).items():
            np.testing.assert_allclose(result[name], want, 1e-6)


FORMATS = [
    f"{sign}.{digits}{kind}"
    for sign in ("", "+")
    for kind, most in (("f", 4), ("e", 3), ("g", 5))
    for digits in range(most)
]
AWKWARD = [
    0.0,
    -0.0,
    0.125,
    -0.125,
    0.375,
    2.5,
    3.5,
    -0.5,
    0.05,
    0.15,
    1e5,
    99999.5,
    123456.5,
    0.5e-2,
    0.005,
    1e-9,
    9.995,
    9.5e-10,
    1e22,
    1e21,
    1.5e300,
    -1e-300,
    0.1,
    1 / 3,
    999.995,
    0.0001,
    0.00001,
    100.0,
    99.95,
    99.995,
]


def numbers() -> list[float]:
    """Return awkward numbers, numbers of all sizes, and halves of the last digit, which are rounded to even."""
    rng = np.random.default_rng(0)
    sizes = rng.normal(size=1500) * 10.0 ** rng.integers(-12, 12, 1500)
    halves = (rng.integers(-4000, 4000, 600) + 0.5) / 2.0 ** rng.integers(0, 4, 600)
    return [*AWKWARD, *sizes.tolist(), *halves.tolist(), *(rng.integers(-9999, 9999, 400) / 1000).tolist()]


def test_texts_of_numbers_are_those_of_python(page):
    few = [0, 1, 2, 3]
    kinds = {("format", spec): lambda x, spec=spec: format(x, spec) for spec in FORMATS} | {
        (kind.__name__, digits): lambda x, kind=kind, digits=digits: kind(x, digits)
        for kind, digits in itertools.product((fixed, bracketed, added, written), few)
    }  # fmt: skip
    given = [*numbers(), math.inf, -math.inf, math.nan]
    script = "([kinds, numbers]) => kinds.map(([kind, detail]) => numbers.map((x) => TEXTS[kind](x, detail)))"
    for kind, got in zip(kinds, page.page.evaluate(script, [list(kinds), given]), strict=True):
        wrong = [(x, text, want) for x, text in zip(given, got, strict=True) if text != (want := kinds[kind](x))]
        assert wrong == [], kind


def test_texts_within_a_program(page):
    def function(x, y):
        words = [
            f"{x:.2f} of {y:+.1e}",
            fixed(x),
            f"w{added(y, 1)}{bracketed(-x, decimals=3)}",
            written(y),
            written((3 * x).long()),
        ]
        return [
            *words,
            pick(x > y, "less", f"more than {fixed(x)}"),
            pick((x > y).long() + 1, "a", "b", "c"),
            f"{(x > y)}"[:0],
        ]

    told = recorded(function, {"x": 0.5, "y": 0.25})
    states = walk(40)
    for state, got in zip(states, page.results(told, states), strict=True):
        assert got == function(**{k: torch.tensor(v, dtype=torch.float64) for k, v in state.items()})
