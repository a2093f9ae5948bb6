"""The table of a stack's layers: in print and as HTML."""

import re
import xml.etree.ElementTree as ET

import pytest

from nfteach.flows import AffineCoupling, BatchNorm, Planar, RealNVP, Stack, half_mask
from nfteach.jacobian import inspect_layers
from tests.unit.jacobian.layer_zoo import Bend, Container, FlowSequential, Mix, points


def test_the_table_in_print():
    stack = Container(Bend([0.3, -0.2]), Bend([-1.0, 0.1]), add=lambda each: each[0])
    report = inspect_layers(stack, points(6, 2))
    rows = [line.split() for line in str(report).splitlines() if line.startswith(("  ✓", "  ✗ ")) and "O(" in line]
    claims = [float(layer.log_det.mean()) for layer in report]
    first, both = f"{claims[0]:.4f}", f"{sum(claims):.4f}"
    left_out = f"{float(report[1].log_det.abs().max()):.2g}"
    assert rows[0] == ["✓", "1", "Bend", "diagonal", "O(D)", first, first, "<", "1e-9", "<", "1e-9"]
    assert rows[1][:7] == ["✓", "2", "Bend", "diagonal", "O(D)", f"{claims[1]:.4f}", both]
    assert rows[2] == ["✗", "together", "diagonal", "O(D)", first, both, left_out, "<", "1e-9"]


def test_the_text_fits_its_width():
    long = type("PiecewiseRationalQuadraticCouplingTransformWithAName", (Mix,), {})
    for stack, dim in (([long(3), BatchNorm(3).eval(), Planar(3).inv], 3), (RealNVP(70, layers=2), 70), ([Mix(1)], 1)):
        report = inspect_layers(stack, points(4, dim))
        assert max(map(len, str(report).splitlines())) <= 96
        assert "LayersReport(" in repr(report)
        assert "\n" not in repr(report)


@pytest.mark.parametrize("dim", [1, 2, 9, 33, 64, 65])
def test_the_table_has_a_picture_for_each_layer_while_they_are_small(dim):
    mask = half_mask(dim) if dim > 1 else None
    layers = [Planar(dim), *([AffineCoupling(mask, hidden=(4,))] if dim > 1 else [])]
    html = inspect_layers(Stack(*layers), points(3, dim))._repr_html_()
    pictures = re.findall(r"<svg.*?</svg>", html, re.S)
    assert len(pictures) == (len(layers) + 1 if dim <= 64 else 0)
    for picture in pictures:
        ET.fromstring(picture)
    table = ET.fromstring(re.search(r"<table.*?</table>", html, re.S)[0])
    assert len(table.findall("tr")) == len(layers) + 2
    assert {len(list(row)) for row in table.findall("tr")} == {9}


def test_html_escapes_names_and_is_the_same_every_time():
    def f(x):
        return 2 * x

    f.__name__ = "<script>"
    stack = type("Evil<b>", (FlowSequential,), {})(Mix(2), Mix(2, 1))
    for made in ([f, f], stack):
        html = inspect_layers(made, points(3, 2))._repr_html_()
        assert "<script>" not in html
        assert "Evil<b>" not in html
        assert html == inspect_layers(made, points(3, 2))._repr_html_()
