"""What the report says and shows."""

import base64
import re
import struct
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest
import torch

from nfteach.jacobian import inspect_jacobian
from nfteach.jacobian.views.tex import plain_tex


def linear(J, **claims):
    """x -> J x with J (D, D), looked at in three points."""
    x = torch.randn(3, len(J), generator=torch.Generator().manual_seed(0))
    return inspect_jacobian(lambda x: x @ J.T.to(x.dtype), x, **claims)


def coupling_matrix(dim):
    """Kept: the even dimensions."""
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
    """The first heat map of the page as (n, n, 4) bytes, decoded independently of how it was written."""
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
