"""The plots show their input on the given Axes, in colours that all readers can distinguish."""

import re
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from nfteach import inspect_jacobian, plots
from nfteach.flows import AffineCoupling, Planar, Stack
from nfteach.plots import palette
from nfteach.training import History
from tests.unit.colours import READERS, contrast, least_distance


@pytest.fixture
def ax():
    return Figure(figsize=(5, 5)).add_subplot()


def standard_normal(x):
    return -0.5 * (x**2).sum(-1) - np.log(2 * np.pi)


def texts(ax):
    return [text.get_text() for text in ax.texts]


HISTORY = History(losses=[9.0, 5.0, *[3.0] * 98], validation=[(0, 9.0), (50, 3.5), (100, 3.2)], best_step=100)
COUPLING = np.array([[1.0, 0, 0], [0.3, 2.0, 0], [-0.7, 0, 0.5]])

DRAWN = {
    "density": lambda ax: plots.density(standard_normal, ax, resolution=20),
    "samples": lambda ax: plots.samples(torch.randn(30, 2), ax),
    "warped_grid": lambda ax: plots.warped_grid(lambda z: 2 * z, ax),
    "jacobian": lambda ax: plots.jacobian(COUPLING, ax, blocks=[("I", (0, 1), (0, 1))], title="a coupling"),
    "training_curve": lambda ax: plots.training_curve(HISTORY, ax),
    "images": lambda ax: plots.images(torch.rand(5, 64), ax),
}


@pytest.fixture(params=DRAWN)
def draw(request):
    return DRAWN[request.param]


# All plots.


def test_a_plot_draws_on_the_given_axes_and_returns_them(draw, ax):
    assert draw(ax) is ax
    assert ax.has_data()


def test_a_plot_without_axes_makes_a_figure(draw):
    from matplotlib import pyplot

    figure = draw(None).figure
    assert pyplot.fignum_exists(figure.number)
    pyplot.close(figure)


def test_a_plot_changes_no_global_setting_and_no_random_state(draw, ax):
    settings, default = dict(matplotlib.rcParams), torch.get_default_dtype()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    draw(ax)
    assert dict(matplotlib.rcParams) == settings
    assert torch.get_default_dtype() == default
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_all_text_has_at_least_nine_points(draw):
    from matplotlib import pyplot

    figure = draw(None).figure
    figure.canvas.draw()
    visible = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert all(text.get_fontsize() >= 9 for text in visible)
    pyplot.close(figure)


def test_drawing_on_given_axes_never_loads_pyplot():
    # Widgets and cells draw in different threads, which would share pyplot's current figure.
    code = (
        "import sys, torch; from matplotlib.figure import Figure; from nfteach import plots;"
        "a = Figure().add_subplot();"
        "plots.density(lambda x: -x.square().sum(-1), a, resolution=8); plots.samples(torch.zeros(2, 2), a);"
        "plots.warped_grid(None, a); plots.jacobian(torch.eye(2), a); plots.images(torch.rand(2, 64), a);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# The palette.

MEANINGS = {name: getattr(palette, name) for name in ("LATENT", "DATA", "NEGATIVE", "POSITIVE", "SOFT")}


@pytest.mark.parametrize("kind", READERS)
def test_the_colours_of_the_palette_are_distinct_for_all_readers(kind):
    assert least_distance(MEANINGS.values(), kind) > 10


@pytest.mark.parametrize("name", MEANINGS)
def test_every_colour_has_the_contrast_to_light_and_dark_pages_that_the_palette_states(name):
    colour, *stated = re.search(rf"^{name} +(#\w+) +([\d.]+) +([\d.]+)", palette.__doc__, re.M).groups()
    assert colour == MEANINGS[name]
    least = 4.0 if name == "SOFT" else 3.0  # text; lines and marks
    for ground, number in zip(("#FFFFFF", "#111111"), stated, strict=True):
        assert contrast(colour, ground) >= least
        assert float(number) == round(contrast(colour, ground), 1)


def test_a_tint_runs_from_nothing_to_one_saturated_colour():
    colours = palette.tint(palette.LATENT, 0.8)(np.linspace(0, 1, 20))
    assert {to_hex(colour).upper() for colour in colours} == {palette.LATENT}
    assert colours[0, 3] == 0
    assert colours[-1, 3] == 0.8
    assert (np.diff(colours[:, 3]) > 0).all()


# The style.


def colours_of_texts(figure):
    return {text.get_color() for text in figure.findobj(Text) if text.get_text() and text.get_visible()}


def test_in_the_style_every_text_and_line_is_legible_on_both_grounds_and_nothing_has_a_ground():
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    with plots.style():
        _, ax = pyplot.subplots()
        (line,) = ax.plot([0, 1], label="a line")
        ax.set(title="title", xlabel="x", ylabel="y")
        ax.text(0, 0, "a text")
        ax.legend()
    assert dict(matplotlib.rcParams) == before
    ax.figure.canvas.draw()
    assert colours_of_texts(ax.figure) == {palette.SOFT}
    assert line.get_color() in MEANINGS.values()
    assert np.asarray(ax.figure.canvas.buffer_rgba())[0, 0, 3] == 0
    pyplot.close(ax.figure)


def test_the_style_decorates_functions():
    @plots.style()
    def draw():
        return Figure().text(0, 0, "a text")

    assert draw().get_color() == palette.SOFT


def test_jupyter_puts_no_slab_behind_a_figure(draw, monkeypatch):
    from matplotlib import pyplot
    from matplotlib_inline import backend_inline

    pyplot.close("all")
    figure = draw(None).figure
    figure.canvas.draw()
    told = []
    monkeypatch.setattr(backend_inline, "display", lambda shown, metadata: told.append((shown, metadata)))
    backend_inline.show(close=False)
    assert told == [(figure, None)]
    assert np.asarray(figure.canvas.buffer_rgba())[..., 3].min() == 0
    pyplot.close(figure)


def test_given_axes_keep_their_ticks_their_texts_and_the_ground_of_their_figure(ax):
    ax.set(title="mine", xticks=[0.5], yticks=[])
    plots.density(standard_normal, ax, resolution=4)
    assert ax.get_title() == "mine"
    assert ax.get_xticks().tolist() == [0.5]
    assert ax.figure.get_frameon()


def test_panels_are_titled_and_come_with_their_values():
    from matplotlib import pyplot

    found = plots.panels({"one": 1, "two": 2, "three": 3}, columns=2, size=(2, 3))
    assert [(ax.get_title(), value) for ax, value in found] == [("one", 1), ("two", 2), ("three", 3)]
    figure = found[0][0].figure
    assert len(figure.axes) == 3
    assert figure.get_size_inches().tolist() == [4, 6]
    pyplot.close(figure)


# Densities and samples.


def test_the_lowest_row_of_a_density_is_at_the_bottom(ax):
    # Density 1 in the upper right quarter, 0 elsewhere.
    plots.density(lambda x: torch.where((x > 0).all(-1), 0.0, -torch.inf), ax, extent=(-1, 1, -2, 2), resolution=4)
    picture = ax.images[0]
    assert picture.get_array().tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert picture.origin == "lower"
    assert list(picture.get_extent()) == [-1, 1, -2, 2]


def test_a_density_holds_its_values_at_the_cells_centres(ax):
    plots.density(standard_normal, ax, extent=(-6, 6, -6, 6), resolution=60)
    values = ax.images[0].get_array()
    assert values.sum() * 0.2**2 == pytest.approx(1, abs=1e-6)
    assert values.max() == pytest.approx(np.exp(-0.01) / (2 * np.pi))


def test_the_tint_of_a_density_saturates_at_vmax(ax):
    plots.density(np.log([[1e-9, 0.1, 0.2]]), ax, vmax=0.2)
    opacity = ax.images[0].to_rgba(ax.images[0].get_array())[0, :, 3]
    assert opacity == pytest.approx([0, 0.85 * (1 - np.exp(-1.5)) / (1 - np.exp(-3)), 0.85], abs=0.85 / 63)


def test_a_density_that_is_zero_everywhere_is_the_page(ax):
    plots.density(np.full((2, 2), -np.inf), ax)
    assert (ax.images[0].to_rgba(ax.images[0].get_array())[..., 3] == 0).all()


def test_a_log_density_clips_zero_to_the_bottom_of_the_scale(ax):
    plots.density(np.array([[-np.inf, 0.0], [-3.0, -30.0]]), ax, log=True)
    assert ax.images[0].get_array().tolist() == [[-12, 0], [-3, -30]]
    assert ax.images[0].get_clim() == (-12, 0)


def test_a_density_is_evaluated_in_the_precision_of_its_flow(ax):
    class Model(torch.nn.Linear):
        def log_prob(self, x):
            assert x.dtype == self.weight.dtype
            return -self(x).square().sum(-1)

    plots.density(Model(2, 2).double().log_prob, ax, resolution=5)
    plots.density(Model(2, 2).log_prob, ax, resolution=5)


def test_samples_drawn_over_a_density_keep_its_limits(ax):
    plots.density(standard_normal, ax, extent=(-1, 1, -2, 2), resolution=4)
    plots.samples(torch.tensor([[5.0, 5.0], [0.0, 0.0]]), ax)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 1), (-2, 2))
    assert ax.collections[0].get_offsets().tolist() == [[5, 5], [0, 0]]


# Grids.


def test_a_warped_grid_is_the_image_of_the_grid(ax):
    A = torch.tensor([[2.0, 1.0], [0.0, 0.5]])
    plots.warped_grid(lambda z: z @ A.T, ax, extent=(-1, 1, -1, 1), lines=3, points=2)
    (collection,) = ax.collections
    assert isinstance(collection, LineCollection)
    lines = np.array(collection.get_segments())
    flat = np.array([[[-1, y], [1, y]] for y in (-1, 0, 1)] + [[[x, -1], [x, 1]] for x in (-1, 0, 1)], dtype=float)
    assert np.allclose(lines, flat @ A.numpy().T)


def test_the_grid_before_the_map_can_be_drawn_as_well(ax):
    plots.warped_grid(lambda z: z + 1, ax, before=True)
    assert len(ax.collections) == 2


def test_the_area_of_a_small_square_grows_by_the_determinant():
    torch.manual_seed(0)
    flow = Stack(Planar(2), Planar(2)).double()
    h = 1e-4
    horizontal, vertical = np.split(plots.grid_lines(flow, (0.3, 0.3 + h, 0.5, 0.5 + h), 2, 2), 2)
    corner, right, up = horizontal[0, 0], horizontal[0, 1], vertical[0, 1]
    area = np.linalg.det(np.stack([right - corner, up - corner])) / h**2
    log_det = flow.log_abs_det_jacobian(torch.tensor([0.3, 0.5]).double(), None).item()
    assert np.log(abs(area)) == pytest.approx(log_det, abs=1e-3)


# Jacobians.


def markers(ax, kind):
    """Return the (row, column) of each marker of a kind."""
    found = [line.get_data() for line in ax.lines if line.get_marker() == kind]
    return {(round(y), round(x)) for xs, ys in found for x, y in zip(xs, ys, strict=True)}


def test_zeros_have_dots_ones_have_a_one_and_free_entries_have_numbers(ax):
    plots.jacobian(COUPLING, ax)
    assert markers(ax, "o") == {(0, 1), (0, 2), (1, 2), (2, 1)}
    assert sorted(texts(ax)) == sorted(["1", "0.30", "2.00", "\N{MINUS SIGN}0.70", "0.50"])


def test_an_entry_that_is_zero_at_one_point_only_is_free(ax):
    J = torch.eye(2).repeat(3, 1, 1)
    J[:, 1, 0] = torch.tensor([0.0, 0.4, -2.0])
    plots.jacobian(J, ax)
    assert markers(ax, "o") == {(0, 1)}
    assert "0.00" in texts(ax)
    assert np.isnan(plots.structural(J)[1, 0])


def test_entries_have_one_scale_in_every_picture_and_structural_ones_and_zeros_have_no_fill(ax):
    plots.jacobian(torch.tensor([[3.0, 0.0, -1.0], [0.25, 1.0, 0.5], [-3.0, 0.5, 2.0]]), ax, entries=False)
    colours = ax.images[0].get_array()
    expected = 0.78 * np.array([[0.75, 0, 0.5], [0.2, 0, 1 / 3], [0.75, 1 / 3, 2 / 3]])
    np.testing.assert_allclose(colours[..., 3], expected, atol=1e-6)
    assert to_hex(colours[0, 0]).upper() == palette.POSITIVE
    assert to_hex(colours[2, 0]).upper() == palette.NEGATIVE


def test_printed_numbers_are_legible_whatever_the_page(ax):
    J = torch.tensor([[-9.0, -2.0, -0.5, -0.1], [0.1, 0.5, 1.5, 2.0], [3.0, 9.0, 40.0, -40.0], [0.7, 2.5, -1.0, -4.0]])
    plots.jacobian(J, ax, entries=True)
    colours = ax.images[0].get_array()
    assert (colours[..., 3] == 1).all()
    for text in ax.texts:
        column, row = text.get_position()
        assert contrast(text.get_color(), colours[row, column, :3]) > 4


def test_small_cells_have_no_numbers_and_their_ones_are_strokes(ax):
    D = 64
    J = torch.tril(torch.full((D, D), 0.5), -1) + torch.eye(D)
    plots.jacobian(J, ax)
    assert texts(ax) == []
    assert markers(ax, "|") == {(k, k) for k in range(D)}
    assert len(markers(ax, "o")) == D * (D - 1) // 2


def test_a_permuted_triangle_is_a_triangle_in_its_ordering(ax):
    order = [2, 0, 3, 1]
    L = torch.tril(torch.rand(4, 4) + 0.1)
    J = torch.zeros(4, 4)
    J[np.ix_(order, order)] = L
    plots.jacobian(J, ax, ordering=order)
    assert markers(ax, "o") == {(i, j) for i in range(4) for j in range(i + 1, 4)}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["3", "1", "4", "2"]


def test_a_report_of_a_coupling_shows_its_four_blocks_by_name(ax):
    torch.manual_seed(0)
    layer = AffineCoupling(torch.tensor([True, False, True, False, True]))
    report = inspect_jacobian(layer, torch.randn(4, 5))
    plots.jacobian(report, ax, blocks=True, entries=False)
    kept, changed = range(3), range(3, 5)
    assert ax.get_title() == "coupling"
    assert {(i, j) for i in kept for j in changed} <= markers(ax, "o")
    assert not {(i, j) for i in changed for j in kept} & markers(ax, "o")
    assert [text for text in texts(ax) if text in ("I", "0", "diagonal")] == ["I", "0", "diagonal"]
    frames = [(patch.get_xy(), patch.get_width(), patch.get_height()) for patch in ax.patches]
    assert frames == [((-0.5, -0.5), 3, 3), ((2.5, -0.5), 2, 3), ((-0.5, 2.5), 3, 2), ((2.5, 2.5), 2, 2)]


def test_a_report_keeps_the_title_that_the_axes_have(ax):
    ax.set_title("mine")
    plots.jacobian(inspect_jacobian(lambda x: 2 * x, torch.randn(3, 2)), ax)
    assert ax.get_title() == "mine"


def test_a_given_structure_overrides_the_detected_one(ax):
    free = np.full((2, 2), np.nan)
    plots.jacobian(np.eye(2), ax, structure=free)
    assert markers(ax, "o") == set()
    assert texts(ax) == ["1.00", "0.00", "0.00", "1.00"]


# Curves and images.


def test_a_training_curve_shows_losses_validation_and_the_kept_step(ax):
    plots.training_curve(HISTORY, ax)
    steps, losses = ax.lines[0].get_data()
    assert (steps[0], steps[-1]) == (1, 100)
    assert losses.tolist() == HISTORY.losses
    assert set(texts(ax)) == {"training", "validation", "kept: step 100"}
    # The large first losses do not set the scale.
    assert ax.get_ylim()[1] < 4


def test_the_names_of_curves_that_end_together_are_a_line_apart(ax):
    history = History(losses=[3.0, 2.0] * 50, validation=[(0, 2.5), (100, 2.5)], best_step=100)
    plots.training_curve(history, ax)
    one, other = (text.get_window_extent() for text in ax.texts if text.get_text() in ("training", "validation"))
    assert not one.overlaps(other)


def test_images_are_arranged_in_rows_with_gaps(ax):
    batch = torch.arange(3.0)[:, None].expand(3, 64)
    plots.images(batch, ax, columns=2)
    sheet = np.ma.filled(ax.images[0].get_array(), np.nan)
    assert sheet.shape == (17, 17)
    assert (sheet[:8, :8] == 0).all()
    assert (sheet[:8, 9:] == 1).all()
    assert (sheet[9:, :8] == 2).all()
    assert np.isnan(sheet[8]).all()
    assert np.isnan(sheet[9:, 9:]).all()


# Invalid input.


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (
            lambda ax: plots.density(lambda x: x, ax, resolution=4),
            r"one value per point.*try a sum over the last dimension",
        ),
        (lambda ax: plots.density(np.zeros(4), ax), r"\(rows, columns\)"),
        (lambda ax: plots.density(standard_normal, ax, extent=(1, -1, 0, 1)), "extent must be"),
        (lambda ax: plots.samples(torch.zeros(4, 3), ax), r"\(N, 2\), but has the shape \(4, 3\)"),
        (lambda ax: plots.warped_grid(lambda z: z[:, 0], ax), "flow must map points of the plane"),
        (lambda ax: plots.jacobian(torch.zeros(2, 3), ax), r"J must be \(D, D\)"),
        (lambda ax: plots.jacobian(torch.eye(2), ax, sample=1), "sample must be one of the 1 points"),
        (lambda ax: plots.jacobian(torch.eye(2), ax, ordering=[0, 0]), "ordering must be a permutation"),
        (
            lambda ax: plots.jacobian(torch.eye(2), ax, blocks=[("A", (0, 3), (0, 1))]),
            "blocks must have rows and columns between 0 and 2.*'A' has rows",
        ),
        (lambda ax: plots.jacobian(torch.eye(2), ax, structure=np.zeros(3)), "structure must be"),
        (lambda ax: plots.jacobian(torch.eye(2), ax, blocks=True), "J must be a JacobianReport"),
        (lambda ax: plots.training_curve(History(), ax), "must have at least one training step"),
        (lambda ax: plots.images(torch.zeros(3, 50), ax), "batch must be images of 8 x 8"),
        (lambda ax: plots.images(torch.zeros(0, 64), ax), "batch must be images of 8 x 8"),
    ],
)
def test_invalid_input_is_rejected_with_a_message(call, complaint, ax):
    with pytest.raises(ValueError, match=complaint):
        call(ax)
