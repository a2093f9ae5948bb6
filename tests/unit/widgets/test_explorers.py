"""Every explorer of the registry is moved over all of its controls, and checked by an independent computation."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from nfteach.widgets import Explorer
from tests.explorers.cells import GALLERY, STEPPED
from tests.explorers.entry import Entry, from_cell, picture, prepared, values_of
from tests.explorers.registry import EXPLORERS

IN_GALLERY = [name for name in EXPLORERS if name in GALLERY]


@pytest.fixture(scope="module", params=EXPLORERS)
def shared(request) -> Iterator[tuple[Entry, Explorer, Any]]:
    """An entry with its explorer, made once for all tests, and its first picture."""
    entry = EXPLORERS[request.param]
    explorer = entry.make()
    yield entry, explorer, picture(explorer)
    explorer.close()


@pytest.fixture
def entry(shared) -> Entry:
    return shared[0]


@pytest.fixture
def explorer(shared) -> Explorer:
    """The explorer as it was in the beginning, its frame included."""
    back_to_start(shared[1])
    return shared[1]


def test_no_attribute_hides_a_method(explorer):
    methods = {name for kind in type(explorer).__mro__ for name, one in vars(kind).items() if callable(one)}
    assert not methods & vars(explorer).keys()


def back_to_start(explorer: Explorer) -> None:
    explorer.reset()
    explorer.live.frame = 0


def check_everywhere(entry: Entry, explorer: Explorer) -> None:
    """Check the present state, in every frame."""
    try:
        for frame in range(len(explorer.live.frames)) or [0]:
            explorer.live.frame = frame
            assert explorer.error == ""
            entry.check(explorer)
    except AssertionError as error:
        error.add_note(f"at frame {explorer.live.frame} of {explorer!r}")
        raise


def moved(explorer: Explorer, name: str) -> Any:
    """Return another value of a control: its far end, or the next option."""
    control, values = explorer.controls[name], values_of(explorer.controls[name])
    if hasattr(control, "min"):
        return values[1] if control.value == values[0] else values[0]
    return values[(values.index(control.value) + 1) % len(values)]


def test_the_first_state_is_right(entry, explorer):
    check_everywhere(entry, explorer)


def test_each_control_is_right_over_its_values(entry, explorer):
    start = explorer.state
    for name, control in explorer.controls.items():
        explorer.set(**(start | (entry.wakes.get(name) or {})))
        for value in values_of(control):
            explorer.set(**(start | (entry.wakes.get(name) or {}) | {name: value}))
            if name == explorer.step and explorer.live.frames:
                entry.check(explorer)  # all frames are those of the first state
            else:
                check_everywhere(entry, explorer)


def test_random_and_chosen_states_are_right(entry, explorer):
    states = [*entry.states(explorer), *entry.also(explorer)]
    assert len(states) >= entry.number > 0
    start = explorer.state
    for state in states:
        explorer.set(**(start | state))
        check_everywhere(entry, explorer)


def test_each_control_moves_the_picture_as_it_is_moved_in_the_browser(entry, explorer):
    start = explorer.state
    for name, control in explorer.controls.items():
        wakes = entry.wakes.get(name, {})
        explorer.set(**(start | (wakes or {})))
        before = picture(explorer)
        control.value = moved(explorer, name)
        assert explorer.error == ""
        assert (picture(explorer) != before) == (wakes is not None), name


def test_presets_are_right_and_show_something_else(entry, explorer):
    for name in explorer.presets:
        back_to_start(explorer)
        start, before = (explorer.state, 0), picture(explorer)
        explorer.preset(name)
        assert explorer.error == ""
        changed = (explorer.state, explorer.live.frame) != start
        assert (picture(explorer) != before) == changed, name
        entry.check(explorer)


def test_reset_shows_the_first_numbers_and_picture_again(explorer):
    state, told, before = explorer.state, explorer.readout, picture(explorer)
    for name in explorer.controls:
        explorer.set(**{name: moved(explorer, name)})
    assert explorer.state != state
    back_to_start(explorer)
    assert (explorer.state, explorer.readout) == (state, told)
    assert picture(explorer) == before


def test_invalid_values_are_refused_by_name_and_change_nothing(explorer):
    state, before = explorer.state, picture(explorer)
    for name, control in explorer.controls.items():
        wrong = [None, "nowhere"]
        if hasattr(control, "min"):
            wrong += [control.max + 1, control.min - 1, math.nan, True]
        for value in wrong:
            with pytest.raises(ValueError, match=f"{name} must be"):
                explorer.set(**{name: value})
    with pytest.raises(ValueError, match="there is no control 'colour'"):
        explorer.set(colour="red")
    assert explorer.state == state
    assert picture(explorer) == before


def test_steppers_and_replays_have_frames(explorer):
    assert bool(explorer.live.frames) == (type(explorer).__name__ in STEPPED)


@pytest.mark.parametrize("shared", IN_GALLERY, indirect=True)
def test_a_notebook_stores_the_picture_with_its_description_and_one_line(entry, explorer):
    explorer.live.frame = max(len(explorer.live.frames) - 1, 0)
    data, metadata = explorer._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    assert data["text/plain"] == repr(explorer)
    assert data["text/plain"].startswith(f"{type(explorer).__name__}({entry.text.partition('(')[2]}")
    assert data["image/png"].startswith("iVBORw0KGgo")
    assert entry.alt in metadata["image/png"]["alt"]
    assert explorer.help
    explorer.set(**next(entry.states(explorer)))
    assert b64encode(explorer.live.static_png()).decode() != data["image/png"]


@pytest.mark.parametrize("shared", IN_GALLERY, indirect=True)
def test_a_second_one_shows_the_same_and_they_do_not_disturb_each_other(shared):
    entry, first, before = shared
    name = type(first).__name__
    torch.manual_seed(1)
    space = prepared(name) if entry.cell else {}  # all of the cell anew: it draws the same in every run
    random, dtype = torch.random.get_rng_state(), torch.get_default_dtype()
    second = from_cell(name, space) if entry.cell else entry.make()
    assert torch.equal(torch.random.get_rng_state(), random)
    assert torch.get_default_dtype() == dtype
    assert picture(second) == before
    told, shown = first.readout, picture(first)
    second.set(**next(entry.states(second)))
    assert picture(second) != before
    assert (first.readout, picture(first)) == (told, shown)
    second.close()
