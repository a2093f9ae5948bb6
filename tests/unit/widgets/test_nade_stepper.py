"""The NADE stepper's drawings, lit weights and axes; its numbers are checked by the registry."""

import pickle

import numpy as np
import pytest
import torch

from nfteach.flows import NADE, pixel_ordering
from nfteach.widgets import NADEStepper
from tests.explorers.entry import drawn
from tests.explorers.pixels import ORDERINGS, SHAPE, TOL, images, ordering_of, seen, wild


@pytest.fixture(scope="module")
def nade():
    return wild(12, 5)


@pytest.fixture(scope="module")
def shared(nade):
    return NADEStepper(nade, images(), SHAPE)


@pytest.fixture
def stepper(shared):
    shared.reset()
    shared.set(step=12)
    return shared


def test_the_counters_count_multiplications(stepper, nade):
    """Running: H for the output and, but for the last pixel's column, H for the update. Direct: all columns again."""
    running = direct = 0
    for d in range(1, 13):
        for _ in range(nade.hidden):  # V h
            running, direct = running + 1, direct + 1
        for _ in range(nade.hidden * (d - 1)):  # W x, over all pixels before
            direct += 1
        for _ in range(nade.hidden if d > 1 else 0):  # W x, over the one pixel that is new
            running += 1
        stepper.set(step=d)
        counted = stepper.readout["multiply-adds, running"], stepper.readout["multiply-adds, direct"]
        assert counted == (running, direct)


def test_observed_pixels_add_up_to_the_log_probability(stepper, nade):
    for k, image in enumerate(images()):
        stepper.controls["image"].value = k  # as the browser does
        assert stepper.live.frame == 12
        assert seen(stepper).tolist() == image.tolist()
        for label in ("log p so far", "log p at the end"):
            assert stepper.readout[label] == pytest.approx(nade.log_prob(image).item(), abs=TOL)


def test_half_of_the_pixels_are_the_images_and_the_others_are_drawn(stepper):
    stepper.set(mode="half", image=1)
    for name in ORDERINGS:
        given, rest = ordering_of(name)[:6], ordering_of(name)[6:]
        drawings = []
        for draw in range(6):
            stepper.set(ordering=name, draw=draw)
            drawings.append(seen(stepper))
            assert drawings[-1][given].tolist() == images()[1][given].tolist()
        assert len({tuple(drawing[rest].tolist()) for drawing in drawings}) > 1


def test_drawings_follow_the_model():
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


def test_a_drawing_comes_back_with_its_number(stepper):
    drawings = []
    for draw in (0, 1, 0):
        stepper.set(mode="drawn", draw=draw)
        drawings.append(seen(stepper).tolist())
    assert drawings[0] == drawings[2] != drawings[1]


def test_the_lit_column_and_row_are_the_pixels(stepper, nade):
    stepper.set(ordering="spiral")
    for d, i in enumerate(ordering_of("spiral"), start=1):
        stepper.set(step=d)
        column, row = stepper.live.artist("column"), stepper.live.artist("row")
        assert column.get_visible()
        assert row.get_visible()
        assert (column.get_x(), column.get_width(), column.get_height()) == (i - 0.5, 1, nade.hidden)
        assert (row.get_y(), row.get_height(), row.get_width()) == (i - 0.5, 1, nade.hidden)
    for lit, weights in (("column", nade.W), ("row", nade.V)):
        (image,) = stepper.live.artist(lit).axes.images
        np.testing.assert_allclose(image.get_array(), weights.detach())


def test_an_ordering_of_its_own_can_be_walked_too():
    own = [5, 0, 7, 2, 9, 4, 11, 6, 1, 8, 3, 10]
    nade = wild(12, 5, ordering=own)
    stepper = NADEStepper(nade, images(), SHAPE, step=12)
    assert stepper.state["ordering"] == "the model's own"
    assert stepper.readout["log p so far"] == pytest.approx(nade.log_prob(images()[0]).item(), abs=TOL)
    for d, i in enumerate(own, start=1):
        stepper.set(step=d)
        assert stepper.readout["pixel"] == f"({i // 4 + 1}, {i % 4 + 1})"


def test_a_model_trained_in_spirals_begins_with_spirals():
    stepper = NADEStepper(NADE(12, 5, pixel_ordering("spiral", *SHAPE)), images(), SHAPE)
    assert stepper.state["ordering"] == "spiral"
    assert "the model's own" not in dict.fromkeys(option for _, option in stepper.controls["ordering"].options)


def test_only_the_sliders_that_matter_are_there(stepper):
    for mode, expected in {
        "observed": ("visible", "hidden"),
        "half": ("visible", "visible"),
        "drawn": ("hidden", "visible"),
    }.items():
        stepper.set(mode=mode)
        assert tuple(stepper.controls[name].layout.visibility for name in ("image", "draw")) == expected


def test_the_score_never_leaves_its_axes():
    nade = wild(12, 5)
    with torch.no_grad():
        nade.V.mul_(20)  # so sure of itself that it is very wrong at times
    stepper = NADEStepper(nade, images(), SHAPE, step=12)
    for image in range(5):
        stepper.set(image=image)
        low, high = stepper.live.artist("score").axes.get_ylim()
        y = drawn(stepper, "score")[:, 1]
        assert len(y) == 13
        assert low < y.min()
        assert y.max() <= high


def test_a_copy_is_taken_and_the_model_is_left_alone():
    nade = wild(12, 5)
    state = pickle.dumps({name: value.tolist() for name, value in nade.state_dict().items()})
    stepper = NADEStepper(nade, images(), SHAPE, step=12)
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
    ones = torch.ones(2, dim, dtype=torch.float32)  # taken to the model's precision
    stepper = NADEStepper(nade, ones, shape, step=dim)
    expected = nade.log_prob(torch.ones(dim, dtype=torch.float64)).item()
    assert stepper.readout["log p at the end"] == pytest.approx(expected, abs=1e-9)
    assert not stepper.error


def test_invalid_arguments_are_refused_in_words(stepper, nade):
    wrong = {
        "nade must be a NADE, but is a Linear": lambda: NADEStepper(torch.nn.Linear(2, 2)),
        r"shape must be \(height, width\) with 12 pixels": lambda: NADEStepper(nade, images()),
        "images must be .N, 12. with N at least 1": lambda: NADEStepper(nade, images()[0], SHAPE),
        "x must be binary": lambda: NADEStepper(nade, images() * 0.5, SHAPE),
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
