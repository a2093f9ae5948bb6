"""The check of the project's English: each rule refuses a bad text and lets a good one pass."""

import ast
import textwrap

import pytest
from check_english import ACTIONS, ROOMS, ROOT, VERBS, faults, files_of, is_verb, main


def messages(source: str) -> list[str]:
    """Return the messages about a piece of source, indented as it may be."""
    return [fault.message for fault in faults(textwrap.dedent(source))]


def function(docstring: str) -> str:
    return f'def f():\n    """{docstring}"""\n'


@pytest.mark.parametrize(
    "docstring",
    [
        "What the entry is small next to.",
        "Whether all have settled.",
        "Where the notebook lies.",
        "Of the chi-square test.",
        "The mask (D,).",
        "It returns the mask.",
        "log q(x) in nats.",
        "``data`` where the parameters are.",
        "(loss, progress) -> update.",
        "Number of samples.",
    ],
)
def test_a_function_opens_with_a_verb(docstring):
    assert "open with a verb" in messages(function(docstring))[0]
    assert "open with a verb" in messages("async " + function(docstring))[0]


@pytest.mark.parametrize(
    "docstring",
    [
        "Return the mask (D,).",
        "Returns the log absolute determinant of the Jacobian.",
        "Copies and passes it on.",
        "Lazily import the module.",
        "\n    Compute log q(x) in nats.\n    ",
        "Args:\n        x: the input.",
    ],
)
def test_a_function_that_opens_with_a_verb_passes(docstring):
    assert messages(function(docstring)) == []


@pytest.mark.parametrize("word", ["passes", "copies", "returns", "applies", "recompute", "re-raise", "boxes"])
def test_the_third_person_is_that_of_a_listed_verb(word):
    assert is_verb(word) == (word != "boxes")


def test_the_verbs_that_open_no_noun_phrase_are_verbs():
    assert ACTIONS <= VERBS


def test_a_private_or_nested_function_is_held_to_the_same():
    assert len(messages("def _f():\n    '''The root.'''\n    def g():\n        '''What is done.'''")) == 2


def test_a_class_and_a_property_are_noun_phrases():
    source = '''
        class {name}:
            """{klass}"""
            @property
            def p(self):
                """{prop}"""
    '''
    good = source.format(name="Good", klass="A permutation of the dimensions.", prop="The dimension D.")
    assert messages(good) == []
    assert messages(source.format(name="Zuko", klass="Creates a lazy transformation.", prop="A mask (D,).")) == []
    bad = messages(source.format(name="Bad", klass="What a training leaves behind.", prop="Whether it has ended."))
    assert ["opens with 'what'" in bad[0], "opens with 'whether'" in bad[1]] == [True, True]
    bad = messages(source.format(name="Bad", klass="Reorder the dimensions.", prop="Return the dimension."))
    assert all("noun phrase" in message for message in bad)
    assert len(bad) == 2


def test_a_module_opens_with_no_clause():
    assert messages('"""The training loop."""') == []
    assert "opens with 'how'" in messages('"""How flows are inverted."""')[0]


@pytest.mark.parametrize("decorator", ["pytest.fixture", 'pytest.fixture(scope="module")', "contextmanager"])
def test_a_fixture_or_context_may_be_a_noun_or_a_verb(decorator):
    source = f"@{decorator}\ndef f():\n    "
    assert messages(source + '"""A copy of the lesson."""') == []
    assert messages(source + '"""Restore the modes on exit."""') == []
    assert len(messages(source + '"""What a test may change."""')) == 1


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("The layer is told of it.", "The layer receives it."),
        ("It says which.", "It names the layer, say, 'Planar'."),
        ("The caller asks for a copy.", "The caller requests a copy."),
        ("The mask never hears of it.", "The mask ignores the event."),
        ("x is no tensor.", "x is not a tensor; there is no default, and it is no longer needed."),
        ("x is no\n    tensor.", "If there\n    is no tensor."),
        ("the parameters are none.", "the parameters are None, or there are none."),
        ("whoever makes it decides.", "The caller decides."),
        ("ours beside the others.", "ours next to zuko; besides, it is small."),
        ("The entry furthest off.", "The entry with the largest error."),
        ("Returns what came of it.", "Returns the outcome; this is what matters."),
        ("Nothing that moves is lost.", "No artist is lost."),
        ("Both are told apart by colour.", "Colours distinguish both."),
    ],
)
@pytest.mark.parametrize("place", ["docstring", "comment", "message", "assertion", "help"])
def test_riddles_are_refused_in_all_prose(bad, good, place):
    makers = {
        "docstring": lambda text: function("Return it.\n\n    " + text),
        "comment": lambda text: "x = 1\n" + textwrap.indent("xx " + text.replace("\n   ", "\n"), "# ") + "\n",
        "message": lambda text: f'raise ValueError(f"{{x}} xx {" ".join(text.split())}")',
        "assertion": lambda text: f'assert x, "xx {" ".join(text.split())}"',
        "help": lambda text: f'parser.add_argument("x", help="xx {" ".join(text.split())}")',
    }
    assert len(messages(makers[place](bad))) == 1
    assert messages(makers[place](good)) == []


@pytest.mark.parametrize(
    "prose",
    [
        "Call ``ask(page)`` first.",
        "Call ask(page) first.",
        "Call self.told or has_told first.",
        'The button "ask" is pressed.',
        "See https://example.org/ask/told.",
        "An example:\n\n        >>> told = 1  # says it\n        told",
    ],
)
def test_code_and_quotations_within_prose_are_not_prose(prose):
    assert messages(function("Return it. " + prose)) == []


def test_strings_outside_of_messages_are_data():
    assert messages('WORDS = ["told", "is no"]') == []


def test_a_comment_opens_with_no_clause_but_may_be_a_question():
    assert "opens with 'what'" in messages("# What nn.Module needs, derived.\nx = 1")[0]
    assert messages("# What if x is empty?\nx = 1") == []
    assert messages("# The root is\n# what bisection returns.\nx = 1") == []
    assert messages("# noqa\n#!shebang\n# type: ignore") == []


def test_an_entry_opens_with_a_noun():
    assert "not with 'of'" in messages(function("Return it.\n\n    Args:\n        alpha: of the logit.\n    "))[0]
    assert messages(function("Return it.\n\n    Args:\n        alpha: that of the logit.\n    ")) == []


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("test_what_is_no_density_is_not_timed", "test_invalid_density_is_rejected"),
        ("test_bad_input_is_told_in_words", "test_bad_input_is_reported_in_words"),
        ("test_kinks_are_no_obstacle", "test_kinks_are_not_an_obstacle"),
        ("test_a_layer_says_which", "test_a_layer_that_is_no_longer_used"),
        ("test_a_loss_that_asks_for_the_step", "test_basking_and_tasks"),
        ("test_nobody_else_is_there", "test_there_is_no_ratio"),
    ],
)
def test_names_of_tests_are_plain_statements(bad, good):
    assert messages(f"def {bad}(): ...")[0].startswith("test name has ")
    assert messages(f"def {good}(): ...") == []
    assert messages(f"def {bad.removeprefix('test_')}(): ...") == []


def test_the_place_of_a_fault_is_exact():
    source = 'def f():\n    """Return é and\n    what was told.\n    """\n    x = "é"  # is no mask\n'
    assert [(fault.line, fault.column) for fault in faults(source)] == [(3, 14), (5, 16)]
    assert source.splitlines()[2][13:17] == "told"
    assert source.splitlines()[4][15:20] == "is no"


def test_the_command_prints_places_as_ruff_does(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text('"""How it works."""\n')
    (tmp_path / "good.py").write_text('"""The root-finder."""\n')
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("bad.py:1:1: docstring opens with 'how'")
    assert main([str(tmp_path / "good.py")]) == 0
    with pytest.raises(FileNotFoundError, match="'no/such/room' does not"):
        main(["no/such/room"])


def test_every_room_holds_files_and_none_is_read_twice():
    assert all(files_of([room]) for room in ROOMS)
    files = files_of(ROOMS)
    assert len(files) == len(set(files))
    assert all(ast.parse(file.read_text(encoding="utf-8")) for file in files_of(["tools"]))
    assert ROOT / "tools/check_english.py" in files
