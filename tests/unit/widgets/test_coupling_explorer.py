"""The coupling explorer's words, links, plane and drags; its numbers, J and columns are checked by the registry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nfteach.flows import AffineCoupling, FlowDistribution, Planar
from nfteach.widgets import CouplingExplorer
from tests.explorers.couplings import DRAWN, EXACT, check, jacobian, large_layer, own_layer, point, written_out
from tests.explorers.entry import centres, drawn, values_of
from tests.explorers.front_end import drag

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def shared() -> CouplingExplorer:
    return CouplingExplorer()


@pytest.fixture
def explorer(shared: CouplingExplorer) -> CouplingExplorer:
    shared.reset()
    return shared


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("mask", ["first d pass", "alternating, flipped"])
def test_each_entry_is_explained_by_its_number_and_lights_what_makes_it(
    explorer: CouplingExplorer, mask: str, direction: str
) -> None:
    explorer.set(mask=mask, direction=direction, order="passed first")
    layer, J = explorer.layer, explorer.parts["J"]
    places = [*layer.kept.tolist(), *layer.changed.tolist()]
    given, follows = ("y", "x") if direction == "inverse" else ("x", "y")
    marks = explorer.parts["columns"].marks
    for row, i in enumerate(places):
        for column, j in enumerate(places):
            note, links = J.notes[5 * row + column], set(J.links[5 * row + column])
            equals = [part.split(":")[0].split(";")[0] for part in note.split(" = ")]
            assert float(equals[-1].replace(MINUS, "-")) == pytest.approx(float(J.values[row, column]), abs=0.0051)
            lit = {name for name, mark in marks.items() if links & set(mark.links)}
            assert f"{given}{j + 1}" in lit
            assert f"{follows}{i + 1}" in lit
            assert (f"s {i + 1}" in lit) == (not layer.mask[i] and (i == j or bool(layer.mask[j])))
            assert (f"t {i + 1}" in lit) == (not layer.mask[i] and bool(layer.mask[j]))
            assert not any(f"s {k}" in lit for k in range(1, 6) if k != i + 1)
    assert [set(marks[name].links) for name in J.column_links] == [{name} for name in J.column_links]


def test_the_ribbons_are_as_wide_as_s_and_t_are_large_and_coloured_by_sign(explorer: CouplingExplorer) -> None:
    widths = []
    for factor in (0.0, 0.5, 1.0, 2.0):
        explorer.set(t=factor)
        outline = drawn(explorer, "t 4")
        widths.append(np.linalg.norm(outline[19] - outline[-20]))
    assert np.all(np.diff(widths) > 0)
    with torch.no_grad():
        scale, _ = explorer.layer.scale_and_shift(point(explorer)[:2])
    for k, value in zip((3, 4, 5), scale, strict=True):
        ribbon = explorer.live.mark(f"s {k}")
        assert (ribbon.color, ribbon.toward, float(ribbon.shade)) == ("neg", "pos", float(value > 0))
        assert float(explorer.live.mark(f"s {k} value").text) == pytest.approx(float(value.exp()), abs=0.0051)
    explorer.set(s=0.0)
    assert not any(explorer.live.mark(f"s {k}").visible for k in (3, 4, 5))


def test_only_what_passes_moves_the_determinant(explorer: CouplingExplorer) -> None:
    begin = explorer.readout["det J"]
    for name in ("x3", "x4", "x5"):
        explorer.set(**{name: -2.0})
        assert explorer.readout["det J"] == begin
    for name in ("x1", "x2"):
        explorer.set(**{name: -2.0})
        assert abs(explorer.readout["det J"] - begin) > 1e-3


def test_t_never_enters_the_determinant(explorer: CouplingExplorer) -> None:
    explorer.set(network="wild", t=0.0)
    without = explorer.readout["det J"]
    explorer.set(t=2.0)
    assert explorer.readout["det J"] == without


def test_at_least_one_dimension_changes(explorer: CouplingExplorer) -> None:
    explorer.set(D=3, d=5)
    assert explorer.layer.mask.tolist() == [True, True, False]
    check(explorer)


def test_inputs_beyond_D_have_no_slider_in_view(explorer: CouplingExplorer) -> None:
    for dim in (2, 6, 4):
        explorer.set(D=dim)
        hidden = [explorer.controls[f"x{k}"].layout.display == "none" for k in range(1, 7)]
        assert hidden == [k >= dim for k in range(6)]


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_plane_of_two_dimensions_is_the_whole_layer(explorer: CouplingExplorer, direction: str) -> None:
    explorer.set(D=2, d=1, show="plane", direction=direction, network="wild", s=1.0, t=1.0)
    flow = explorer.layer.inv if direction == "inverse" else explorer.layer
    density = explorer.live.mark("density")
    normal = torch.distributions.Normal(torch.zeros(2).double(), torch.ones(2).double())
    cells = centres(density.extent, density.values.shape, torch.float64)
    np.testing.assert_allclose(
        density.values, FlowDistribution(normal, flow).log_prob(cells).exp(), rtol=1e-9, atol=1e-12
    )
    shown = {name: torch.tensor(drawn(explorer, name)) for name in ("grid", "samples")}
    explorer.set(s=0.0, t=0.0)  # then the layer is the identity
    for name, image in shown.items():
        before = torch.tensor(drawn(explorer, name))
        torch.testing.assert_close(image, flow(before.reshape(-1, 2)).reshape(before.shape), atol=EXACT, rtol=0)


def test_the_plane_of_many_dimensions_holds_the_others_still(explorer: CouplingExplorer) -> None:
    explorer.set(show="plane")
    x, image = point(explorer), torch.tensor(drawn(explorer, "grid")).reshape(-1, 2)
    explorer.set(s=0.4, t=0.4)
    density = explorer.live.mark("density")
    left, right, bottom, top = density.extent
    # A little mass lies outside.
    assert float(density.values.mean()) * (right - left) * (top - bottom) == pytest.approx(1, abs=0.05)
    explorer.set(s=0.0, t=0.0)
    before = torch.tensor(drawn(explorer, "grid")).reshape(-1, 2)
    explorer.set(s=1.0, t=1.0)
    for k in range(0, len(before), 271):
        moved = x.clone()
        moved[[0, 2]] = before[k]
        torch.testing.assert_close(image[k], written_out(explorer, moved)[[0, 2]], atol=EXACT, rtol=0)


@pytest.mark.parametrize("name", ["x1", "x4"])  # one that passes, one that changes
def test_a_ring_is_dragged_up_and_down(explorer: CouplingExplorer, name: str) -> None:
    drag(explorer.live, name, 17.0, 360 - 21 * 1.5)
    assert explorer.state[name] == -1.5
    drag(explorer.live, name, 0.0, 430.0)
    assert explorer.state[name] == 3.0
    check(explorer)


@pytest.mark.parametrize("name", ["y1", "y4"])
def test_where_y_is_given_its_rings_are_dragged_and_the_other_rings_stay(explorer: CouplingExplorer, name: str) -> None:
    explorer.set(direction="inverse")
    before = written_out(explorer, point(explorer))
    drag(explorer.live, name, 0.0, 72 + 21 * 0.5)
    after = written_out(explorer, point(explorer))
    place = int(name[1]) - 1
    before[place] = 0.5
    # Half a step of the slider of an x, as far as y goes with it.
    step = 0.005 * float(jacobian(explorer, point(explorer)).diagonal().max())
    torch.testing.assert_close(after, before, atol=step + EXACT, rtol=0)
    held = explorer.state
    drag(explorer.live, name, 0.0, 9000.0)  # some x would leave its slider
    assert explorer.state == held


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_point_of_the_plane_is_dragged(explorer: CouplingExplorer, direction: str) -> None:
    explorer.set(show="plane", direction=direction)
    drag(explorer.live, "point", 0.5, -0.75)
    step = 0.005 * float(jacobian(explorer, point(explorer)).diagonal().max())
    np.testing.assert_allclose(drawn(explorer, "point"), [0.5, -0.75], atol=step + DRAWN)


def test_many_dimensions_have_neither_names_nor_numbers() -> None:
    large = CouplingExplorer(large_layer())
    assert large.parts["J"].columns == ()
    assert not any(name.endswith(("value", "sign")) for name in large.parts["columns"].marks)
    assert "7 factors" in large.live.get_state("_state")["_state"]["content"]["rows"][0][3]


def test_strengths_multiply_the_outputs_of_a_layer_that_is_handed_in() -> None:
    given = own_layer()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    own = CouplingExplorer(given, s=0.5, t=2.0)
    assert {"D", "d", "mask", "network"}.isdisjoint(own.controls)
    own.set(s=1.0, t=1.0)
    torch.testing.assert_close(written_out(own, torch.ones(5).double()).float(), given(torch.ones(5)))
    for name, control in own.controls.items():
        for value in values_of(control):
            own.set(**{name: value})
            check(own)
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())
    assert given.training
    assert all(p.requires_grad and p.grad is None for p in given.parameters())


def test_an_additive_layer_has_no_strength_of_s() -> None:
    own = CouplingExplorer(AffineCoupling([True, False, False], additive=True))
    assert "s" not in own.controls
    assert own.readout["det J"] == 1


def test_layers_of_another_kind_or_too_many_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="layer must be an AffineCoupling, but is a Planar"):
        CouplingExplorer(Planar(3))
    with pytest.raises(ValueError, match="at most 32 dimensions, but has 40"):
        CouplingExplorer(AffineCoupling(torch.arange(40) % 2 == 0))


def test_a_layer_that_gives_nan_is_reported_in_words_and_forgotten() -> None:
    class Fragile(nn.Module):
        broken = False  # of the class: the explorer holds a copy

        def forward(self, x):
            return torch.cat([x, x / 0 if self.broken else x], dim=-1)

    own = CouplingExplorer(AffineCoupling([True, False], conditioner=Fragile()))
    check(own)
    Fragile.broken = True
    own.set(x1=1.0)
    assert "NaN or infinite" in own.error
    assert own.readout == {}
    Fragile.broken = False
    own.set(x1=0.5)
    check(own)


def test_s_and_t_may_be_constants() -> None:
    class Constant(nn.Module):
        def forward(self, x):
            return torch.tensor([0.5, 1.0], dtype=x.dtype).expand(*x.shape[:-1], 2)

    own = CouplingExplorer(AffineCoupling([True, False], conditioner=Constant()))
    assert own.readout["log|det J|"] == pytest.approx(float(np.tanh(0.5)), abs=EXACT)
    check(own)
