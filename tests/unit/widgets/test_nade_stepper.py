"""The NADE stepper: every control over its values, and every number against loops that share no code with it."""

import itertools
import math
import pickle

import numpy as np
import pytest
import torch

from nfteach.flows import NADE, pixel_ordering
from nfteach.plots import palette
from nfteach.widgets.nade.stepper import NADEStepper

TOL = 1e-5  # float32, sums of a few dozen terms

SHAPE = (3, 4)
ORDERINGS = ["raster", "reverse", "spiral", "random"]


@pytest.fixture
def images():
    return torch.bernoulli(torch.full((5, 12), 0.4), generator=torch.Generator().manual_seed(3))


@pytest.fixture
def nade():
    return wild(12, 5)


def wild(dim, hidden, **options):
    """A NADE far from its initial parameters."""
    made, generator = NADE(dim, hidden, **options), torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(1.5 * torch.randn(parameter.shape, generator=generator))
    return made


def by_loops(nade, x, ordering):
    """[(a, h, p, log p, running)] of the paper's loops, in Python's numbers, every activation computed afresh."""
    W, V, b, c = (parameter.tolist() for parameter in (nade.W, nade.V, nade.b, nade.c))
    M = None if nade.M is None else nade.M.tolist()
    rows, running = [], 0.0
    for d, i in enumerate(ordering):
        a = [c[j] + sum(W[j][k] * x[k] + (M[j][k] if M else 0.0) for k in ordering[:d]) for j in range(nade.hidden)]
        h = [1 / (1 + math.exp(-one)) for one in a]
        p = 1 / (1 + math.exp(-(b[i] + sum(V[i][j] * h[j] for j in range(nade.hidden)))))
        log_p = math.log(p if x[i] else 1 - p)
        running += log_p
        rows.append((a, h, p, log_p, running))
    return rows


def ordering(name):
    return pixel_ordering(name, *SHAPE, generator=torch.Generator().manual_seed(0)).tolist()


def strip(stepper, title):
    return next(ax for ax in stepper.live.figure.axes if ax.get_title() == title).images[0]


def seen(stepper):
    """The picture's pixels: 0 and 1 where they are known, -1 elsewhere."""
    picture = np.asarray(stepper.live.figure.axes[0].images[0].get_array()).reshape(-1, 3)
    grey = picture.max(1) - picture.min(1) < 1e-6
    return np.where(grey, np.where(picture.mean(1) < 0.5, 1, 0), -1)


@pytest.mark.parametrize("agnostic", [False, True])
def test_every_step_is_what_the_papers_loops_say(images, agnostic):
    nade = wild(12, 5, order_agnostic=agnostic)
    stepper = NADEStepper(nade, images, SHAPE)
    strips = [strip(stepper, name) for name in ("$a_d$", "$h_d$")]
    for name, mode in itertools.product(ORDERINGS, ["observed", "half", "drawn"]):
        stepper.set(ordering=name, mode=mode, image=2, draw=4, step=12)
        x, order = seen(stepper).tolist(), ordering(name)
        rows = by_loops(nade, x, order)
        for d, (a, h, p, log_p, running) in enumerate(rows, start=1):
            stepper.set(step=d)
            i, readout = order[d - 1], stepper.readout
            assert readout["pixel"] == f"({i // 4 + 1}, {i % 4 + 1})"
            assert readout["x"] == x[i]
            assert readout["p(x = 1 | before)"] == pytest.approx(p, abs=TOL)
            assert readout["log p(x | before)"] == pytest.approx(log_p, abs=10 * TOL)
            assert readout["log p so far"] == pytest.approx(running, abs=10 * TOL)
            assert readout["log p at the end"] == pytest.approx(rows[-1][-1], abs=10 * TOL)
            np.testing.assert_allclose([image.get_array()[:, 0] for image in strips], [a, h], atol=10 * TOL)
            # What is known at step d are the pixels up to and with the d-th, and no other.
            assert np.flatnonzero(seen(stepper) >= 0).tolist() == sorted(order[:d])


def test_the_counters_count_multiplications(nade, images):
    """Running: H for the output and, but for the last pixel's column, H for the update. Direct: all columns again."""
    stepper = NADEStepper(nade, images, SHAPE)
    running = direct = 0
    for d in range(1, 13):
        for _ in range(nade.hidden):  # V h
            running, direct = running + 1, direct + 1
        for _ in range(nade.hidden * (d - 1)):  # W x, over all pixels before
            direct += 1
        for _ in range(nade.hidden if d > 1 else 0):  # W x, over the one pixel that is new
            running += 1
        stepper.set(step=d)
        assert (stepper.readout["multiply-adds, running"], stepper.readout["multiply-adds, direct"]) == (
            running,
            direct,
        )


def test_observed_pixels_are_the_images_and_add_up_to_its_log_probability(nade, images):
    stepper = NADEStepper(nade, images, SHAPE, step=12)
    for k, image in enumerate(images):
        stepper.set(image=k)
        assert seen(stepper).tolist() == image.tolist()
        assert stepper.readout["log p so far"] == pytest.approx(nade.log_prob(image).item(), abs=TOL)


def test_half_of_the_pixels_are_the_images_and_the_others_are_drawn(nade, images):
    stepper = NADEStepper(nade, images, SHAPE, mode="half", image=1, step=12)
    for name in ORDERINGS:
        given, rest = ordering(name)[:6], ordering(name)[6:]
        drawings = []
        for draw in range(12):
            stepper.set(ordering=name, draw=draw)
            drawings.append(seen(stepper))
            assert drawings[-1][given].tolist() == images[1][given].tolist()
        assert len({tuple(drawing[rest].tolist()) for drawing in drawings}) > 1


def test_what_is_drawn_follows_the_model():
    """On two pixels, the hundred drawings against the four exact probabilities."""
    nade = wild(2, 3)
    stepper = NADEStepper(nade, shape=(1, 2), step=2)
    counts = np.zeros((2, 2))
    for draw in range(100):
        stepper.set(draw=draw)
        counts[tuple(seen(stepper))] += 1
    states = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    expected = nade.log_prob(states).exp().detach().numpy().reshape(2, 2)
    # Four standard deviations of a count of 100 with probability p are 4 sqrt(100 p (1 - p)), at most 20.
    assert np.abs(counts - 100 * expected).max() <= 40 * np.sqrt(expected * (1 - expected)).max()


def test_a_drawing_comes_back_with_its_number(nade):
    stepper = NADEStepper(nade, shape=SHAPE, step=12)
    first = seen(stepper)
    stepper.set(draw=1)
    other = seen(stepper)
    stepper.set(draw=0)
    assert (seen(stepper) == first).all()
    assert (other != first).any()


def test_the_lit_column_and_row_are_the_pixels(nade, images):
    stepper = NADEStepper(nade, images, SHAPE, ordering="spiral")
    axes = {ax.get_title()[:1]: ax for ax in stepper.live.figure.axes if ax.get_title()[:1] in ("W", "V")}
    for d, i in enumerate(pixel_ordering("spiral", *SHAPE).tolist(), start=1):
        stepper.set(step=d)
        column, row = axes["W"].patches[0], axes["V"].patches[0]
        assert column.get_visible()
        assert row.get_visible()
        assert (column.get_x(), column.get_width(), column.get_height()) == (i - 0.5, 1, nade.hidden)
        assert (row.get_y(), row.get_height(), row.get_width()) == (i - 0.5, 1, nade.hidden)
    np.testing.assert_allclose(axes["W"].images[0].get_array(), nade.W.detach())
    np.testing.assert_allclose(axes["V"].images[0].get_array(), nade.V.detach())


def test_the_beginning_knows_nothing(nade, images):
    stepper = NADEStepper(nade, images, SHAPE, step=0)
    assert (seen(stepper) == -1).all()
    assert stepper.readout == {"log p so far": 0.0, "multiply-adds, running": 0, "multiply-adds, direct": 0}
    np.testing.assert_allclose(strip(stepper, "$a_d$").get_array()[:, 0], nade.c.detach())


def test_an_ordering_of_its_own_can_be_walked_too(images):
    own = [5, 0, 7, 2, 9, 4, 11, 6, 1, 8, 3, 10]
    nade = wild(12, 5, ordering=own)
    stepper = NADEStepper(nade, images, SHAPE, step=12)
    assert stepper.state["ordering"] == "the model's own"
    assert stepper.readout["log p so far"] == pytest.approx(nade.log_prob(images[0]).item(), abs=TOL)
    for d, i in enumerate(own, start=1):
        stepper.set(step=d)
        assert stepper.readout["pixel"] == f"({i // 4 + 1}, {i % 4 + 1})"


def test_a_model_trained_in_spirals_begins_with_spirals(images):
    stepper = NADEStepper(NADE(12, 5, pixel_ordering("spiral", *SHAPE)), images, SHAPE)
    assert stepper.state["ordering"] == "spiral"
    assert "the model's own" not in dict.fromkeys(option for _, option in stepper.controls["ordering"].options)


def test_moving_the_controls_by_hand_moves_the_numbers(nade, images):
    stepper = NADEStepper(nade, images, SHAPE, step=12)
    for image in range(5):
        stepper.controls["image"].value = image
        assert stepper.readout["log p at the end"] == pytest.approx(nade.log_prob(images[image]).item(), abs=TOL)
    before = stepper.readout
    stepper.controls["ordering"].value = "reverse"
    assert stepper.live.frame == 12
    assert stepper.readout != before
    stepper.reset()
    assert stepper.readout["log p at the end"] == pytest.approx(nade.log_prob(images[0]).item(), abs=TOL)


def test_only_the_sliders_that_matter_are_there(nade, images):
    stepper = NADEStepper(nade, images, SHAPE)
    for mode, expected in {
        "observed": ("visible", "hidden"),
        "half": ("visible", "visible"),
        "drawn": ("hidden", "visible"),
    }.items():
        stepper.set(mode=mode)
        assert tuple(stepper.controls[name].layout.visibility for name in ("image", "draw")) == expected


def test_the_score_never_leaves_its_axes(images):
    nade = wild(12, 5)
    with torch.no_grad():
        nade.V.mul_(20)  # so sure of itself that it is very wrong at times
    stepper = NADEStepper(nade, images, SHAPE, step=12)
    for image in range(5):
        stepper.set(image=image)
        ax = next(ax for ax in stepper.live.figure.axes if ax.get_title().startswith("log-likelihood"))
        low, high = ax.get_ylim()
        y = ax.lines[-1].get_ydata() if ax.lines[-1].get_color() == palette.DATA else ax.lines[1].get_ydata()
        assert len(y) == 13
        assert low < y.min()
        assert y.max() <= high


def test_it_takes_a_copy_and_leaves_the_model_alone(nade, images):
    state = pickle.dumps({name: value.tolist() for name, value in nade.state_dict().items()})
    stepper = NADEStepper(nade, images, SHAPE, step=12)
    assert all(parameter.requires_grad for parameter in nade.parameters())
    assert pickle.dumps({name: value.tolist() for name, value in nade.state_dict().items()}) == state
    before = stepper.readout["log p at the end"]
    with torch.no_grad():
        nade.b.add_(1.0)
    stepper.set(image=1)
    stepper.set(image=0)
    assert stepper.readout["log p at the end"] == before


@pytest.mark.parametrize(("dim", "shape"), [(1, (1, 1)), (2, (1, 2)), (6, (3, 2)), (30, (5, 6))])
def test_any_size_and_precision(dim, shape):
    nade = wild(dim, 3).double()
    images = torch.ones(2, dim, dtype=torch.float32)  # taken to the model's precision
    stepper = NADEStepper(nade, images, shape, step=dim)
    expected = nade.log_prob(torch.ones(dim, dtype=torch.float64)).item()
    assert stepper.readout["log p at the end"] == pytest.approx(expected, abs=1e-9)
    assert stepper.live.static_png()[:4] == b"\x89PNG"
    assert not stepper.error


def test_it_says_what_it_is(nade, images):
    assert repr(NADEStepper(nade, images, SHAPE)) == "NADEStepper(ordering='raster', mode='observed', image=0, draw=0)"
    assert repr(NADEStepper(nade, shape=SHAPE, draw=3)) == "NADEStepper(ordering='raster', draw=3)"


def test_bad_input_is_answered_in_words(nade, images):
    stepper = NADEStepper(nade, images, SHAPE)
    wrong = {
        "nade must be a NADE, but is a Linear": lambda: NADEStepper(torch.nn.Linear(2, 2)),
        r"shape must be \(height, width\) with 12 pixels": lambda: NADEStepper(nade, images),
        "images must be .N, 12. with N at least 1": lambda: NADEStepper(nade, images[0], SHAPE),
        "x must be binary": lambda: NADEStepper(nade, images * 0.5, SHAPE),
        "step must be a whole number from 0 to 12, but is 13": lambda: stepper.set(step=13),
        "step must be a whole number from 0 to 12, but is 2.5": lambda: stepper.set(step=2.5),
        "image must be a whole number from 0 to 4, but is 5": lambda: stepper.set(image=5),
        "ordering must be one of": lambda: stepper.set(ordering="zigzag"),
        "there is no control 'speed'": lambda: stepper.set(speed=1),
    }
    before = stepper.state
    for words, act in wrong.items():
        with pytest.raises(ValueError, match=words):
            act()
    assert stepper.state == before
