"""Which cells of a notebook need which others, by the names that they bind and use."""

import ast
import builtins
import symtable
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

__all__ = ["Names", "dependents", "names", "needed"]


class Names(NamedTuple):
    """The global names that a cell binds, uses, imports, and binds to a value other than a function or class."""

    bound: set[str]
    used: set[str]
    imported: set[str]
    variables: set[str]


def names(source: str) -> Names:
    """Return the global names of a cell, also those used inside of its functions and classes.

    Raises:
        SyntaxError: if the cell is not plain Python, such as one with a magic command.
        ValueError: if it imports everything from a module, so that nobody knows what it binds.
    """
    tree = ast.parse(source)
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)):
        raise ValueError(f"a cell must name what it imports, but one reads {source!r}")
    top = symtable.symtable(source, "cell", "exec")
    symbols = [one for table in _tables(top) for one in table.get_symbols() if table is top or one.is_global()]
    changed = {getattr(node.target, "id", "") for node in ast.walk(tree) if isinstance(node, ast.AugAssign)} - {""}
    bound = {one.get_name() for one in symbols if one.is_assigned() or one.is_imported()}
    imported = {one.get_name() for one in symbols if one.is_imported()}
    fixed = imported | {one.get_name() for one in symbols if one.is_namespace()}
    return Names(bound, {one.get_name() for one in symbols if one.is_referenced()} | changed, imported, bound - fixed)


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for inner in table.get_children():
        yield from _tables(inner)


def dependents(cells: list[Names], first: Iterable[int], settled: Mapping[int, set[str]] = {}) -> set[int]:
    """Return the cells `first`, and every later one that uses what one of them binds, other than by an import.

    Args:
        cells: the names of all cells.
        first: numbers of cells.
        settled: number of a cell -> names that have the same value in it and after it, whatever was bound before.
    """
    found, changed = set(first), set()
    for number, cell in enumerate(cells):
        changed -= settled.get(number, set())
        if number in found or cell.used & changed:
            found.add(number)
            changed |= cell.bound - cell.imported - settled.get(number, set())
    return found


def needed(cells: list[Names], wanted: Iterable[int]) -> list[int]:
    """Return the cells `wanted` and those that must run before them, in order.

    These are, for each name that a cell uses, all earlier cells that bind it; if it is a variable, which can be changed
    in place, also all that use it.

    Raises:
        NameError: if nothing binds a name that a cell uses.
    """
    found: set[int] = set()
    waiting = list(wanted)
    while waiting:
        number = waiting.pop()
        if number in found:
            continue
        found.add(number)
        before = list(enumerate(cells[:number]))
        for name in cells[number].used:
            binding = [one for one, cell in before if name in cell.bound]
            if not binding and name not in cells[number].bound and not hasattr(builtins, name):
                binding = [one for one, cell in enumerate(cells) if name in cell.bound]  # a function looks it up later
                if not binding:
                    raise NameError(f"code cell {number + 1} uses {name!r}, which no cell binds")
            waiting += binding
            if any(name in cell.variables for _, cell in before):
                waiting += [one for one, cell in before if name in cell.used]
    return sorted(found)
