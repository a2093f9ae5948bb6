"""The zero pattern of a matrix as a graph of who depends on whom: orders, groups and matchings."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["block_triangular_form", "components", "matching", "topological_order"]


def _closure(pattern: Tensor) -> Tensor:
    """(n, n) bool: output i depends on input j, directly or through others (each depends on itself)."""
    reach = (pattern | torch.eye(len(pattern), dtype=torch.bool)).float()
    while True:
        # One squaring doubles the length of the chains that are followed.
        further = ((reach @ reach) > 0).float()
        if further.equal(reach):
            return reach > 0
        reach = further


def block_triangular_form(pattern: Tensor) -> list[tuple[int, ...]]:
    """Groups of dimensions that depend on each other in circles, each group after those that it depends on."""
    reach = _closure(pattern)
    # A dimension depends on strictly more dimensions than any that it depends on, unless both are in one circle.
    ancestors = reach.sum(1)
    together = reach & reach.T
    first = together.int().argmax(1)
    order = sorted(range(len(pattern)), key=lambda i: (int(ancestors[i]), int(first[i]), i))
    groups: dict[int, list[int]] = {}
    for i in order:
        groups.setdefault(int(first[i]), []).append(i)
    return [tuple(group) for group in groups.values()]


def topological_order(pattern: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The order of rows and of columns in which a pattern is lower triangular, or None if there is none.

    One order for both is tried first (the map keeps the names of its dimensions); then rows are paired with columns
    by a perfect matching, which for a triangular matrix is its diagonal.
    """
    groups = block_triangular_form(pattern)
    if len(groups) == len(pattern):
        order = tuple(i for group in groups for i in group)
        return order, order
    columns = matching(pattern)
    if columns is None:
        return None
    groups = block_triangular_form(pattern[:, torch.tensor(columns)])
    if len(groups) < len(pattern):
        return None
    rows = tuple(i for group in groups for i in group)
    return rows, tuple(columns[i] for i in rows)


def matching(pattern: Tensor) -> list[int] | None:
    """A column for every row, all different, each where the pattern is True; None if there is none.

    Augmenting paths (Kuhn), starting from the diagonal.
    """
    near = [row.nonzero().flatten().tolist() for row in pattern]
    row_of = {i: i for i in range(len(pattern)) if pattern[i, i]}
    column_of = dict(row_of)
    for start in range(len(pattern)):
        if start in column_of:
            continue
        # Breadth first over the columns that could be freed; `asked` remembers which row wants a column.
        asked: dict[int, int] = {}
        queue, free = [start], None
        while queue and free is None:
            row = queue.pop(0)
            for column in near[row]:
                if column in asked:
                    continue
                asked[column] = row
                if column not in row_of:
                    free = column
                    break
                queue.append(row_of[column])
        if free is None:
            return None
        while free is not None:  # along the path back to `start`, every row gives up its column for the new one
            row = asked[free]
            given_up = column_of.get(row)
            column_of[row], row_of[free], free = free, row, given_up
    return [column_of[row] for row in range(len(pattern))]


def components(pattern: Tensor) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Rows and columns that are linked by True entries, group by group (rows, columns), by the smallest column."""
    linked = _closure((pattern.T.float() @ pattern.float()) > 0)  # columns that share a row
    first = linked.int().argmax(1)
    groups = []
    for leader in first.unique().tolist():
        columns = (first == leader).nonzero().flatten()
        rows = pattern[:, columns].any(1).nonzero().flatten()
        groups.append((tuple(rows.tolist()), tuple(columns.tolist())))
    return groups
