"""Which cells must run for others: all that bind what they use, and all that may change a variable."""

import pytest

from tests.notebooks.dependence import dependents, names, needed

IMPORTS = "import math\nimport torch"
DATA = "data = torch.ones(3)"
CHANGE = "data.fill_(math.pi)"
SEED = "torch.manual_seed(0)"
DEFINE = "def scale():\n    return factor"
FACTOR = "factor = 2"
ANSWER = "def answer(x):\n    y = [k * scale() for k in range(3)]\n    return y + x"
CHECK = "check = answer(data)"
LATER = "print(check)"
CELLS = [names(source) for source in (IMPORTS, DATA, CHANGE, SEED, DEFINE, FACTOR, ANSWER, CHECK, LATER)]


def test_what_a_cell_needs_is_found_through_functions_and_changes_in_place():
    assert needed(CELLS, [6]) == [4, 5, 6]
    assert needed(CELLS, [7]) == [0, 1, 2, 4, 5, 6, 7]


def test_all_that_uses_what_changed_is_found():
    assert dependents(CELLS, [6]) == {6, 7, 8}
    assert dependents(CELLS, [4]) == {4, 6, 7, 8}
    assert dependents(CELLS, [0]) == {0}, "a module stays the same"


def test_what_is_settled_changes_nothing_further():
    cells = [names(source) for source in ("a = 1", "a = settle(a)", "print(a)", "b = a")]
    assert dependents(cells, [0]) == {0, 1, 2, 3}
    assert dependents(cells, [0], {1: {"a"}}) == {0}


def test_a_name_that_is_bound_again_needs_both_cells():
    again = [names(source) for source in ("k = 1", "for other in range(2):\n    k += other", "print(k)")]
    assert needed(again, [2]) == [0, 1, 2]
    assert needed(again, [1]) == [0, 1]
    inside = [names(source) for source in ("def set_it():\n    global k\n    k = 1", "set_it()\nprint(k)")]
    assert needed(inside, [1]) == [0, 1]


def test_a_builtin_counts_where_a_cell_binds_it():
    assert needed([names("sum = max"), names("sum([1, 2])")], [1]) == [0, 1]


@pytest.mark.parametrize(
    ("cells", "error", "words"),
    [
        (["a = 1", "print(b)"], NameError, "code cell 2 uses 'b', which no cell binds"),
        (["def f():\n    return a", "f()"], NameError, "code cell 1 uses 'a'"),
        (["from math import *", "cos(1)"], ValueError, "must name what it imports"),
        (["%timeit 1", "1"], SyntaxError, "invalid syntax"),
    ],
)
def test_what_cannot_be_told_is_an_error(cells, error, words):
    with pytest.raises(error, match=words):
        needed([names(source) for source in cells], [1])
