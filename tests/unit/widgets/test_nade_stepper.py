"""The NADE stepper's painting, endings and orderings; its numbers are checked by the registry."""

import numpy as np
import pytest
import torch

from nfteach.flows import NADE, pixel_ordering
from nfteach.widgets import NADEStepper
from tests.explorers.entry import drawn
from tests.explorers.front_end import say
from tests.explorers.pixels import ORDERINGS, SHAPE, TOL, check_nade, endings_of, images, ordering_of, wild


@pytest.fixture(scope="module")
def nade():
    return wild(12, 5)


@pytest.fixture(scope="module")
def shared(nade):
    return NADEStepper(nade, images(), SHAPE)


@pytest.fixture
def stepper(shared):
    shared.reset()
    return shared


def painted(stepper):
    return np.array([int(one) for one in stepper.state["pixels"]])


def gesture(stepper, name, *values):
    say(stepper.live, type="gesture", name=name, values=[float(value) for value in values], number=1)
    assert stepper.error == ""


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_an_ending_changes_only_after_the_painted_pixel(stepper, ordering):
    stepper.set(ordering=ordering)
    order, before = ordering_of(ordering), endings_of(stepper)
    i = order[5]
    gesture(stepper, "canvas", 0, i // 4, i % 4, 1 - painted(stepper)[i])
    after = endings_of(stepper)
    assert (before[:, order[:5]] == after[:, order[:5]]).all()
    assert (before[:, i] != after[:, i]).all()


def test_a_stroke_paints_and_a_click_on_a_drawn_pixel_stops_there(stepper):
    before = painted(stepper)
    gesture(stepper, "canvas", 0, 0, 1, 1, 0, 1, 2, 1, 0, 1, 3, 0)
    after = painted(stepper)
    assert after[[1, 6, 7]].tolist() == [1, 1, 0]
    others = np.setdiff1d(np.arange(12), [1, 6, 7])
    assert after[others].tolist() == before[others].tolist()
    gesture(stepper, "canvas", 0, 2, 1, -1)
    assert stepper.state["step"] == 10
    assert painted(stepper).tolist() == after.tolist()


def test_a_second_click_or_see_all_leads_back_from_a_step(stepper):
    for back in (lambda: gesture(stepper, "canvas", 0, 2, 1, -1), lambda: stepper.preset("see all")):
        gesture(stepper, "canvas", 0, 2, 1, -1)
        canvas = stepper.parts["canvas"]
        assert canvas.words == ("",) * 10 + ("?",) * 2
        assert canvas.note.startswith("Step 10 of 12: ? is not drawn yet.")
        assert (canvas.ink.flatten()[10:] > 0).all(), "what is not drawn yet is not as white as a zero"
        back()
        assert stepper.state["step"] == 12
        assert set(stepper.parts["canvas"].words) == {""}


def test_clear_leaves_the_model_something_to_draw(stepper):
    stepper.set(given=12, step=5)
    stepper.preset("clear")
    assert painted(stepper).sum() == 0
    assert stepper.state["given"] == 8
    assert stepper.state["step"] == 12
    stepper.set(given=4)
    stepper.preset("clear")
    assert stepper.state["given"] == 4


def test_a_bar_that_is_cut_ends_at_a_wedge():
    nade = wild(12, 5)
    with torch.no_grad():
        nade.V.mul_(10)
    stepper = NADEStepper(nade, images(), SHAPE, given=12)
    log_p = np.array([float(note.split(": ")[-1].split()[0].replace("\N{MINUS SIGN}", "-"))
                      for note in stepper.parts["canvas"].notes])  # fmt: skip
    assert (log_p < -4.5).any()
    points = drawn(stepper, "yours, cut")
    assert ((points[:, 1] < stepper.parts["strip"].y[0]) == (log_p < -3.6)).all()
    assert drawn(stepper, "yours").min() == pytest.approx(-3.6)


def test_only_what_is_yours_can_be_painted(stepper):
    for ordering in ORDERINGS:
        stepper.set(ordering=ordering, given=4)
        assert stepper.parts["canvas"].paintable.flatten().nonzero().flatten().tolist() == sorted(
            ordering_of(ordering)[:4]
        )


def test_the_line_is_dragged_in_whole_rows(stepper):
    gesture(stepper, "canvas/border", 1.0)
    assert stepper.state["given"] == 4
    assert stepper.parts["canvas"].border == 1
    stepper.set(ordering="reverse")
    assert stepper.parts["canvas"].border == 2, "the last row is yours"
    gesture(stepper, "canvas/border", 0.0)
    assert stepper.state["given"] == 12
    stepper.set(ordering="spiral")
    assert stepper.parts["canvas"].border is None


def test_endings_and_images_are_chosen_by_a_click(stepper):
    gesture(stepper, "endings", 3)
    assert stepper.state["ending"] == 4
    gesture(stepper, "begin", 2)
    assert painted(stepper).tolist() == images()[2].tolist()
    assert stepper.parts["begin"].chosen == 2
    gesture(stepper, "canvas", 0, 0, 0, 1 - painted(stepper)[0])
    assert stepper.parts["begin"].chosen == -1


def test_again_draws_other_endings_and_a_row_that_is_kept_changes_only_the_others(stepper):
    stepper.set(given=4)
    before, mine = endings_of(stepper), painted(stepper)
    stepper.preset("again")
    assert (endings_of(stepper) != before).any()
    assert painted(stepper).tolist() == mine.tolist()
    stepper.set(ending=3)
    kept = endings_of(stepper)[2]
    stepper.preset("keep its next row")
    assert painted(stepper).tolist() == kept.tolist() == endings_of(stepper)[2].tolist()
    assert stepper.state["given"] == 8
    assert (endings_of(stepper)[:, :8] == kept[:8]).all()
    stepper.preset("clear")
    assert painted(stepper).sum() == 0


def test_all_pixels_of_an_image_add_up_to_its_log_probability(stepper, nade):
    for k, image in enumerate(images()):
        stepper.set(given=12)
        stepper.controls["image"].value = k  # as the browser does
        assert painted(stepper).tolist() == image.tolist()
        assert stepper.readout["log p of the image"] == pytest.approx(nade.log_prob(image).item(), abs=TOL)


def test_drawings_follow_the_model():
    """On two pixels, 600 endings against the four exact probabilities."""
    nade = wild(2, 3)
    stepper = NADEStepper(nade, shape=(1, 2), given=0)
    counts = np.zeros((2, 2))
    for draw in range(100):
        stepper.set(draw=draw)
        for x in endings_of(stepper).astype(int):
            counts[tuple(x)] += 1
    states = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    expected = nade.log_prob(states).exp().detach().numpy().reshape(2, 2)
    # Four standard deviations of a count of 600 with probability p are 4 sqrt(600 p (1 - p)).
    assert np.abs(counts - 600 * expected).max() <= 4 * np.sqrt(600 * expected * (1 - expected)).max()


def test_an_ordering_that_the_model_did_not_learn_is_named(stepper):
    assert "learned" not in stepper.parts["canvas"].note
    stepper.set(ordering="random")
    assert "The model learned raster order only" in stepper.parts["canvas"].note
    free = NADEStepper(wild(12, 5, order_agnostic=True), images(), SHAPE, ordering="random")
    assert "learned" not in free.parts["canvas"].note


def test_an_ordering_of_its_own_can_be_walked_too():
    own = [5, 0, 7, 2, 9, 4, 11, 6, 1, 8, 3, 10]
    nade = wild(12, 5, ordering=own)
    stepper = NADEStepper(nade, images(), SHAPE, given=12)
    assert stepper.state["ordering"] == "the model's own"
    assert stepper.readout["log p of the image"] == pytest.approx(nade.log_prob(images()[0]).item(), abs=TOL)
    for d, i in enumerate(own[:-1], start=1):
        stepper.set(step=d)
        assert stepper.readout["pixel"] == f"{d} of 12, row {i // 4 + 1}, column {i % 4 + 1}"


def test_a_model_trained_in_spirals_begins_with_spirals():
    stepper = NADEStepper(NADE(12, 5, pixel_ordering("spiral", *SHAPE)), images(), SHAPE)
    assert stepper.state["ordering"] == "spiral"
    assert "the model's own" not in dict.fromkeys(stepper.controls["ordering"].options)


def test_a_model_that_is_sure_and_wrong_has_finite_numbers():
    nade = wild(12, 5)
    with torch.no_grad():
        nade.V.mul_(1000)
    stepper = NADEStepper(nade, images(), SHAPE, given=12)
    assert not stepper.error
    assert stepper.readout["log p of the image"] < -100
    check_nade(NADEStepper(wild(12, 5), images(), SHAPE, given=12))


def test_a_copy_is_taken_and_the_model_is_left_alone():
    nade = wild(12, 5)
    stepper = NADEStepper(nade, images(), SHAPE)
    assert all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in nade.parameters())
    before = stepper.readout
    with torch.no_grad():
        nade.b.add_(1.0)
    stepper.set(image=1)
    stepper.set(image=0)
    assert stepper.readout == before


@pytest.mark.parametrize(("dim", "shape"), [(1, (1, 1)), (2, (1, 2)), (6, (3, 2)), (30, (5, 6))])
def test_any_size_and_precision(dim, shape):
    nade = wild(dim, 3).double()
    ones = torch.ones(2, dim, dtype=torch.float32)
    stepper = NADEStepper(nade, ones, shape, given=dim)
    expected = nade.log_prob(torch.ones(dim, dtype=torch.float64)).item()
    assert stepper.readout["log p of the image"] == pytest.approx(expected, abs=1e-9)
    assert not stepper.error


def test_invalid_arguments_are_refused_in_words(stepper, nade):
    wrong = {
        "nade must be a NADE, but is a Linear": lambda: NADEStepper(torch.nn.Linear(2, 2)),
        r"shape must be \(height, width\) with 12 pixels": lambda: NADEStepper(nade, images()),
        "images must be .N, 12. with N at least 1": lambda: NADEStepper(nade, images()[0], SHAPE),
        "x must be binary": lambda: NADEStepper(nade, images() * 0.5, SHAPE),
        "step must be a whole number from 1 to 12, but is 13": lambda: stepper.set(step=13),
        "image must be a whole number from 0 to 4, but is 5": lambda: stepper.set(image=5),
        "ordering must be one of": lambda: stepper.set(ordering="zigzag"),
        "pixels must be 12 zeros and ones, as a text or a tensor": lambda: stepper.set(pixels="0101"),
        "there is no control 'speed'": lambda: stepper.set(speed=1),
    }
    before = stepper.state
    for words, act in wrong.items():
        with pytest.raises(ValueError, match=words):
            act()
    assert stepper.state == before
