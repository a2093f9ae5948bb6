"""Predictions without a browser: questions, right answers, feedback, and the state that a page gets."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import traitlets
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

import nfteach.widgets.prediction
from nfteach.plots import palette
from nfteach.widgets import Prediction, predict
from nfteach.widgets.prediction import questions
from nfteach.widgets.prediction.formula import formula_picture
from nfteach.widgets.prediction.number import evaluate, read
from nfteach.widgets.prediction.spec import judge
from tests.explorers.front_end import say
from tests.explorers.numbers_typed import FINITE_NOT, NUMBERS, NUMBERS_NOT, TWO_WAYS

CHOICES = {
    "It doubles.": "What is the area then?",
    "It halves.": ("right", "The area stays 1."),
    r"It depends on $z$.": "The slope is the *same* everywhere.",
}
LOG_2 = {
    "number": "-log(2)",
    "unit": "nats",
    "explanation": r"It is $-\log 2$.",
    "wrong": {
        "log(2)": "Does space grow or shrink?",
        "-log10(2)": "That is the logarithm to base 10.",
        0.5: "That is the slope itself.",
        "-2 log 2": "A factor of two too many.",
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
        ("a", "It doubles.", False, "What is the area then?"),
        ("b", "It halves.", True, "The area stays 1."),
        ("c", "It depends on $z$.", False, "The slope is the *same* everywhere."),
    ],
)
def test_each_choice_by_letter_and_by_label(letter, label, right, feedback):
    for choice in (letter, label):
        prediction = choose()
        prediction.commit(choice)
        assert (prediction.committed, prediction.right, prediction.feedback) == (label, right, feedback)
        assert repr(prediction) == f"Prediction({letter}, {'right' if right else 'wrong'})"


def test_there_is_a_second_try_and_not_a_third():
    prediction = choose()
    prediction.commit("a")
    assert (prediction.right, prediction.feedback) == (False, "What is the area then?")
    prediction.commit("c")
    assert repr(prediction) == "Prediction(a, c, wrong)"
    with pytest.raises(ValueError, match="the answer is shown already; make the prediction again to start over"):
        prediction.commit("b")
    assert prediction.committed == "It depends on $z$."


def test_nothing_can_be_committed_after_a_right_answer_or_once_it_is_shown():
    right, given_up = choose(), choose()
    right.commit("b")
    given_up.commit("a")
    given_up.show_answer()
    for prediction in (right, given_up):
        with pytest.raises(ValueError, match="shown already"):
            prediction.commit("a")
    assert (repr(right), repr(given_up)) == ("Prediction(b, right)", "Prediction(a, wrong)")


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
        ("log(1/2)", True, "It is $-\\log 2$."),
        ("-0.700", True, "It is $-\\log 2$."),  # just within 1 %
        ("-0.701", False, "Begin with the slope."),  # just outside
        ("−0.693 nats", True, "It is $-\\log 2$."),
        (0.69, False, "Does space grow or shrink?"),
        ("-0.30", False, "That is the logarithm to base 10."),  # rounded to two digits
        ("-1", False, "Begin with the slope."),  # one digit could be many numbers
        ("1/2", False, "That is the slope itself."),
        ("2 log(1/2)", False, "A factor of two too many."),
        (-5, False, "Begin with the slope."),
    ],
)
def test_numbers_and_the_slip_that_fits(given, right, feedback):
    prediction = number()
    prediction.commit(given)
    assert (prediction.right, prediction.feedback) == (right, feedback)


@pytest.mark.parametrize(
    ("answer", "typed", "right"),
    [
        (1.596, "1.6", True),
        (1.596, "1.5", False),
        (1.596, "2", False),
        (1.44, "1.5", False),
        (0.405, "0.41", True),
        (0.405, "0.4", False),
        (1 / 3, "33 %", True),
        (2 / 3, "67%", True),
        (1386.3, "1400", True),
        (1386.3, "1.4e3", True),
        (10, "10.4", False),
        (10, "1.0e1", True),
    ],
)
def test_two_digits_are_right_if_they_are_the_rounded_number(answer, typed, right):
    prediction = Prediction("How much?", number=answer, explanation="so")
    prediction.commit(typed)
    assert prediction.right is right


def test_a_whole_number_needs_no_tolerance_and_a_fraction_is_itself():
    zeros = Prediction("How many entries are zero?", number=2, explanation="Count them.")
    zeros.commit("2.001")
    assert (zeros.right, zeros.feedback) == (False, "")
    zeros.commit("2.0")
    assert zeros.right is True
    third = Prediction("What is it?", number=np.float32(0.5), tolerance=0, explanation="A half.", wrong={"1/3": "no"})
    third.commit("1/3")
    assert third.feedback == "no"


@pytest.mark.parametrize(("typed", "value"), NUMBERS.items())
def test_typed_numbers_and_expressions_are_read(typed, value):
    assert read(typed, "bits").value == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (NUMBERS_NOT, "the answer must be a number, but is .*; try one such as"),
        (TWO_WAYS, "can be read in two ways; try"),
        (FINITE_NOT, "must be a finite number"),
    ],
)
def test_text_that_is_not_one_number_is_refused(texts, message):
    for typed in texts:
        with pytest.raises(ValueError, match=message):
            read(typed, "bits")


def test_an_expression_calls_nothing_but_its_own_functions():
    for text in ("__import__('os')", "().__class__", "log.__name__", "eval(1)", "abs", "lambda: 1", "1 if 1 else 2"):
        with pytest.raises(ValueError, match="must be a number"):
            evaluate(text)


# ---- the questions of the lessons ----


def test_every_lesson_has_its_questions():
    assert len(questions.names()) >= 50
    assert {name[:2] for name in questions.names()} == {f"{lesson:02}" for lesson in range(11)}


@pytest.mark.parametrize("name", questions.names())
def test_a_question_has_one_right_answer_and_each_wrong_one_its_own_feedback(name):
    prediction = predict(name)
    spec = prediction.get_state()["_spec"]
    if "choices" in spec:
        answers = range(len(spec["choices"]))
    else:
        asked = spec["number"]
        answers = [repr(one["value"]) for one in [asked, *asked["wrong"]]] + ["-987654321"]
    told = [judge(spec, answer) for answer in answers]
    assert sum(right for right, _ in told) == 1
    feedback = [words for _, words in told]
    assert all(feedback)
    assert len(set(feedback)) == len(feedback)
    assert re.search(r"\S", prediction.get_state()["_spec"]["question"])


@pytest.mark.parametrize("name", questions.names())
def test_the_feedback_to_a_wrong_answer_does_not_state_the_right_one(name):
    spec = predict(name).get_state()["_spec"]
    if "choices" in spec:
        right = spec["choices"][spec["right"]]["label"]
        wrong = [choice["feedback"] for index, choice in enumerate(spec["choices"]) if index != spec["right"]]
    else:
        right, wrong = spec["number"]["shown"], [one["feedback"] for one in spec["number"]["wrong"]]
        wrong.append(spec["number"]["otherwise"])
    if right in "0123456789":
        return  # such a digit is in many a formula
    said = re.compile(rf"(?<![\w.]){re.escape(right.rstrip('.').lower())}(?![\w.]\w)")
    assert not [words for words in wrong if said.search(words.lower())]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("06 nice hight", "'06 nice height' or"),
        ("04 xyzzy", "'04 same plane'"),
        ("xyzzy", "'00 rubber band'"),
        (6, "'00"),
    ],
)
def test_an_unknown_name_is_answered_by_those_that_are_near(name, near):
    with pytest.raises(ValueError, match=f"name must be that of a prediction, but is {name!r}; try .*{near}"):
        predict(name)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("Which?\n\n- [ ] one\n  no\n- [ ] two\n  no\n", r"questions/06.md, 'x': exactly one choice must be"),
        ("Which?\n\n- [x] one\n  yes\n- [ ] two\n", "the feedback of choice b must be a text"),
        ("How many?\n\n- [ ] = 2\n  no\n", "either choices or number must be given"),
        ("How many?\n\n- [x] = 2\n  yes\n- [x] = 3\n  yes\n", "one of them right, but there is '= 3'"),
        ("How many?\n\n- [x] = 2\n  yes\n- [ ] three\n  no\n", "every item must be a number"),
        ("How many?\n\n- [x] = two\n  yes\n", "must be a number, but is 'two'"),
        ("one\n\n## x\n\ntwo\n", "two predictions are called '06 x'"),
    ],
)
def test_a_question_that_is_not_whole_is_refused(tmp_path, monkeypatch, body, message):
    (tmp_path / "06.md").write_text(f"# Six\n\n## x\n\n{body}")
    monkeypatch.setattr(questions, "_FOLDER", tmp_path)
    with pytest.raises(ValueError, match=message):
        predict("06 x")


def test_a_question_is_read_with_its_number_unit_tolerance_and_lines(tmp_path, monkeypatch):
    text = (
        "## x\n\nHow\nmany $a\n+ b$?\n\nIn all?\n\n- [x] = log(3/2) ± 0.1 [nats]\n\n  So\n  it is.\n- [ ] = 7\n  no\n"
    )
    (tmp_path / "06.md").write_text(text + "- [ ] = anything else\n  not this\n")
    monkeypatch.setattr(questions, "_FOLDER", tmp_path)
    spec = predict("06 x").get_state()["_spec"]
    assert spec["question"] == "How many $a + b$?\n\nIn all?"
    asked = spec["number"]
    assert (asked["value"], asked["tolerance"]) == pytest.approx((math.log(1.5), 0.1))
    assert (asked["unit"], asked["feedback"], asked["shown"]) == ("nats", "So it is.", "0.4055")
    assert ([one["shown"] for one in asked["wrong"]], asked["otherwise"]) == (["7"], "not this")


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
        ({"choices": CHOICES, "number": 1}, "either choices or number must be given, but both is"),
        ({}, "either choices or number must be given, but neither is"),
        ({"choices": CHOICES, "unit": "nats"}, "unit, explanation, wrong and otherwise go with number"),
        ({"choices": CHOICES, "wrong": {1: "no"}}, "go with number"),
        ({"choices": CHOICES, "tolerance": 0}, "tolerance, .* go with number"),
        ({"number": 0.5, "explanation": "so", "tolerance": -0.1}, "tolerance must be zero or more, but is -0.1"),
        ({"number": 0.5, "explanation": "so", "tolerance": math.inf}, "tolerance must be a finite number"),
        ({"number": math.nan, "explanation": "so"}, "number must be a finite number, but is nan"),
        ({"number": "two", "explanation": "so"}, "must be a number, but is 'two'"),
        ({"number": True, "explanation": "so"}, "number must be a finite number, but is True"),
        ({"number": 2}, "explanation must be a text, but is ''"),
        ({"number": 2, "explanation": "so", "wrong": {2: "no"}}, "2 in wrong counts as right"),
        ({"number": 0, "explanation": "so", "wrong": {"-0": "no"}}, "-0 in wrong counts as right"),
        ({"number": 2, "explanation": "so", "wrong": {"x": "no"}}, "must be a number, but is 'x'"),
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
        ("$\nabla f$", "a dollar without its partner on the same line"),
    ],
)
def test_texts_that_went_wrong(text, message):
    with pytest.raises(ValueError, match=message):
        Prediction(text, CHOICES)


def test_commit_names_what_there_is():
    with pytest.raises(ValueError, match=r"one of 'It doubles.', 'It halves.', 'It depends on \$z\$.', but is 'd'"):
        choose().commit("d")
    with pytest.raises(ValueError, match="must be a number, but is 'two'"):
        number().commit("two")
    with pytest.raises(ValueError, match="must be a number, but is 'nan'"):
        number().commit(math.nan)


# ---- the state that a page gets, and the values that it may send ----


@pytest.mark.parametrize("sent", [[3], [-1], ["b"], [1.5], [1, 0], [0, 2, 1], None])
def test_a_choice_that_does_not_exist_is_not_taken_from_a_page(sent):
    prediction = choose()
    with pytest.raises(traitlets.TraitError):
        prediction.set_state({"_tries": sent})
    assert prediction.committed is None


def test_a_page_commits_the_values_that_it_sends():
    prediction, value = choose(), number()
    prediction.set_state({"_tries": [0, 1]})
    value.set_state({"_tries": ["-0,69"]})
    assert (prediction.right, value.right) == (True, True)
    for sent in (["much"], [0], ["1,234"]):
        with pytest.raises(traitlets.TraitError):
            value.set_state({"_tries": sent})
    assert value.committed == -0.69


def test_pictures_of_formulas_are_drawn_at_a_page_s_request():
    prediction = number()
    assert prediction.get_state("_pictures") == {"_pictures": {}}
    say(prediction, type="something else")
    assert prediction.get_state("_pictures") == {"_pictures": {}}
    say(prediction, type="pictures", formulas=["J", r"\begin{pmatrix} 1 \end{pmatrix}"])
    assert set(prediction.get_state("_pictures")["_pictures"]) == {"J"}


# ---- texts ----


def test_html_in_a_text_has_no_power_in_the_markdown_twin():
    prediction = Prediction(r"is a<b & <i>c</i> for \$5, `a<b`, $a<b$?", CHOICES)
    question = prediction._repr_mimebundle_()[0]["text/markdown"].splitlines()[0]
    expected = r"is a&lt;b &amp; &lt;i>c&lt;/i> for <span>\$</span>5, `a<b`, $a<b$?"
    assert question == f"> **Predict.** {expected}"


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
    assert data["text/plain"].splitlines()[1] == "  (a number, in nats)"


def test_the_stored_twin_folds_the_answer_and_all_feedback():
    data, _ = choose()._repr_mimebundle_()
    question, folded = data["text/markdown"].split("<details><summary>Show the answer</summary>\n\n")
    assert question.splitlines() == [
        "> **Predict.** What happens to the height?",
        ">",
        "> - a) It doubles.",
        "> - b) It halves.",
        "> - c) It depends on $z$.",
        ">",
        "> *Run this cell to answer, with a hint and a second try.*",
        "",
    ]
    assert folded.split("\n\n") == [
        "**b)** It halves.",
        "The area stays 1.",
        "If you chose a): What is the area then?",
        "If you chose c): The slope is the *same* everywhere.",
        "</details>\n",
    ]
    data, _ = number()._repr_mimebundle_()
    question, folded = data["text/markdown"].split("<details><summary>Show the answer</summary>\n\n")
    assert "> (a number, in nats)" in question
    assert folded.split("\n\n") == [
        "**-0.6931 nats**",
        r"It is $-\log 2$.",
        "If you said 0.6931: Does space grow or shrink?",
        "If you said -0.301: That is the logarithm to base 10.",
        "If you said 0.5: That is the slope itself.",
        "If you said -1.386: A factor of two too many.",
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
    own = {palette.POSITIVE, palette.DATA, palette.LATENT}
    assert {colour.upper() for colour in re.findall(r"#[0-9a-fA-F]{3,8}\b", css)} == {colour.upper() for colour in own}
