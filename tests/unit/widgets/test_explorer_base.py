"""The base of all explorers: setting by name, reset, presets, errors in words, the stored picture."""

from __future__ import annotations

import threading

import ipywidgets
import pytest
import torch

from nfteach.widgets import Explorer
from nfteach.widgets.controls import hidden, slider
from tests.unit.widgets.dots import Dot, all_of


@pytest.fixture
def dot():
    return Dot()


def test_setting_several_controls_computes_once(dot):
    dot.computed.clear()
    dot.set(x=0.5, n=4, kind="ring")
    assert len(dot.computed) == 1
    assert dot.state == {"x": 0.5, "n": 4, "kind": "ring", "safe": True}
    assert dot.readout == {"x": 0.5, "n": 4}


def test_it_computes_without_gradients_and_leaves_the_mode_as_it_was(dot):
    assert torch.is_grad_enabled()
    dot.set(x=0.1)
    assert not dot.computed[-1][1]
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"y": 1}, "there is no control 'y'; there are: x, n, kind, safe"),
        ({"x": 2.0}, "x must be a number from -1 to 1, but is 2.0"),
        ({"x": float("nan")}, "x must be a number from -1 to 1"),
        ({"x": "left"}, "x must be a number"),
        ({"n": 2.5}, "n must be a whole number from 1 to 9"),
        ({"n": True}, "n must be a whole number"),
        ({"kind": "square"}, "kind must be one of 'dot', 'ring'"),
        ({"safe": 1}, "safe must be True or False"),
    ],
)
def test_a_wrong_value_names_the_control_and_nothing_moves(dot, state, words):
    before = dot.state
    with pytest.raises(ValueError, match=words):
        dot.set(**{"n": 3, **state})
    assert dot.state == before


def test_an_option_may_be_given_by_its_label(dot):
    dot.set(kind="a ring")
    assert dot.state["kind"] == "ring"


def test_an_error_is_shown_in_words_kept_and_cleared_by_the_next_good_value(dot):
    dot.set(safe=False)
    dot.controls["x"].value = 0.75  # as the browser does
    assert dot.error == "x must stay below 0.5 here; move it back"
    assert isinstance(dot.exception, ValueError)
    assert dot.readout == {}, "no number of the picture before is passed off as this one's"
    dot.controls["x"].value = -0.75
    assert dot.error == "ZeroDivisionError: nothing left"
    dot.controls["x"].value = 0.0
    assert dot.error == ""
    assert dot.exception is None
    assert dot.readout["x"] == 0.0


def test_numbers_that_are_not_finite_are_an_error_in_words(dot):
    dot.set(x=-0.125)
    assert dot.error == "chart/dots.points has 2 of 4 numbers that are NaN or infinite; give finite ones"


def test_presets_keep_what_they_do_not_name_and_reset_returns_to_the_beginning():
    dot = Dot(n=7)
    dot.set(x=-0.5, kind="ring")
    dot.preset("far")
    assert dot.state == {"x": 0.9, "n": 7, "kind": "ring", "safe": True}
    dot.reset()
    assert dot.state == {"x": 0.25, "n": 7, "kind": "dot", "safe": True}
    with pytest.raises(ValueError, match="there is no preset 'near'; there are: 'far', 'many'"):
        dot.preset("near")


def test_a_preset_may_be_a_function_of_the_state():
    class Counting(Dot):
        presets = {"one more": lambda s: {"n": s.n + 1}}  # noqa: RUF012

    dot = Counting(n=3, x=-0.5)
    dot.preset("one more")
    dot.preset("one more")
    assert (dot.state["n"], dot.state["x"]) == (5, -0.5)


def test_a_hidden_control_is_state_but_not_shown():
    def check(name, value):
        if set(value) - {"0", "1"}:
            raise ValueError(f"{name} must be zeros and ones, but is {value!r}")
        return value

    class Painted(Dot):
        def build_controls(self):
            return {**super().build_controls(), "bits": hidden("01", check)}

    dot = Painted(bits="10")
    assert not any(widget is dot.controls["bits"] for widget in all_of(dot))
    assert any(widget is dot.controls["kind"] for widget in all_of(dot))
    dot.set(bits="11")
    assert dot.state["bits"] == "11"
    with pytest.raises(ValueError, match="bits must be zeros and ones, but is '12'"):
        dot.set(bits="12")
    dot.reset()
    assert dot.state["bits"] == "10"


def test_an_explorer_must_have_controls_and_a_picture():
    with pytest.raises(TypeError, match="Explorer has no controls: define build_controls"):
        Explorer()

    class Empty(Explorer):
        def build_controls(self):
            return {"x": slider("x", -1, 1, 0)}

    assert Empty().error == "TypeError: Empty has no picture: define picture(self, s)"


def test_real_sliders_are_tensors_and_all_else_plain_values():
    seen = {}

    class Spy(Dot):
        def picture(self, s):
            seen.update(vars(s))
            return super().picture(s)

    Spy(x=0.5)
    x = seen.pop("x")
    assert (x.dtype, x.shape, x.item()) == (torch.float64, (), 0.5)
    assert seen == {"n": 2, "kind": "dot", "safe": True}
    assert all(type(value) is kind for value, kind in zip(seen.values(), (int, str, bool), strict=True))


def test_the_buttons_reset_and_show_presets(dot):
    def buttons(widget):
        found = [widget] if isinstance(widget, ipywidgets.Button) else []
        return found + [button for child in getattr(widget, "children", ()) for button in buttons(child)]

    by_name = {button.description: button for button in buttons(dot)}
    assert list(by_name) == ["far", "many", "reset"]
    by_name["many"].click()
    assert dot.state["n"] == 5
    by_name["reset"].click()
    assert dot.state["n"] == 2


def test_every_control_is_labelled_and_moves_while_it_is_dragged(dot):
    for control in dot.controls.values():
        assert control.description
        assert getattr(control, "continuous_update", True)
    assert all(control in all_of(dot) for control in dot.controls.values())


def test_the_essential_controls_are_in_view_and_the_others_under_more(dot):
    (more,) = [one for one in all_of(dot) if isinstance(one, ipywidgets.Accordion)]
    assert more.selected_index is None, "it is closed at first"
    under = [name for name, control in dot.controls.items() if control in all_of(more)]
    assert under == ["kind", "safe"]


def test_the_bundle_has_the_view_a_constant_text_and_the_picture(dot):
    data, metadata = dot._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == dot.model_id
    assert data["text/plain"] == "Dot(x=0.25, n=2, kind='dot', safe=True)"
    assert data["image/png"].startswith("iVBORw0KGgo")
    assert metadata["image/png"] == {"alt": "dots: x 0.25, n 2."}


def test_a_callback_in_another_thread_and_a_cell_agree_in_the_end(dot):
    def drag():
        for k in range(40):
            dot.controls["x"].value = k / 100

    thread = threading.Thread(target=drag)
    thread.start()
    for k in range(40):
        dot.set(n=1 + k % 9)
    thread.join()
    assert dot.readout == {"x": dot.state["x"], "n": dot.state["n"]} == {"x": 0.39, "n": 4}
