"""Reports as text, as HTML and as data."""

import base64
import functools
import io
import json
import re
import struct
import sys
import xml.etree.ElementTree as ET
import zlib
from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch

from nfteach.flows import Planar, RealNVP
from nfteach.jacobian import JacobianReport, inspect_jacobian, inspect_layers
from nfteach.jacobian.compared import AGREES, DIFFERS, UNCHECKED, Compared
from nfteach.jacobian.finding import Finding
from nfteach.jacobian.report import Shown
from nfteach.jacobian.views.tex import plain_tex
from nfteach.jacobian.views.words import compared_table, verdict


def linear(J, **claims):
    """Return the report of x -> J x with J (D, D), at three points."""
    x = torch.randn(3, len(J), generator=torch.Generator().manual_seed(0))
    return inspect_jacobian(lambda x: x @ J.T.to(x.dtype), x, **claims)


def coupling_matrix(dim):
    """Return the Jacobian of a coupling that keeps the even dimensions."""
    J = torch.eye(dim)
    for i in range(1, dim, 2):
        J[i, ::2] = 0.25
        J[i, i] = -2.0
    return J


def test_the_text_shows_entries_and_marks():
    text = str(linear(coupling_matrix(3)))
    rows = [line.split() for line in text.splitlines() if line.strip().startswith("y")]
    assert rows[:3] == [
        ["y₁", "1", "·", "·"],
        ["y₂", "0.2500", "-2.0000", "0.2500"],
        ["y₃", "·", "·", "1"],
    ]
    assert rows[3:] == [
        ["y₁", "1", "·", "·"],
        ["y₃", "·", "1", "·"],
        ["y₂", "0.2500", "0.2500", "-2.0000"],
    ]


def test_the_text_names_every_route():
    text = str(linear(coupling_matrix(4), log_det=lambda x: torch.full((len(x),), 2 * np.log(2)), inverse=lambda y: y))
    for words in (
        "claimed: log_det(x), as given",
        "J by reverse mode, elimination",
        "the structure of J, O(D - d)",
        "condition number",
        "COUPLING",
    ):
        assert words in text
    assert "1.3863" in text
    assert "inverse-wrong" in text


@pytest.mark.parametrize("dim", [1, 2, 8, 9, 24, 25, 64, 65, 200])
def test_every_size_prints_and_draws(dim):
    report = linear(coupling_matrix(dim))
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 120
    assert len(lines) < 110
    html = report._repr_html_()
    assert len(html) < 60_000
    for svg in re.findall(r"<svg.*?</svg>", html, re.S):
        ET.fromstring(svg)


def pixels(html):
    """Return the first heat map of a page as (n, n, 4) bytes, decoded independently of how it was written."""
    data = base64.b64decode(re.search(r"data:image/png;base64,([^\"]+)", html)[1])
    width, height = struct.unpack(">II", data[16:24])
    start = data.index(b"IDAT") + 4
    length = struct.unpack(">I", data[start - 8 : start - 4])[0]
    raw = np.frombuffer(zlib.decompress(data[start : start + length]), np.uint8).reshape(height, 1 + 4 * width)
    assert (raw[:, 0] == 0).all()
    return raw[:, 1:].reshape(height, width, 4)


def test_the_heat_map_colours_by_sign_and_size():
    J = torch.tensor([[2.0, 0.0, 0.5], [-2.0, 1.0, 0.0], [0.5, -0.5, 3.0]])
    seen = pixels(linear(J)._repr_html_())
    purple, green = (0xB9, 0x6C, 0xD2), (0x2E, 0x9C, 0x4E)
    colours = [[tuple(int(v) for v in cell[:3]) for cell in row] for row in seen]
    assert colours[0][0] == colours[2][2] == colours[0][2] == green
    assert colours[1][0] == colours[2][1] == purple
    opacity = 0.78 * 255 * np.array([[2 / 3, 0, 1 / 3], [2 / 3, 0, 0], [1 / 3, 1 / 3, 3 / 4]])  # no fill: 0 and 1
    assert (seen[..., 3] == opacity.round()).all()


def test_kinds_of_entries_differ_by_more_than_colour():
    html = linear(torch.tensor([[2.0, 0.0], [-0.5, 1.0]]))._repr_html_()
    svg = ET.fromstring(re.search(r'<svg role="img".*?</svg>', html, re.S)[0])
    texts = [element.text for element in svg.iter("text")]
    assert "1" in texts
    assert "2.00" in texts
    assert "−0.50" in texts
    assert svg.find(".//path[@stroke-dasharray]").get("d").count("M") == 1  # one run of zeros, as dots


def test_html_escapes_what_it_is_given():
    def f(x):
        return 2 * x

    f.__name__ = "<script>"
    html = inspect_jacobian(f, torch.ones(2))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_the_same_report_gives_the_same_bytes():
    J = coupling_matrix(12)
    assert linear(J)._repr_html_() == linear(J)._repr_html_()
    assert str(linear(J)) == str(linear(J))


def test_repr_is_one_line():
    assert repr(linear(coupling_matrix(4))) == "JacobianReport(lambda, D=4, points=3, structure='coupling', ok=True)"


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"\log|\det J| = \sum_{i \in B} s_i(x_A)", "log|det J| = Σ_(i ∈ B) s_i(x_A)"),
        (r"\log \frac{q(x)}{\varphi(z)}", "log (q(x))/(φ(z))"),
        (r"-\tfrac12 \log(\mathrm{var}_i + \epsilon)", "-1/2 log(var_i + ε)"),
        (r"\left[x\right]_{x = f^{-1}(y)}", "[x]_(x = f⁻¹(y))"),
        (r"\hat u^\top w\, b", "u\u0302ᵀ w b"),
        (r"\unknown{x}^2", "unknownx²"),
    ],
)
def test_formulas_read_without_a_typesetter(tex, text):
    assert plain_tex(tex) == text


# Width, ASCII and formats.


def sound(**claims):
    """Return the report of a map of five dimensions with a log-det and an inverse."""
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    claims = {"log_det": lambda x: x.cosh().log().sum(-1), "inverse": torch.asinh} | claims
    return inspect_jacobian(torch.sinh, x, **claims)


@functools.cache
def reports():
    stack = inspect_layers(RealNVP(4, layers=2), torch.randn(3, 4, generator=torch.Generator().manual_seed(2)))
    planar = inspect_jacobian(Planar(2), torch.ones(2), perturb=0.5)
    return [sound(), planar, linear(coupling_matrix(30)), sound(log_det=lambda x: 1.0), stack]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("width", [60, 77, 96, 140])
def test_lines_fit_the_width_in_both_alphabets(number, width):
    for ascii in (False, True):
        text = reports()[number].text(width=width, ascii=ascii)
        assert max(map(len, text.splitlines())) <= width
        assert text.isascii() or not ascii


@pytest.mark.parametrize("width", [59, 0, -80, 80.0, "80"])
def test_a_width_that_is_too_small_or_no_number_is_refused(width):
    with pytest.raises(ValueError, match=r"width must be a whole number from 60 up, but is .*; try width=80"):
        sound().text(width=width)


def test_the_text_is_as_wide_as_the_terminal(monkeypatch):
    report = sound()
    monkeypatch.delenv("COLUMNS", raising=False)
    assert str(report) == report.text(width=96)  # not a terminal
    for columns, width in ((72, 72), (40, 60), (200, 96)):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert str(report) == report.text(width=width)


@pytest.mark.parametrize(
    ("encoding", "ascii"),
    [("utf-8", False), ("ascii", True), ("cp1252", True), ("no-such-encoding", True), (None, False)],
)
def test_signs_that_the_output_cannot_encode_are_spelt(monkeypatch, encoding, ascii):
    report = sound()
    monkeypatch.setattr(sys, "stdout", type("Output", (io.StringIO,), {"encoding": encoding})())
    assert str(report) == report.text(ascii=ascii)


def test_ascii_keeps_columns_under_each_other():
    lines = linear(coupling_matrix(3)).text(ascii=True).splitlines()
    heading = next(line for line in lines if line.split() == ["x1", "x2", "x3"])
    row = next(line for line in lines if line.split()[:1] == ["y2"])
    assert [m.end() for m in re.finditer(r"\S+", heading)] == [m.end() for m in re.finditer(r"\S+", row)][1:]


def test_reports_follow_format_specifications():
    report = sound()
    assert f"{report}" == str(report)
    assert f"{report:>120}" == repr(report).rjust(120)
    assert f"{report!r:<120}" == repr(report).ljust(120)


# Comparisons and the verdict.


def test_equal_results_share_a_row():
    compared = [
        Compared("derivative", AGREES, "here"),
        Compared("log-det", UNCHECKED, "why not"),
        Compared("inverse", AGREES, "here"),
        Compared("signal", DIFFERS, "here"),
    ]
    assert compared_table(compared).rows == (
        ("✓ derivative, inverse", "here"),
        ("– log-det", "not compared: why not"),
        ("✗ signal", "differs: here"),
    )


@pytest.mark.parametrize(
    ("errors", "results", "words", "state"),
    [
        (0, [AGREES, AGREES], "nothing is wrong; 2 of 2 comparisons made", "good"),
        (0, [AGREES, UNCHECKED], "nothing is wrong; 1 of 2 comparisons made", "part"),
        (0, [UNCHECKED, UNCHECKED], "nothing was compared", "part"),
        (1, [DIFFERS, UNCHECKED], "1 error; 1 of 2 comparisons made", "bad"),
        (2, [DIFFERS], "2 errors; 1 of 1 comparison made", "bad"),
    ],
)
def test_the_verdict_counts_comparisons(errors, results, words, state):
    assert verdict(errors, results) == (words, state)


@pytest.mark.parametrize(
    ("claims", "left_out"), [({}, []), ({"inverse": None, "log_det": None}, ["log-det", "inverse"])]
)
def test_comparisons_that_were_not_made_are_in_the_text_and_in_the_badge(claims, left_out):
    report = sound(**claims)
    unchecked = [each.name for each in report.compared if each.result == UNCHECKED]
    assert set(left_out) <= set(unchecked)
    words = f"nothing is wrong; {len(report.compared) - len(unchecked)} of {len(report.compared)} comparisons made"
    assert words.capitalize() in str(report)
    state = "part" if unchecked else "good"
    assert f'<span class="badge {state}">{"" if unchecked else "✓ "}{words}</span>' in report._repr_html_()
    rows = [line.split() for line in str(report).splitlines()]
    for name in left_out:
        assert any(row[:2] == ["–", name] and row[2:4] == ["not", "compared:"] for row in rows)


@pytest.mark.parametrize("number", range(5))
def test_a_notebook_shows_picture_and_comparisons_and_folds_the_rest(number):
    report = reports()[number]
    html = report._repr_html_()
    shown, folded = re.sub(r"<details>.*?</details>", "", html), "".join(re.findall(r"<details>.*?</details>", html))
    assert "<svg" in shown
    assert all(each.name in shown for each in report.compared)
    if isinstance(report, JacobianReport):
        assert shown.count("<table") == 1
        assert "condition number" in folded
    ET.fromstring(html[html.index("<div") :].replace("<br>", "<br/>"))


# As data.


@pytest.mark.parametrize("number", range(5))
def test_data_comes_back_from_json(number):
    report = reports()[number]
    data = report.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert (data["report"], data["version"], data["ok"]) == (type(report).__name__, 1, report.ok)
    assert data.keys() >= {field.name for field in fields(report)}
    np.testing.assert_array_equal(data["x"], report.x)


def test_data_holds_what_json_has_no_numbers_for():
    data = inspect_jacobian(lambda x: (x.log(), -x.log().sum(-1)), torch.tensor([[1.0, 2.0], [-1.0, 0.0]])).to_dict()
    assert not data["ok"]
    assert np.isnan(float(data["y"][1][0]))
    assert float(data["y"][1][1]) == -np.inf
    assert data["claim"]["shape"] == [2]
    assert data["behaviour"]["in_own_dtype"]["dtype"] == "torch.float32"
    assert data["findings"][0]["code"] == "non-finite"
    assert data["findings"][0]["severity"] == "error"
    assert data["compared"][0]["name"] == "derivative"


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (float("-inf"), "-inf"),
        (torch.tensor([[True, False]]), [[True, False]]),
        (torch.tensor([1.0, float("nan")]), [1.0, "nan"]),
        (torch.tensor([1 + 2j]), ["(1+2j)"]),
        (torch.Size([2, 3]), [2, 3]),
        (torch.float32, "torch.float32"),
        ({"a": {3, 1, 2}, 4: None}, {"a": [1, 2, 3], "4": None}),
        (np.float64("inf"), "inf"),
        (np.arange(3), [0, 1, 2]),
        (
            Finding("raises", "no", {"x": np.float32(0.5)}),
            {"code": "raises", "severity": "error", "evidence": {"x": 0.5}},
        ),
    ],
    ids=repr,
)
def test_every_kind_of_value_becomes_data(value, data):
    @dataclass
    class Odd(Shown):
        value: object
        compared = ()

        def document(self):
            raise NotImplementedError

        def __rich_repr__(self):
            yield "odd"

    found = json.loads(json.dumps(Odd(value).to_dict(), allow_nan=False))["value"]
    assert ({key: found[key] for key in data} if isinstance(value, Finding) else found) == data


def test_the_parts_of_the_one_line_form_are_those_of_rich():
    report = sound(log_det=lambda x: 1.0)
    name, *pairs = report.__rich_repr__()
    assert (name, dict(pairs)) == (
        "sinh",
        {"D": 5, "points": 6, "structure": "diagonal", "ok": False, "errors": ["log-det-wrong"]},
    )
    assert (
        repr(report) == "JacobianReport(sinh, D=5, points=6, structure='diagonal', ok=False, errors=['log-det-wrong'])"
    )


# Behaviour.


class Changed(torch.nn.Module):
    """A map that adds more in each call, or raises from the second call on."""

    def __init__(self, fails):
        super().__init__()
        self.calls, self.fails = 0, fails

    def forward(self, x):
        self.calls += 1
        if self.fails and self.calls > 1:
            raise RuntimeError("the map is used up")
        return x + (0.0 if self.fails else 0.1 * self.calls)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (torch.nn.Identity(), "Deterministic: repeated calls, other seeds and other batches give the same y."),
        (Changed(True), "Called again, the map raises: RuntimeError: the map is used up"),
        (Changed(False), "With repeated calls y changes by 0."),
        (torch.nn.Dropout(0.5), "With other seeds y changes by "),
        (torch.nn.BatchNorm1d(3), "Repeated calls and other seeds give the same y."),
    ],
    ids=["none", "raises", "state", "noise", "batch"],
)
def test_repeated_calls_other_seeds_and_other_batches_are_in_the_text(layer, words):
    report = inspect_jacobian(layer, torch.randn(6, 3, generator=torch.Generator().manual_seed(4)))
    assert words in " ".join(str(report).split())
