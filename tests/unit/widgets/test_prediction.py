"""Predictions without a browser: questions, right answers, feedback, and the state that a page gets."""

from __future__ import annotations

import math
import operator
import re
from pathlib import Path

import numpy as np
import pytest
import traitlets
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

import nfteach.widgets.prediction
from nfteach.plots import palette
from nfteach.widgets import Prediction
from nfteach.widgets.prediction.spec import read
from nfteach.widgets.prediction.text import cut, formula_picture, formulas, to_markdown, to_plain
from tests.explorers.front_end import say

CHOICES = {
    "It doubles.": "Then the area would be 2.",
    "It halves.": ("right", "The area stays 1."),
    r"It depends on $z$.": "The slope is the *same* everywhere.",
}
LOG_2 = {
    "number": -math.log(2),
    "tolerance": 0.01,
    "unit": "nats",
    "explanation": r"It is $-\log 2$.",
    "wrong": {
        operator.neg: "The sign: space shrinks.",
        lambda right: right / math.log(10): "That is the logarithm to base 10.",
        0.5: "That is the slope itself.",
        (None, -10): "Nothing shrinks that much.",
        (0, None): "Nothing grows here.",
        (-2, -1): "A factor of two too many.",
    },
    "otherwise": "Begin with the slope.",
}


def choose(**changed) -> Prediction:
    return Prediction("What happens to the height?", CHOICES | changed)


def number(**changed) -> Prediction:
    return Prediction(r"What is $\log\lvert dx/dz \rvert$?", **(LOG_2 | changed))


# ---- right answers and feedback ----


def test_there_is_no_feedback_before_the_commitment():
    prediction = choose()
    assert (prediction.committed, prediction.right, prediction.feedback) == (None, None, "")
    assert repr(prediction) == "Prediction(not answered)"


@pytest.mark.parametrize(
    ("letter", "label", "right", "feedback"),
    [
        ("a", "It doubles.", False, "Then the area would be 2."),
        ("b", "It halves.", True, "The area stays 1."),
        ("c", "It depends on $z$.", False, "The slope is the same everywhere."),
    ],
)
def test_each_choice_by_letter_and_by_label(letter, label, right, feedback):
    for choice in (letter, label):
        prediction = choose()
        prediction.commit(choice)
        assert (prediction.committed, prediction.right, prediction.feedback) == (label, right, feedback)
        assert repr(prediction) == f"Prediction({letter}, {'right' if right else 'wrong'})"


def test_a_commitment_is_locked_until_the_learner_thinks_again():
    prediction = choose()
    prediction.commit("a")
    with pytest.raises(ValueError, match=r"'It doubles.' is committed already; think_again\(\)"):
        prediction.commit("b")
    assert prediction.committed == "It doubles."
    prediction.think_again()
    assert prediction.right is None
    prediction.commit("b")
    assert prediction.right is True


def test_a_label_wins_over_a_letter():
    prediction = Prediction("Which?", {"b": "the first", "a": ("right", "the second")})
    prediction.commit("a")
    assert prediction.right is True


def test_pairs_do_as_well_as_a_dict():
    prediction = Prediction("Which?", [("one", "no"), ("two", ["right", "yes"])])
    prediction.commit("two")
    assert prediction.right is True


@pytest.mark.parametrize(
    ("given", "right", "feedback"),
    [
        (-0.693, True, "It is $-\\log 2$."),
        ("-0,69", True, "It is $-\\log 2$."),
        ("-0.7031", True, "It is $-\\log 2$."),  # just within the tolerance
        ("-0.7033", False, "Begin with the slope."),  # just outside
        ("−0.693 nats", True, "It is $-\\log 2$."),
        ("-7/10", True, "It is $-\\log 2$."),
        (0.69, False, "The sign: space shrinks."),
        (-0.301, False, "That is the logarithm to base 10."),
        ("1/2", False, "That is the slope itself."),
        (0, False, "Nothing grows here."),
        (7, False, "Nothing grows here."),
        (-2, False, "A factor of two too many."),
        (-1e9, False, "Nothing shrinks that much."),
        (-5, False, "Begin with the slope."),
    ],
)
def test_numbers_and_the_first_slip_that_fits(given, right, feedback):
    prediction = number()
    prediction.commit(given)
    assert (prediction.right, prediction.feedback) == (right, feedback)


def test_a_whole_number_needs_no_tolerance_and_a_fraction_is_itself():
    zeros = Prediction("How many entries are zero?", number=2, explanation="Count them.")
    zeros.commit("2.0")
    assert zeros.right is True
    zeros.think_again()
    zeros.commit("2.001")
    assert (zeros.right, zeros.feedback) == (False, "")
    third = Prediction("What is it?", number=np.float32(0.5), tolerance=0, explanation="A half.", wrong={1 / 3: "no"})
    third.commit("1/3")
    assert third.feedback == "no"


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("0.5", 0.5),
        (" -2 ", -2.0),
        ("+3", 3.0),
        (".25", 0.25),
        ("3.", 3.0),
        ("0,125", 0.125),  # not thousands: 125 is not written as 0,125
        ("1e-3", 1e-3),
        ("2E2", 200.0),
        ("1/3", 1 / 3),
        ("-1 / 4", -0.25),
        ("1,5/3", 0.5),
        ("−1", -1.0),
        ("2 bits", 2.0),
        ("2bits", 2.0),
    ],
)
def test_how_a_number_is_read(typed, value):
    assert read(typed, "bits") == value


@pytest.mark.parametrize(
    "typed", ["", "two", "1.2.3", "1 2", "0x10", "nan", "inf", "1/2/3", "1,234,567", "2 nats", "١", "1_000"]
)
def test_a_text_that_is_not_a_number_is_refused(typed):
    with pytest.raises(ValueError, match=r"is no number; type one such as 0\.5, -2 or 1/3"):
        read(typed, "bits")


@pytest.mark.parametrize("typed", ["1,234", "-12,345", "1,234/2"])
def test_a_comma_that_could_be_read_in_two_ways_is_refused(typed):
    with pytest.raises(ValueError, match="can be read in two ways"):
        read(typed)


@pytest.mark.parametrize("typed", ["1/0", "1e999"])
def test_a_number_that_is_not_finite_is_refused(typed):
    with pytest.raises(ValueError, match="is not finite"):
        read(typed)


# ---- what an author may not write ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"choices": {"one": "no", "two": "no"}}, "exactly one choice must be .*: none"),
        ({"choices": {"one": ("right", "y"), "two": ("right", "y")}}, "exactly one choice .*: 'one', 'two'"),
        ({"choices": [("one", "no"), ("one", ("right", "yes"))]}, "two choices are called 'one'"),
        ({"choices": {"one": "no", "one ": ("right", "yes")}}, "two choices are called 'one'"),
        ({"choices": {"one": ("right", "yes")}}, "choices must be 2 to 26, but are 1"),
        ({"choices": {"one": "no", "two": ("correct", "yes")}}, r"choice b must have feedback or .* has \('correct'"),
        ({"choices": {"one": "", "two": ("right", "yes")}}, "the feedback of choice a must be a text, but is ''"),
        ({"choices": {"one": True, "two": ("right", "yes")}}, "the feedback of choice a must be a text, but is True"),
        ({"choices": {"one": "no", "two": ("right", " ")}}, "the explanation of choice b must be a text"),
        ({"choices": CHOICES, "number": 1}, "either choices or number; both came"),
        ({}, "either choices or number; neither came"),
        ({"choices": CHOICES, "unit": "nats"}, "unit goes with number"),
        ({"choices": CHOICES, "wrong": {1: "no"}}, "wrong goes with number"),
        ({"choices": CHOICES, "tolerance": 0}, "tolerance goes with number"),
        ({"number": 0.5, "explanation": "so"}, "number is 0.5, which is not whole: .* tolerance="),
        ({"number": 0.5, "explanation": "so", "tolerance": -0.1}, "tolerance must be zero or more, but is -0.1"),
        ({"number": 0.5, "explanation": "so", "tolerance": math.inf}, "tolerance must be a finite number"),
        ({"number": math.nan, "explanation": "so"}, "number must be a finite number, but is nan"),
        ({"number": "2", "explanation": "so"}, "number must be a finite number, but is '2'"),
        ({"number": True, "explanation": "so"}, "number must be a finite number, but is True"),
        ({"number": 2}, "explanation must be a text, but is ''"),
        ({"number": 2, "explanation": "so", "wrong": {2: "no"}}, "2 in wrong counts as right"),
        ({"number": 0, "explanation": "so", "wrong": {operator.neg: "no"}}, "0 in wrong counts as right"),
        ({"number": 2, "explanation": "so", "wrong": {(3, 1): "no"}}, "3 is not below 1"),
        ({"number": 2, "explanation": "so", "wrong": {(1, 2, 3): "no"}}, r"must be \(low, high\)"),
        ({"number": 2, "explanation": "so", "wrong": {(None, None): "no"}}, r"must be \(low, high\)"),
        (
            {"number": 2, "explanation": "so", "wrong": {"x": "no"}},
            "a key of wrong must be a finite number, but is 'x'",
        ),
        ({"number": 2, "explanation": "so", "wrong": {3: ""}}, "the feedback for 3 must be a text"),
    ],
)
def test_an_invalid_prediction_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Prediction("What?", **arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "question must be a text"),
        (None, "question must be a text"),
        ("costs $5", "a dollar without its partner"),
        ("a `tick", "a backtick without its partner"),
        ("$w^\top z$", r'holds \\t as a control character; write a text with TeX as r"..."'),
        ("$\frac12$", r"holds \\f as"),
        ("$\beta$", r"holds \\b as"),
        ("$\rho$", r"holds \\r as"),
        ("$\nabla f$", r"a line break in \$\nabla f\$"),
    ],
)
def test_texts_that_went_wrong(text, message):
    with pytest.raises(ValueError, match=message):
        Prediction(text, CHOICES)


def test_commit_names_what_there_is():
    with pytest.raises(
        ValueError, match=r"no choice 'd'; there are: 'It doubles.', 'It halves.', 'It depends on \$z\$.'"
    ):
        choose().commit("d")
    with pytest.raises(ValueError, match="'two' is no number"):
        number().commit("two")
    with pytest.raises(ValueError, match="'nan' is no number"):
        number().commit(math.nan)


# ---- the state that a page gets, and the values that it may send ----


def test_the_page_gets_all_it_needs_to_judge_and_plain_json():
    state = choose().get_state()
    assert state["_spec"]["right"] == 1
    told = [to_plain(one["feedback"]) for one in state["_spec"]["choices"]]
    assert told == ["Then the area would be 2.", "The area stays 1.", "The slope is the same everywhere."]
    asked = number().get_state()["_spec"]["number"]
    assert (asked["low"], asked["high"]) == pytest.approx((-math.log(2) - 0.01, -math.log(2) + 0.01))
    ends = [(slip["low"], slip["high"]) for slip in asked["wrong"]]
    assert ends[0] == pytest.approx((math.log(2) - 0.01, math.log(2) + 0.01))
    assert ends[3:] == [(None, -10), (0, None), (-2, -1)]


@pytest.mark.parametrize("sent", [3, -1, "b", 1.5])
def test_a_choice_that_does_not_exist_is_not_taken_from_a_page(sent):
    prediction = choose()
    with pytest.raises(traitlets.TraitError):
        prediction.set_state({"_committed": sent})
    assert prediction.committed is None


def test_a_page_commits_the_value_that_it_sends():
    prediction, value = choose(), number()
    prediction.set_state({"_committed": 1})
    value.set_state({"_committed": "-0,69"})
    assert (prediction.right, value.right) == (True, True)
    for sent in ("much", 0, "1,234"):
        with pytest.raises(traitlets.TraitError):
            value.set_state({"_committed": sent})
    assert value.committed == -0.69


def test_pictures_of_formulas_are_drawn_at_a_page_s_request():
    prediction = number()
    assert prediction.get_state("_pictures") == {"_pictures": {}}
    say(prediction, type="something else")
    assert prediction.get_state("_pictures") == {"_pictures": {}}
    say(prediction, type="pictures")
    assert set(prediction.get_state("_pictures")["_pictures"]) == {r"\log\lvert dx/dz \rvert", r"-\log 2"}


# ---- texts ----


def test_texts_are_cut_into_pieces_and_put_together_again():
    text = r"**Is $w^\top u$ so?** `a * b` \$5, *not* 2 * 3 * 4 \*" + "\n\nor $$J$$ here"
    pieces = cut("question", text)
    assert pieces == [
        ["strong", [["text", "Is "], ["tex", r"w^\top u"], ["text", " so?"]]],
        ["text", " "],
        ["code", "a * b"],
        ["text", " $5, "],
        ["em", [["text", "not"]]],
        ["text", " 2 * 3 * 4 *"],
        ["break", ""],
        ["text", "or "],
        ["display", "J"],
        ["text", " here"],
    ]
    assert to_plain(pieces).startswith(r"Is $w^\top u$ so? a * b $5, not 2 * 3 * 4 *")
    assert formulas({"here": [pieces], "twice": pieces}) == [r"w^\top u", "J"]
    markdown = to_markdown(pieces, paragraph="\n\n")
    assert markdown.count(r"<span>\$</span>5") == 1
    again = cut("again", re.sub("</?span>", "", markdown))
    assert again == pieces, "the Markdown twin has the same pieces"


def test_html_in_a_text_has_no_power_in_the_markdown_twin():
    assert to_markdown(cut("question", "is a<b & <i>c</i>?")) == "is a&lt;b &amp; &lt;i>c&lt;/i>?"


@pytest.mark.parametrize("tex", [r"\frac{\partial x_i}{\partial z_j}", r"w^2 \hat u", r"J", r"\sqrt{2}_j", r"\det J"])
def test_a_formulas_picture_is_what_matplotlib_draws(tex):
    picture = formula_picture(tex)
    commands = re.findall(r"([MLQCZ])([^MLQCZ]*)", picture["path"])
    assert "".join(letter + numbers for letter, numbers in commands) == picture["path"]
    lengths = {"M": 2, "L": 2, "Q": 4, "C": 6, "Z": 0}
    assert all(len(numbers.split()) == lengths[letter] for letter, numbers in commands)
    points = np.array([float(number) for _, numbers in commands for number in numbers.split()]).reshape(-1, 2)
    expected = TextPath((0, 0), f"${tex}$", size=100, prop=FontProperties(math_fontfamily="cm")).get_extents()
    assert points[:, 0].max() == pytest.approx(expected.x1, abs=2)
    assert -points[:, 1].min() == pytest.approx(expected.y1, abs=2)  # y downwards
    assert -points[:, 1].max() == pytest.approx(expected.y0, abs=2)
    # The box that the page gives it is the formula's; an italic letter leans out of it a little.
    assert points[:, 0].min() == pytest.approx(0, abs=12)
    assert points[:, 0].max() == pytest.approx(picture["width"], abs=12)
    assert -points[:, 1].min() == pytest.approx(picture["height"], abs=12)
    assert points[:, 1].max() == pytest.approx(picture["depth"], abs=12)


def test_tex_that_matplotlib_calls_otherwise_is_drawn_and_what_it_does_not_know_is_not():
    assert formula_picture(r"\lVert u \rVert \ge 0")["path"] == formula_picture(r"\Vert u \Vert \geq 0")["path"]
    assert formula_picture(r"w^\top z")["width"] == pytest.approx(formula_picture(r"w^2 z")["width"], rel=0.05)
    assert formula_picture(r"w^\top z") == formula_picture(r"w^{\top} z")
    assert formula_picture(r"\begin{pmatrix} 1 \end{pmatrix}") is None
    assert formula_picture(r"\left( x") is None


# ---- what a notebook stores, and what nbval compares ----


def test_a_terminal_shows_question_and_choices_without_the_answer():
    data, _ = choose()._repr_mimebundle_()
    lines = ["Predict. What happens to the height?", "  a) It doubles.", "  b) It halves.", "  c) It depends on $z$."]
    assert data["text/plain"] == "\n".join(lines)
    data, _ = number()._repr_mimebundle_()
    assert data["text/plain"].splitlines()[1] == "  (a number, in nats, to within 0.01)"


def test_the_stored_twin_folds_the_answer_and_all_feedback():
    data, _ = choose()._repr_mimebundle_()
    question, folded = data["text/markdown"].split("<details><summary>Show the answer</summary>\n\n")
    assert question.splitlines() == [
        "> **Predict.** What happens to the height?",
        ">",
        "> - a) It doubles.",
        "> - b) It halves.",
        "> - c) It depends on $z$.",
        "",
    ]
    assert folded.split("\n\n") == [
        "**b)** It halves.",
        "The area stays 1.",
        "If you chose a): Then the area would be 2.",
        "If you chose c): The slope is the *same* everywhere.",
        "</details>\n",
    ]
    data, _ = number()._repr_mimebundle_()
    question, folded = data["text/markdown"].split("<details><summary>Show the answer</summary>\n\n")
    assert "> (a number, in nats, to within 0.01)" in question
    assert folded.split("\n\n") == [
        "**-0.693147 nats**",
        r"It is $-\log 2$.",
        "If you said 0.693147: The sign: space shrinks.",
        "If you said -0.30103: That is the logarithm to base 10.",
        "If you said 0.5: That is the slope itself.",
        "If you said -10 or less: Nothing shrinks that much.",
        "If you said 0 or more: Nothing grows here.",
        "If you said -2 to -1: A factor of two too many.",
        "If you said anything else: Begin with the slope.",
        "</details>\n",
    ]


def test_the_stored_output_does_not_change_with_the_run_or_with_the_answer():
    first, second = choose(), choose()
    second.commit("a")
    one, two = (dict(prediction._repr_mimebundle_()[0]) for prediction in (first, second))
    view = "application/vnd.jupyter.widget-view+json"
    assert one.pop(view) != two.pop(view)
    assert one == two
    assert set(one) == {"text/plain", "text/markdown"}


def test_the_colours_are_the_palettes():
    css = Path(nfteach.widgets.prediction.__file__).with_name("prediction.css").read_text()
    own = {palette.FORWARD, palette.DATA, palette.BASE, palette.MUTED}
    assert {colour.upper() for colour in re.findall(r"#[0-9a-fA-F]{3,8}\b", css)} == {colour.upper() for colour in own}
