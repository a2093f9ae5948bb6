"""The triangular explorer: pushing an input of a triangular map, and its inverse, one dimension after another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.special import erfc, ndtri

from nfteach.flows import RNADE
from nfteach.flows.rnade import TriangularMap
from nfteach.jacobian import AnyMap, recognise
from nfteach.jacobian.numbers import bracketed, coordinate, fixed, summed
from nfteach.jacobian.pattern import topological_order
from nfteach.jacobian.rng import seeded
from nfteach.widgets.controls import choice, integer, slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Area, Arrows, Chart, Curves, Handle, Label, Mark, Matrix, Number, Plane, Strip

__all__ = ["OrderedMap", "TriangularExplorer", "untrained"]

ORDERING = (2, 0, 4, 1, 3)  # of the model that is there if none is handed in
LARGEST = 16  # dimensions that the picture has room for
WRITTEN = 8  # dimensions up to which names and numbers have room
ROWS = 200  # rows of data among which the probe is chosen
CURVE = 97  # points of a conditional's curve
HALVINGS = 6  # of the bracket in which x is searched
LOOKED_AT = 24  # points at which J is taken, to tell structure from accident


class TriangularExplorer(Explorer):
    r"""A triangular map x -> z at a point: *push* an input and look at J, or *invert*, one dimension after another.

    "push" shows what a push of x_j does to z_j and to the next z of the ordering: the image of a unit square, whose
    area is the product of two diagonal entries of J, J[i, j] = dz_i/dx_j. Entries off the diagonal are multiplied by
    a factor; the area, and det J, stay. What is zero by construction is a dot. J is that at a row of the data.

    "invert" goes from z back to x in steps: the d-th x of the ordering is found from z_d and the x before it, by
    halving a bracket on the axis of x_d. The curve is x_d -> z_d, the shape below it the conditional density
    q(x_d \| x_<d), proportional to slope times phi(z_d). The axis scrolls with a point that is dragged far out.

    Args:
        model: what maps x to z, where z is taken as standard normal: an ``RNADE``; any map that
            :class:`~nfteach.jacobian.AnyMap` takes (of a flow that maps z to x hand in ``flow.inv``); or several,
            name -> model of the same data, for instance RNADEs trained in different orderings. Copies are taken. None
            for an RNADE with random weights, **not trained**.
        data: (N, D), the first 200 rows of which are the points to choose from; None for draws from the first model.
        **state: initial values of controls: ``show`` ("push", "invert"), ``factor``, ``j`` (the input that is pushed,
            from 1), ``push`` (of "invert": how far x_j is moved), ``d`` (steps of the inverse, from 0 to D), ``model``
            (a name; of several only), ``row`` (of the data, from 0), ``order`` of J ("the map's", "the data's").

    The readout of "push": ``det J`` and ``log|det J|`` (nats) by the diagonal, ``z that x_j moves`` (a count), ``by
    elimination``, log\|det J\| from the whole matrix with the factor in it; of "invert": ``found`` (a count), ``slope``
    (the diagonal entry of step d), ``sum of log slopes`` up to there (nats), ``each x off by``; of both ``log
    q(x)`` (nats).

    Raises:
        ValueError: if a model can't be called with the data, the models disagree on D, or D is not from 2 to 16.

    References:
        Rosenblatt (1952), Remarks on a multivariate transformation; Papamakarios et al. (2021), section 2.2,
        https://arxiv.org/abs/1912.02762

    Example:
        >>> explorer = TriangularExplorer(j=3)
        >>> explorer.readout["z that x_j moves"]  # x_3 comes first in the ordering
        5
        >>> explorer.set(j=4)  # and x_4 last
        >>> explorer.readout["z that x_j moves"]
        1
    """

    help = "Pull the ring: what happens to the [area](z)? Then *invert*, one [x](x) after another."
    alt = "A triangular map: the image of a square and the Jacobian, or its inverse along one axis"
    step = "d"

    def __init__(self, model: Any = None, data: Tensor | None = None, **state: Any) -> None:
        given = dict(model) if isinstance(model, Mapping) else {"": untrained(ORDERING) if model is None else model}
        if not given:
            raise ValueError("model must be a map x -> z, or name -> map with at least one, but is empty")
        self.data = _rows(data, next(iter(given.values())))
        self.dim = self.data.shape[1]
        self.models: dict[str, OrderedMap] = {}
        for name, one in given.items():
            own = getattr(one, "dim", self.dim)
            if own != self.dim:
                raise ValueError(f"the data must have {own} dimensions for the model {name!r}, but have {self.dim}")
            self.models[str(name)] = OrderedMap(one, self.data)
        self._center, self._unit, self._half, self._plain = _scale_of(self.data)
        first = next(iter(self.models.values()))
        reach = self._reach()
        self.presets = {
            "ten-fold": {"show": "push", "factor": 10.0},
            "the diagonal alone": {"show": "push", "factor": 0.0},
            "step by step": {"show": "invert", "d": 0},
            "far out": {"show": "invert", "j": first.columns[-1] + 1, "push": 8 * reach, "d": self.dim},
        }
        if len(self.models) > 1:
            self.presets |= {"another ordering": {"model": list(self.models)[1]}}
        super().__init__(**state)
        self.live.step = "step"

    def _reach(self) -> float:
        """Return a push of about one standard deviation, one digit long."""
        size = float(self._unit.max())
        return round(size, -math.floor(math.log10(size)))

    def build_controls(self) -> dict[str, Any]:
        reach = self._reach()
        fine = 10.0 ** math.floor(math.log10(reach) - 1)
        decimals = max(0, -math.floor(math.log10(fine)) + 1)
        controls = {
            "show": choice("", ["push", "invert"], "push"),
            "factor": slider("off-diagonals ×", 0, 10, 1.0, step=0.05),
            "j": integer("input j", 1, self.dim, next(iter(self.models.values())).columns[0] + 1),
            "push": slider("x_j moved by", -10 * reach, 10 * reach, 0.0, step=fine / 10, format=f".{decimals}f"),
            "model": choice("model", list(self.models), next(iter(self.models))),
            "row": integer("point: row of the data", 0, len(self.data) - 1, 0),
            "order": choice("J's order", ["the map's", "the data's"], "the map's"),
            "d": integer("d", 0, self.dim, 0),
        }
        if len(self.models) == 1:
            del controls["model"]
        self.essential = tuple(name for name in ("show", "factor", "j", "push", "model") if name in controls)
        controls["show"].observe(lambda _: self._hide(controls), "value")
        self._hide(controls)
        return controls

    @staticmethod
    def _hide(controls: dict[str, Any]) -> None:
        for name, mode in (("factor", "push"), ("push", "invert")):
            controls[name].layout.display = None if controls["show"].value == mode else "none"

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        return self._pushed(s, self._local(s)) if s.show == "push" else self.pictures(s)[s.d]

    def pictures(self, s: SimpleNamespace) -> list[dict[str, Any]]:
        if s.show == "push":
            return []
        local = self._local(s)
        if not local.map.triangular:
            raise ValueError(
                f"{local.map.name} must be triangular to be inverted one dimension after another, but is dense: each z "
                "depends on all x"
            )
        self._solve(local)
        return [self._inverted(local, d) for d in range(self.dim + 1)]

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        if name == "corner":
            return self._factor_at(values[1], s, self._local(s))
        column = self._map(s).columns[max(s.d, 1) - 1]
        wanted = self._center[column] + self._unit[column] * values[0]
        return {"j": column + 1, "push": wanted - self.data[s.row, column]}

    def _map(self, s: SimpleNamespace) -> OrderedMap:
        return self.models[getattr(s, "model", next(iter(self.models)))]

    def _local(self, s: SimpleNamespace) -> SimpleNamespace:
        """Return the map at the point: x, z, log|det J| and J, in the map's ordering, too."""
        f = self._map(s)
        pushed = torch.arange(self.dim) == s.j - 1
        x = self.data[s.row] + (s.push * pushed if s.show == "invert" else 0)
        z, ladj, J = f.call_and_jacobian(x)
        J = J + 0 * z.sum()  # where z is NaN or infinite, nothing can be drawn: an error, in words
        rows, columns = torch.tensor(f.rows), torch.tensor(f.columns)
        ordered = J.index_select(0, rows).index_select(1, columns)
        return SimpleNamespace(
            map=f, x=x, z=z, ladj=ladj, J=ordered, diagonal=ordered.diagonal(), log_q=log_normal(z).sum() + ladj
        )

    # ---- push ----------------------------------------------------------------------------------------------------

    def _block(self, s: SimpleNamespace, local: SimpleNamespace) -> tuple[int, Tensor]:
        """Return the place of x_j in the ordering, or the one before the last, and J (2, 2) there and at the next."""
        first = min(local.map.columns.index(s.j - 1), self.dim - 2)
        return first, local.J[first : first + 2, first : first + 2]

    @staticmethod
    def _frame(block: Tensor, factor: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return half the height of the frame, and of that in which it stays until the image has no room in it."""
        (a, c), (_, b) = block.abs().unbind(1)
        largest = torch.maximum(torch.maximum(a, b), torch.tensor(1e-6, dtype=a.dtype))
        still = torch.clamp(0.6 * b + 5.5 * c, 0.8 * largest, 1.7 * largest)
        return torch.maximum(still, 0.6 * b + 0.55 * factor * c), still

    def _factor_at(self, height: float, s: SimpleNamespace, local: SimpleNamespace) -> dict[str, Any]:
        """Return the factor with which the corner, (factor c - b) / 2 high, is as high in its frame as it is now."""
        _, block = self._block(s, local)
        (_, c), (_, b) = block.unbind(1)
        now, still = self._frame(block, s.factor)
        part = height / now
        if abs(c) < 1e-9:
            return {}
        factor = (2 * part * still + b) / c
        if self._frame(block, factor)[0] > still:
            run = c - 1.1 * part * c.abs()
            factor = (1.2 * part * b.abs() + b) / run if run * c > 0 else self.controls["factor"].max
        return {"factor": factor}

    def _pushed(self, s: SimpleNamespace, local: SimpleNamespace) -> dict[str, Any]:
        eye = torch.eye(self.dim, dtype=torch.bool)
        J = torch.where(eye, local.J, s.factor * local.J)
        f, logs = local.map, local.diagonal.abs().log()
        place = f.columns.index(s.j - 1)
        moved = [coordinate("z", f.rows[k]) for k in range(self.dim) if not f.ordered_zeros[k, place]]
        det, ladj = local.diagonal.prod(), logs.sum()
        by_elimination = torch.linalg.slogdet(J).logabsdet
        if not f.triangular:
            det, ladj = torch.linalg.det(J), by_elimination
        product, added = "the product of the diagonal", "the sum of its logarithms"
        if self.dim <= 5 and f.triangular:
            product = " × ".join(bracketed(one) for one in local.diagonal)
            added = summed(logs)
        if not f.triangular:
            product = added = "dense: every entry takes part"
        return {
            "plane": self._parallelogram(s, local),
            "J": self._matrix(s, local, J),
            "readout": {
                "det J": Number(det, product),
                "log|det J|": Number(ladj, added, "nats", more=True),
                "z that x_j moves": Number(len(moved), ", ".join(moved) if len(moved) <= 8 else ""),
                "by elimination": Number(by_elimination, "of the whole J", "nats", more=True),
                "log q(x)": Number(local.log_q, "without the factor", "nats", more=True),
            },
        }

    def _parallelogram(self, s: SimpleNamespace, local: SimpleNamespace) -> Plane:
        """Return the image of the unit square of two inputs, and of the grid around it, from its middle."""
        first, block = self._block(s, local)
        f, eye = local.map, torch.eye(2, dtype=torch.bool)
        across, up = torch.where(eye, block, s.factor * block).unbind(1)
        xs, zs = ([coordinate(name, order[k]) for k in (first, first + 1)]
                  for name, order in (("x", f.columns), ("z", f.rows)))  # fmt: skip
        half, _ = self._frame(block, s.factor)
        middle = (across + up) / 2

        def corners(first: Tensor, second: Tensor) -> Tensor:
            zero = torch.zeros_like(first)
            return torch.stack([zero, first, first + second, second, zero]) - (first + second) / 2

        steps = torch.arange(-90, 91, dtype=half.dtype)[:, None, None]
        ends = torch.tensor([-30.0, 30.0], dtype=half.dtype)[None, :, None]
        grid = torch.cat([steps * up + ends * across, steps * across + ends * up]) - middle
        outline, area = corners(across, up), torch.linalg.det(torch.stack([across, up]))
        pale = {"width": 1.25, "dash": True, "color": "soft", "alpha": 0.8}
        links = [(f"x{f.columns[k] + 1}",) for k in (first, first + 1)]
        thick = [3.5 if f.columns[k] == s.j - 1 else 2.0 for k in (first, first + 1)]
        # The two factors of the area, as rulers that stay where they are.
        wide, sides = 560 / 412 * half, torch.tensor([-0.5, 0.5], dtype=half.dtype)
        across_ruler = torch.stack([sides * across[0], (-0.9 * half).expand(2)], 1)
        up_ruler = torch.stack([(-0.9 * wide).expand(2), sides * up[1]], 1)
        # The square itself, at the same scale, in the corner that the image leaves free.
        unit = corners(*eye.to(half)) + torch.stack([0.9 * wide - 0.5, 0.9 * half - 0.5])
        marks: dict[str, Mark] = {
            "grid": Curves(grid, alpha=0.13),
            "square": Area(unit, alpha=0.12, color="x"),
            "square's edge": Curves(unit, width=1.5, fade=False, color="x"),
            "area before": Label(unit[:2].mean(0), "before: area 1", lift=-11, color="x"),
            "before": Curves(corners(*block.unbind(1)), **pale),
            "its factor": Label(corners(*block.unbind(1))[3], "× 1", lift=9, color="soft", visible=s.factor != 1),
            "image": Area(outline, alpha=0.22, color="z"),
            "edge": Curves(outline, width=1.75, color="z"),
            "rulers": Curves(torch.stack([across_ruler, up_ruler]), width=2.0, visible=f.triangular),
            "width": Label(
                across_ruler.mean(0), f"∂{zs[0]}/∂{xs[0]} = {fixed(across[0])}", lift=11, visible=f.triangular
            ),
            "height": Label(
                up_ruler.mean(0),
                f"∂{zs[1]}/∂{xs[1]} = {fixed(up[1])}",
                angle=torch.tensor(90.0),
                lift=-11,
                visible=f.triangular,
            ),
            "push up": Arrows(
                -middle[None], (up - middle)[None], color="x", label=f"push {xs[1]}", links=links[1], width=thick[1]
            ),
            "push across": Arrows(
                -middle[None], (across - middle)[None], gap=6, color="x", links=links[0], width=thick[0]
            ),
            "area after": Label(torch.zeros(2), f"area {fixed(area.abs())}", size=14, color="z"),
            "corner": Handle(
                across - middle, label=f"push {xs[0]}", help="drag: what is off the diagonal grows or shrinks",
                color="x", step=0.05, links=links[0],
            ),
        }  # fmt: skip
        return Plane(
            marks,
            x=(-wide, wide),
            y=(-half, half),
            ticks=(),
            xlabel=f"how far {zs[0]} moves",
            ylabel=f"how far {zs[1]} moves",
            title=f"Off the diagonal: J × {fixed(s.factor)}",
            note=f"area after / area before = {fixed(area.abs())} / 1 = {self._area_words(local, block)}",
            height=412,
        )

    def _area_words(self, local: SimpleNamespace, block: Tensor) -> str:
        """Return what the area has to do with det J."""
        if self.dim == 2:
            return "|det J|"
        if not local.map.triangular:
            return "|det| of two rows and columns of J"
        return f"{' × '.join(fixed(one.abs()) for one in block.diagonal())}, two factors of |det J|"

    def _matrix(self, s: SimpleNamespace, local: SimpleNamespace, J: Tensor) -> Matrix:
        """Return J with the factor in it, and what each entry is."""
        f, dim = local.map, self.dim
        rows, columns = list(range(dim)), list(range(dim))
        if s.order == "the data's":
            rows, columns = ([order.index(k) for k in range(dim)] for order in (f.rows, f.columns))
        x, z = ([coordinate(name, k) for k in order] for name, order in (("x", f.columns), ("z", f.rows)))

        def note(i: int, j: int) -> str:
            entry = f"∂{z[i]}/∂{x[j]}"
            if f.ordered_zeros[i, j]:
                return f"{entry} = 0: {x[j]} never moves {z[i]}"
            words = f"{entry} = {fixed(J[i, j])}"
            return words if not f.triangular else f"{words}: {'a factor of' if i == j else 'not in'} det J"

        def sort(matrix: Tensor) -> Tensor:
            return matrix.index_select(0, torch.tensor(rows)).index_select(1, torch.tensor(columns))

        written = dim <= WRITTEN
        return Matrix(
            sort(J), sort(f.ordered_zeros), sort(f.ordered_ones), place="side", height=190 if written else 264,
            rows=tuple(z[i] for i in rows) if written else (), columns=tuple(x[j] for j in columns) if written else (),
            notes=tuple(note(i, j) for i in rows for j in columns), row_links=("",) * dim,
            column_links=tuple(f"x{f.columns[j] + 1}" for j in columns), note=f.caption,
        )  # fmt: skip

    # ---- invert --------------------------------------------------------------------------------------------------

    def _solve(self, local: SimpleNamespace) -> None:
        """Add all conditionals and their brackets to what is known at the point; the axis of x counts in ``unit``."""
        f, dim = local.map, self.dim
        center, unit = (part[f.columns] for part in (self._center, self._unit))
        local.at, local.level = (local.x[f.columns] - center) / unit, local.z[f.rows]
        edge = torch.tensor(self._half, dtype=local.x.dtype)
        local.ends = torch.minimum(-edge, local.at.min() - 1), torch.maximum(edge, local.at.max() + 1)
        along = torch.linspace(0, 1, CURVE, dtype=local.x.dtype)[:, None].expand(-1, dim)
        local.grid = local.ends[0] + (local.ends[1] - local.ends[0]) * along
        try:
            curve = f.conditionals(local.x, center + unit * local.grid)
        except ValueError:  # a map may be at home near the data only
            curve = torch.full_like(local.grid, math.nan)
        local.grid, local.curve = _continued(local.grid, curve, local.at, local.level)
        run = local.grid[2:] - local.grid[:-2]
        slope = (local.curve[2:] - local.curve[:-2]) / torch.where(run > 0, run, 1.0)
        density = torch.where(run > 0, slope.abs(), 0.0) * log_normal(local.curve[1:-1]).exp()
        local.density = torch.nn.functional.pad(density / density.amax(0).clamp_min(1e-300), (0, 0, 1, 1))
        low, high = (end.expand(dim) for end in local.ends)
        brackets, falls = [torch.stack([low, high])], local.diagonal < 0
        for _ in range(HALVINGS - 1):
            half = (low + high) / 2
            try:
                reached = f.conditionals(local.x, (center + unit * half)[None])[0]
            except ValueError:
                break
            below = (reached < local.level) ^ falls
            low, high = torch.where(below, half, low), torch.where(below, high, half)
            brackets.append(torch.stack([low, high]))
        local.brackets = torch.stack([*brackets, *[brackets[-1]] * (HALVINGS - len(brackets))])
        local.back = f.solved(local.x, local.z)

    def _inverted(self, local: SimpleNamespace, d: int) -> dict[str, Any]:
        f, logs = local.map, local.diagonal.abs().log()
        k, known = max(d, 1) - 1, torch.arange(self.dim) < d
        x, z = coordinate("x", f.columns[k]), coordinate("z", f.rows[k])
        total = torch.where(known, logs, 0.0).sum()
        found = torch.stack([local.level, torch.where(known, local.x[f.columns], 0.0)])
        unknown = torch.stack([torch.zeros_like(known), ~known])
        names = tuple(coordinate("x", column) for column in f.columns)
        words = "press play: one x is found, then the next"
        if d:
            words = f"{x} = {fixed(local.x[f.columns[k]])}, from {z} = {fixed(local.level[k])}"
        readout = {
            "found": Number(d, words, f"of {self.dim}"),
            "slope": Number(local.diagonal[k], f"∂{z}/∂{x}, the diagonal entry") if d else Number("none yet"),
            "sum of log slopes": Number(total, "log|det J|" if d == self.dim else "log|det J| at the end", "nats"),
            "log q(x)": Number(local.log_q, unit="nats", more=True),
        }
        if local.back is not None:
            off = (local.back - local.x).abs().max()
            readout["each x off by"] = Number(off, "found from z and the exact x before it", more=True)
        return {
            "solve": self._chart(local, k, d > 0),
            "logs": Strip(logs, labels=names, first="z", last="x", title="logarithms of the slopes: click a step"),
            "known": Matrix(
                found, unknown, place="side", title="z is given, x is found", rows=("z", "x"),
                columns=names if self.dim <= WRITTEN else (), height=90, note=f.caption,
            ),
            "readout": readout,
        }  # fmt: skip

    def _chart(self, local: SimpleNamespace, k: int, shown: bool) -> Chart:
        """Return the k-th equation of the ordering, counted from 0: the curve, and the way from z to x."""
        f, (left, right) = local.map, local.ends
        x, z = coordinate("x", f.columns[k]), coordinate("z", f.rows[k])
        at, level, dtype = local.at[k], local.level[k], local.x.dtype
        low = torch.minimum(torch.tensor(-3.4, dtype=dtype), local.level.min() - 0.6)
        high = torch.maximum(torch.tensor(3.4, dtype=dtype), local.level.max() + 0.6)
        tall = high - low
        floor, grid = low.expand(CURVE), local.grid[:, k]
        hill = torch.stack([grid, low + 0.3 * tall * local.density[:, k]], 1)
        hill = torch.cat([hill, torch.stack([grid, floor], 1).flip(0)])
        inside = torch.where((local.curve[:, k] >= low) & (local.curve[:, k] <= high), local.curve[:, k], math.nan)
        curve = torch.cat(_continued(grid[:, None], inside[:, None], at[None], level[None]), 1)
        rows = low - tall * (0.09 + 0.05 * torch.arange(HALVINGS, dtype=dtype))
        brackets = torch.stack([local.brackets[:, :, k], rows[:, None].expand(-1, 2)], -1)
        here, foot, side = torch.stack([at, level]), torch.stack([at, low]), torch.stack([left, level])
        ground = torch.stack([torch.stack([left, low]), torch.stack([right, low])])
        before = [coordinate("x", column) for column in f.columns[:k]]
        title = f"{z} of {x}" + ("" if not k else f", given {', '.join(before)}" if k <= 4 else ", given those before")
        if not self._plain:
            title += f" ({x} in standard deviations)"
        marks: dict[str, Mark] = {
            "density": Area(hill, alpha=0.2, color="x"),
            "ground": Curves(ground, color="soft", alpha=0.7),
            "curve": Curves(curve, width=2.0),
            "q": Label(
                torch.stack([grid[local.density[:, k].argmax()[None]][0], low]), "density", lift=9, size=11, color="x",
                visible=not shown,
            ),
            "across": Arrows(side[None], here[None], width=1.75, gap=8, color="z", visible=shown),
            "down": Arrows(here[None], foot[None], width=1.75, color="x", visible=shown),
            "z": Label(side, f"{z} = {fixed(level)}", anchor="start", shift=4, lift=10, size=13, color="z"),
            "brackets": Curves(brackets, width=2.5, color="x", alpha=0.75, visible=shown),
        }  # fmt: skip
        for n in range(HALVINGS):
            marks[f"bracket {n + 1}"] = Label(
                brackets[n, 0], str(n + 1), anchor="end", shift=-4, size=10, color="soft", visible=shown
            )
        # Beside its arrow, on the side where there is more room.
        found, right_half = f"{x} = {fixed(local.x[f.columns[k]])}", at > (left + right) / 2
        look = {"lift": 10, "size": 13, "color": "x"}
        marks |= {
            "x to the left": Label(foot, found, anchor="end", shift=-8, visible=right_half & shown, **look),
            "x to the right": Label(foot, found, anchor="start", shift=8, visible=~right_half & shown, **look),
            "point": Handle(here, color="x", step=0.1, help=f"drag {x}: how far out does it go?", visible=shown),
        }
        ticks = tuple(range(-60, 61, 2))
        return Chart(
            marks,
            x=(left, right),
            y=(low - 0.4 * tall, high),
            ticks=ticks,
            yticks=(-2, 0, 2),
            axis=False,
            height=286,
            title=title,
        )


class OrderedMap(AnyMap):
    """A copy of a map x -> z of D dimensions, with the order in which its Jacobian is lower triangular.

    Args:
        model: an RNADE, or a map as :class:`~nfteach.jacobian.AnyMap` takes it.
        points: (N, D), points at which it must work.

    Attributes:
        triangular: whether there is such an order.
        rows, columns: the order of outputs and that of inputs; the natural one if there is none.
        ordered_zeros, ordered_ones: (D, D) bool, in that order: entries of J that are 0 or 1 by construction.
        caption: its name and ordering, in words.

    Raises:
        ValueError: if it can't be called with the points, or J is not finite at any of them.
    """

    def __init__(self, model: Any, points: Tensor) -> None:
        super().__init__(model.as_flow() if isinstance(model, RNADE) else model, points=points)
        self.name = "RNADE" if self.name == "TriangularMap" else self.name
        J = self.jacobian(points[:LOOKED_AT])
        J = J[J.flatten(1).isfinite().all(1)]
        if not len(J):
            raise ValueError(f"the Jacobian of {self.name} is NaN or infinite at all of the points looked at")
        structure = recognise(J)
        zeros, ones = structure.zero, structure.one
        found = topological_order(~zeros)
        self._rnade = self.transform.rnade if isinstance(self.transform, TriangularMap) else None
        if self._rnade is not None:  # it knows its ordering; units that are off allow other ones
            ordering = self._rnade.ordering
            found, place = (ordering.tolist(), ordering.tolist()), ordering.argsort()
            zeros, ones = place[:, None] < place[None], torch.zeros_like(ones)
        self.triangular = found is not None
        self.rows, self.columns = map(list, found or (range(self.dim), range(self.dim)))
        self.ordered_zeros, self.ordered_ones = (part[self.rows][:, self.columns] for part in (zeros, ones))
        order = ", ".join(str(column + 1) for column in self.columns)
        self.caption = f"{self.name}, in the ordering {order}." if self.triangular else f"{self.name}: J is dense."

    def solved(self, x: Tensor, z: Tensor) -> Tensor | None:
        """Return the x (D,) that the inverse finds from z (D,); None if there is no inverse.

        Of an RNADE the equations are solved side by side, each given the x (D,) before it, which are known here.
        """
        if self._rnade is not None:
            return self._rnade.conditionals(x).from_normal(z)
        return self.inverse(z) if self.has_inverse else None

    def conditionals(self, x: Tensor, grid: Tensor) -> Tensor:
        """Return z_d (T, D) in the order, along ``grid`` (T, D), whose column d has values of the d-th dimension of it.

        The other dimensions stay at x (D,).
        """
        if self._rnade is not None:
            # Good to z = -37 and 37, and faster than the map itself, which searches for a root.
            here = self._rnade.conditionals(x)
            alpha, mu, sigma = (part[self.columns] for part in (here.alpha, here.mu, here.sigma))
            w = (grid[..., None] - mu) / sigma
            below, above = ((alpha * erfc(side * w / math.sqrt(2))).sum(-1) / 2 for side in (-1, 1))
            return torch.where(below < above, ndtri(below), -ndtri(above))
        order = torch.tensor(self.columns)
        swept = torch.nn.functional.one_hot(order, self.dim).bool()  # (D, D): step, dimension
        points = torch.where(swept, grid[..., None], x)
        images = self(points)  # (T, D, D)
        return images[:, torch.arange(self.dim), self.rows]


def log_normal(z: Tensor) -> Tensor:
    """Return log phi(z) in nats, elementwise."""
    return -0.5 * z * z - 0.5 * math.log(2 * math.pi)


def untrained(ordering: tuple[int, ...], seed: int = 6) -> RNADE:
    """Return an RNADE that is not trained: the same random weights each time, large enough for bent conditionals."""
    with seeded(seed), torch.no_grad():
        rnade = RNADE(len(ordering), hidden=12, components=3, ordering=ordering)
        rnade.W.mul_(1.5)
        for name, size in (("V_alpha", 1.0), ("V_mu", 0.5), ("V_sigma", 0.12)):
            getattr(rnade, name).normal_(0.0, size)
        rnade.b_mu.copy_(torch.tensor([-1.1, 0.0, 1.1]))
        rnade.b_sigma.fill_(-0.9)
    return rnade


def _continued(grid: Tensor, curve: Tensor, at: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Return curves (T, D) that end where their values do: points without one move to the nearest that has one."""
    good, count = curve.isfinite(), len(curve)
    index = torch.arange(count)[:, None].expand_as(curve)
    before = torch.where(good, index, -1).cummax(0).values
    behind = torch.where(good, index, count).flip(0).cummin(0).values.flip(0)
    nearest = torch.where(before >= 0, before, behind.clamp_max(count - 1))
    there = good.any(0)
    along, height = (torch.where(there, part.gather(0, nearest), one) for part, one in ((grid, at), (curve, level)))
    return along, height


def _rows(data: Any, model: Any) -> Tensor:
    """Return the points (N, D) in float64: rows of the data, or draws from the model."""
    if data is not None:
        data = torch.as_tensor(data).detach().cpu()
        if data.dim() != 2 or not len(data) or not data.is_floating_point() or not data.isfinite().all():
            raise ValueError(f"data must be finite real numbers (N, D), but is {data.dtype} {tuple(data.shape)}")
    elif isinstance(model, RNADE):
        data = model.sample((ROWS,), generator=torch.Generator(model.c.device).manual_seed(0))
    elif hasattr(model, "event_shape"):
        data = torch.randn((ROWS, *model.event_shape), generator=torch.Generator().manual_seed(0))
    else:
        raise ValueError("data must be given, (N, D), for a map without a number of dimensions of its own")
    data = data[:ROWS].detach().cpu().double()
    if data.dim() != 2 or not 2 <= data.shape[1] <= LARGEST:
        raise ValueError(f"the map must have 2 to {LARGEST} dimensions, but has {tuple(data.shape[1:])}")
    return data


def _scale_of(data: Tensor) -> tuple[Tensor, Tensor, float, bool]:
    """Return center and unit (D,) of the axes, where they end, and whether they are 0 and 1: for standardised data."""
    center, unit = data.mean(0), data.std(0, correction=0)
    unit = torch.where(unit > 0, unit, 1.0)
    plain = bool((center.abs() < 0.25).all() and ((unit > 0.7) & (unit < 1.4)).all())
    if plain:
        center, unit = torch.zeros_like(center), torch.ones_like(unit)
    half = min(max(4.0, 0.5 + float(((data - center) / unit).abs().max())), 8.0)
    return center, unit, half, plain
