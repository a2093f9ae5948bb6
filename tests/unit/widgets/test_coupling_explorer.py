"""The coupling explorer's picture, entry by entry; its numbers are checked by the registry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from nfteach.flows import FlowDistribution
from nfteach.plots import palette
from nfteach.widgets import CouplingExplorer
from tests.explorers.couplings import EXACT, check, jacobian, point, words, written_out
from tests.explorers.entry import centres, drawn, picture


@pytest.fixture(scope="module")
def shared() -> CouplingExplorer:
    return CouplingExplorer()


@pytest.fixture
def explorer(shared: CouplingExplorer) -> CouplingExplorer:
    shared.reset()
    return shared


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("mask", ["first d pass", "last d pass", "alternating", "alternating, flipped"])
@pytest.mark.parametrize("dim", [2, 5, 6])
def test_the_entries_shown_are_those_of_the_jacobian(
    explorer: CouplingExplorer, dim: int, mask: str, direction: str
) -> None:
    explorer.set(D=dim, mask=mask, direction=direction, push=0.3)
    layer, x = explorer.layer(), point(explorer)
    J = jacobian(layer, x)
    J = torch.linalg.inv(J) if direction == "inverse" else J
    y = written_out(layer, x)
    for order in ("as it is", "passed first"):
        explorer.set(order=order)
        sorted_by = range(dim) if order == "as it is" else [*layer.mask.nonzero(), *(~layer.mask).nonzero()]
        places = [int(k) for k in sorted_by]
        shown = J[places][:, places]
        image = drawn(explorer, "J")
        for i in range(dim):
            for j in range(dim):
                text = explorer.live.artist(f"entry {6 * i + j}")
                by_structure = layer.mask[places[i]] or (not layer.mask[places[j]])
                if i != j and by_structure:
                    assert not text.get_visible()
                    assert tuple(image[i, j]) == to_rgb(palette.ZERO)
                    assert abs(float(shown[i, j])) < EXACT
                else:
                    assert float(text.get_text().replace("\N{MINUS SIGN}", "-")) == pytest.approx(
                        float(shown[i, j]), abs=0.0051, rel=0.01
                    )
                    assert (tuple(image[i, j]) == to_rgb(palette.ONE)) == bool(i == j and layer.mask[places[i]])
        ahead, behind = (y, x) if direction == "inverse" else (x, y)
        for what, vector in {"input": ahead, "output": behind, "again": ahead}.items():
            numbers = [float(text.split("\n")[-1]) for text in words(explorer, what, 6)]
            np.testing.assert_allclose(numbers, vector[places].detach(), atol=0.0051, rtol=0.01)
        assert words(explorer, "mask", 6) == [str(bool(layer.mask[k])) for k in places]


def test_pushing_what_changes_leaves_the_determinant_alone(explorer: CouplingExplorer) -> None:
    explorer.set(D=5, d=2)
    begin = explorer.readout["det J"]
    for j in (3, 4, 5):
        explorer.set(j=j, push=1.5)
        assert explorer.readout["det J"] == begin
    for j in (1, 2):
        explorer.set(j=j, push=1.5)
        assert abs(explorer.readout["det J"] - begin) > 1e-3


def test_t_never_enters_the_determinant(explorer: CouplingExplorer) -> None:
    explorer.set(network="wild", t=0.0)
    without = explorer.readout["det J"]
    explorer.set(t=2.0)
    assert explorer.readout["det J"] == without


def test_the_lit_column_is_that_of_the_input(explorer: CouplingExplorer) -> None:
    explorer.set(D=6, mask="alternating", j=4)
    assert explorer.compute(explorer.state)["column"] == pytest.approx((3 / 6, 0, 1 / 6, 1))
    explorer.set(order="passed first")  # 1, 3, 5, 2, 4, 6
    assert explorer.compute(explorer.state)["column"] == pytest.approx((4 / 6, 0, 1 / 6, 1))


def image_of(explorer: CouplingExplorer, show: str, **state: float) -> np.ndarray:
    """Return the grid or the samples after the map."""
    arrays = explorer.compute({**explorer.state, "show": show, **state})[show]
    return np.asarray(arrays["segments" if show == "grid" else "points"])


def unmoved(explorer: CouplingExplorer, show: str) -> np.ndarray:
    """Return the grid or the samples before the map: without s and t the layer is the identity."""
    return image_of(explorer, show, s=0.0, t=0.0)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_plane_for_two_dimensions_is_the_whole_layer(explorer: CouplingExplorer, direction: str) -> None:
    explorer.set(D=2, d=1, show="density", direction=direction, network="wild")
    layer = explorer.layer()
    flow = layer.inv if direction == "inverse" else layer
    shown = drawn(explorer, "density")
    normal = torch.distributions.Normal(torch.zeros(2).double(), torch.ones(2).double())
    cells = centres(explorer.live.artist("density").get_extent(), shown.shape, torch.float64)
    expected = FlowDistribution(normal, flow).log_prob(cells).exp()
    np.testing.assert_allclose(shown, expected, rtol=1e-9, atol=1e-12)
    for show in ("grid", "samples"):
        before = torch.from_numpy(unmoved(explorer, show))
        expected = flow(before.reshape(-1, 2)).reshape(before.shape)
        np.testing.assert_allclose(image_of(explorer, show), expected, atol=EXACT)


@pytest.mark.parametrize("j", [1, 3, 4])
def test_a_plane_of_many_dimensions_holds_the_others_still(explorer: CouplingExplorer, j: int) -> None:
    explorer.set(D=5, d=2, j=j)
    layer, x = explorer.layer(), point(explorer)
    a, b = (j - 1, 2) if j <= 2 else (0, j - 1)
    image, before = (grid.reshape(-1, 2) for grid in (image_of(explorer, "grid"), unmoved(explorer, "grid")))
    for k in range(0, len(before), 271):
        moved = x.clone()
        moved[[a, b]] = torch.from_numpy(before[k])
        np.testing.assert_allclose(image[k], written_out(layer, moved)[[a, b]], atol=EXACT)
    density = explorer.compute({**explorer.state, "show": "density", "s": 0.4, "t": 0.4})["density"]["values"]
    left, right, bottom, top = explorer.live.artist("density").get_extent()
    assert density.mean() * (right - left) * (top - bottom) == pytest.approx(
        1, abs=0.02
    )  # a little mass lies outside the box


def test_a_volume_preserving_layer_never_raises_the_density(explorer: CouplingExplorer) -> None:
    explorer.set(s=0.0, network="wild", show="density")
    assert explorer.compute(explorer.state)["density"]["values"].max() <= 1 / (2 * np.pi)
    explorer.set(s=2.0)
    assert explorer.compute(explorer.state)["density"]["values"].max() > 1 / (2 * np.pi)


def test_d_and_j_follow_the_dimension(explorer: CouplingExplorer) -> None:
    explorer.set(D=6, d=5, j=6)
    assert explorer.state["d"] == 5
    explorer.controls["D"].value = 3  # as the slider does
    assert (explorer.state["d"], explorer.state["j"]) == (2, 3)
    assert (explorer.controls["d"].max, explorer.controls["j"].max) == (2, 3)
    check(explorer)
    explorer.set(D=6, d=4)
    assert explorer.state["d"] == 4
    explorer.set(mask="alternating")
    assert explorer.controls["d"].disabled
    with pytest.raises(ValueError, match="d must be a whole number"):
        explorer.set(d=6)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"D": 3, "d": 5}, "d must be below D = 3, .* but is 5"),
        ({"d": 4}, "d must be below D = 4, .* but is 4"),
        ({"D": 3, "d": 1, "j": 4}, "j must be one of the D = 3 dimensions, .* but is 4"),
        ({"j": 5}, "j must be one of the D = 4 dimensions, .* but is 5"),
    ],
)
def test_a_d_or_j_that_does_not_fit_D_is_refused_and_nothing_changes(
    explorer: CouplingExplorer, asked: dict[str, int], words: str
) -> None:
    before, shown = explorer.state, picture(explorer)
    with pytest.raises(ValueError, match=words):
        explorer.set(s=0.3, **asked)
    assert (explorer.state, picture(explorer)) == (before, shown)
    assert (explorer.controls["d"].max, explorer.controls["j"].max) == (3, 4)
    with pytest.raises(ValueError, match=words):
        CouplingExplorer(**asked)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("j", [1, 4])  # one that passes, one that changes
def test_a_drag_in_the_picture_brings_the_point_there(explorer: CouplingExplorer, j: int, direction: str) -> None:
    explorer.set(D=5, d=2, j=j, direction=direction)
    x, y = 1.1, -0.7
    explorer.set(**explorer.dragged("from", x, y))
    shown = drawn(explorer, "from")[0]
    J = jacobian(explorer.layer(), point(explorer))
    step = 0.5 * explorer.controls["push"].step * (1 if direction == "forward" else float(J[j - 1, j - 1]))
    assert shown[0 if j == 1 else 1] == pytest.approx(x if j == 1 else y, abs=step + EXACT)
    check(explorer)


def test_a_drag_beyond_the_slider_stops_at_its_end(explorer: CouplingExplorer) -> None:
    explorer.set(D=2, d=1, j=1)
    explorer.set(**explorer.dragged("from", 100.0, 0.0))
    assert explorer.state["push"] == explorer.controls["push"].max
    check(explorer)
