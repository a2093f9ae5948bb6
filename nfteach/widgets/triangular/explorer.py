"""The triangular explorer: a map x -> z, its Jacobian in two orders, and its inverse, one dimension after another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nfteach.flows import RNADE
from nfteach.jacobian.numbers import coordinate
from nfteach.widgets.controls import choice, integer, nearest_value, slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.live import LiveFigure
from nfteach.widgets.rounding import without_noise
from nfteach.widgets.triangular.cells import marked
from nfteach.widgets.triangular.maps import OrderedMap, log_normal, untrained
from nfteach.widgets.triangular.picture import Local, Scale, TriangularPicture

__all__ = ["TriangularExplorer"]

ORDERING = (2, 0, 4, 1, 3)  # of the model that is there if none is handed in
LARGEST = 16  # dimensions that the picture has room for
ROWS = 200  # rows of data among which the probe is chosen
CURVE = 121  # points of a conditional's curve


class TriangularExplorer(Explorer):
    r"""A triangular map x -> z at a probe: J in the data's order and in the map's own, and the inverse step by step.

    On top J, J[i, j] = dz_i/dx_j, twice: with the dimensions as in the data, and with rows and columns in the map's
    ordering, where the same numbers are lower triangular. What is zero by construction is grey with a dot. The
    diagonal, framed in green, is q_d(x_d \| x_<d) / phi(z_d), and its logarithms, the bars, add up to log\|det J\|.
    Pushing x_j lights its column; \Delta z is what the push does to z.

    The frames are the inverse: at step d the d-th x of the ordering is found from z_d and the x before it, by going
    from z_d to the curve x_d -> z_d and down. Above the curve is the conditional density; the area left of x_d is
    Phi(z_d). The point on the curve can be dragged: that pushes its dimension.

    Args:
        model: what maps x to z, where z is taken as standard normal: an ``RNADE``; any ``Flow`` or
            ``torch.distributions.Transform`` (of a flow that maps z to x hand in ``flow.inv``); or several, name ->
            model of the same data, for instance RNADEs trained in different orderings. Copies are taken. A map with a
            dense Jacobian is told so and shown all the same. None for an RNADE with random weights, **not trained**.
        data: (N, D), whose rows are the probes, the first 200 of them; None for draws from the first model.
        d: the step to begin with; by default in the middle.
        **state: initial values of controls: ``model`` (a name; of several only), ``row`` (of the data, from 0), ``j``
            (the input that is pushed, from 1), ``push``.

    The readout: ``log|det J|`` as the map tells it, ``sum of log diagonal``, ``slogdet of J`` (nats), ``product of
    diagonal``, ``log q(x)`` (nats); ``z that moved``, a count; ``round trip off by``; and of step d ``found``,
    ``x_d``, ``z_d``, ``diagonal``, ``log q_d`` and ``sum so far`` (nats).

    Raises:
        ValueError: if a model can't be called with the data, the models disagree on D, or D is not from 2 to 16.

    References:
        Rosenblatt (1952), Remarks on a multivariate transformation; Papamakarios et al. (2021), section 2.2,
        https://arxiv.org/abs/1912.02762

    Example:
        >>> explorer = TriangularExplorer(j=3, push=1.0)
        >>> explorer.readout["z that moved"]  # x_3 comes first in the ordering
        5
        >>> explorer.set(j=4, push=1.0)  # and x_4 last
        >>> explorer.readout["z that moved"]
        1
    """

    wide = True
    help = (
        "Push x_j: which z move, and which never do? Then press play: the inverse finds one x after another, "
        "in the ordering. Drag the dot on the curve."
    )
    handles: Mapping[str, tuple[str | None, str | None]] = {"point": ("push", None)}

    def __init__(self, model: Any = None, data: Tensor | None = None, *, d: int | None = None, **state: Any) -> None:
        self._caption = "An RNADE with random weights, not trained: a density and a triangular map all the same."
        if model is None:
            model = untrained(ORDERING)
        else:
            self._caption = ""
        given = dict(model) if isinstance(model, Mapping) else {"": model}
        if not given:
            raise ValueError("model must be a map x -> z, or name -> map with at least one, but is empty")
        self.data = _rows(data, next(iter(given.values())))
        self.dim = self.data.shape[1]
        self.models: dict[str, OrderedMap] = {}
        for name, one in given.items():
            own = getattr(one, "dim", self.dim)
            if own != self.dim:
                raise ValueError(f"the data have {self.dim} dimensions, but the model {name!r} has {own}")
            self.models[str(name)] = OrderedMap(one, self.data)
        self._scale = _scale_of(self.data)
        first = next(iter(self.models.values()))
        ends = (first.columns[0] + 1, first.columns[-1] + 1)
        reach = self._reach()
        self.presets = {
            "push the first of the ordering": {"j": ends[0], "push": 0.5 * reach},
            "push the last": {"j": ends[1], "push": 0.5 * reach},
            "far out in the tail": {"j": ends[1], "push": 2 * reach},
        }
        if len(self.models) > 1:
            self.presets |= {"another ordering": {"model": list(self.models)[1]}}
        super().__init__(**state)
        self.set(d=(self.dim + 1) // 2 if d is None else d)

    def _reach(self) -> float:
        """A push of about one standard deviation, one digit long."""
        size = float(self._scale.unit.max())
        return round(size, -math.floor(math.log10(size)))

    def build_controls(self) -> dict[str, Any]:
        reach = self._reach()
        fine = 10.0 ** math.floor(math.log10(reach) - 1)
        decimals = max(0, -math.floor(math.log10(fine)) + 1)
        controls = {"model": choice("model", list(self.models), next(iter(self.models)))}
        if len(self.models) == 1:
            controls = {}
        return controls | {
            "row": integer("probe: row", 0, len(self.data) - 1, 0),
            "j": integer("j, pushed input", 1, self.dim, 1),
            "push": slider("push x_j by", -2 * reach, 2 * reach, 0.0, step=fine / 10, format=f".{decimals}f"),
        }

    def build_live(self) -> LiveFigure:
        logs = torch.cat([one.log_diagonals for one in self.models.values()])
        self._picture = TriangularPicture(self.dim, self._scale, _limits(logs))
        return self._picture.live

    def set(self, *, d: int | None = None, **state: Any) -> None:
        """Move controls, and go to a step of the inverse, from 0 (nothing is known) to D.

        Raises:
            ValueError: a name that is no control, or a value outside its range; nothing has changed then.
        """
        if d is not None and (isinstance(d, bool) or not isinstance(d, int) or not 0 <= d <= self.dim):
            raise ValueError(f"d must be a whole number from 0 to {self.dim}, but is {d!r}")
        if state or d is None:
            super().set(**state)
        if d is not None and self.live.frames:  # the frames are there already
            self.live.frame = d

    def dragged(self, name: str, x: float, y: float) -> dict[str, Any]:
        """The push that brings the x of this step to where the point is dragged."""
        state = self.state
        column = self._model(state).columns[max(self.live.frame, 1) - 1]
        wanted = self._scale.center[column] + self._scale.unit[column] * x
        push = wanted - float(self.data[state["row"], column])
        return {"j": column + 1, "push": nearest_value(self.controls["push"], push)}

    def _model(self, state: dict[str, Any]) -> OrderedMap:
        return self.models[state["model"]] if "model" in state else next(iter(self.models.values()))

    def compute(self, state: dict[str, Any]) -> dict[str, Any]:
        f, j = self._model(state), state["j"] - 1
        before = self.data[state["row"]]
        x = before.clone()
        x[j] += state["push"]
        (z, z_before), (told, _), (J, _) = f.call_and_jacobian(torch.stack([x, before]))
        if not (z.isfinite().all() and J.isfinite().all()):
            raise ValueError("here the map, or its Jacobian, is NaN or infinite; push less, or choose another row")
        back = f.solved(x, z)
        diagonal = J[f.rows, f.columns]
        center, unit = (torch.from_numpy(part)[f.columns] for part in (self._scale.center, self._scale.unit))
        grid = torch.linspace(-self._scale.half, self._scale.half, CURVE, dtype=torch.float64)[:, None]
        grid_z, density = self._curves(f, x, center + unit * grid)
        slogdet = torch.linalg.slogdet(J).logabsdet.item()
        logs = diagonal.abs().log()
        product = diagonal.prod().item()
        readout = {
            "log|det J|": (without_noise(told.item()), "nats"),
            "sum of log diagonal": (logs.sum().item(), "nats"),
            "slogdet of J": (slogdet, "nats"),
            "product of diagonal": product,
            "log q(x)": ((log_normal(z).sum() + told).item(), "nats"),
            "z that moved": int((z != z_before).sum()),
        }
        if back is not None:
            readout["round trip off by"] = (back - x).abs().max().item()
        local = Local(
            J=marked(J.numpy(), f.zeros.numpy(), f.ones.numpy()),
            rows=f.rows,
            columns=f.columns,
            triangular=f.triangular,
            j=j,
            x=x.numpy(),
            z=z.numpy(),
            moved=(z - z_before).numpy(),
            back=(x if back is None else back).numpy(),
            dets=_words(f, product, logs.sum().item(), slogdet),
            caption=self._caption or _caption(f, state.get("model", "")),
            diagonal=diagonal.numpy(),
            grid=grid.expand(-1, self.dim).numpy(),
            grid_z=grid_z.numpy(),
            density=density.numpy(),
        )
        frames = self._picture.frames(local)
        sums = logs.cumsum(0)
        for d, frame in enumerate(frames):
            frame["label"], frame["readout"] = "nothing is known", dict(readout)
            if d:
                row, column = f.rows[d - 1], f.columns[d - 1]
                frame["label"] = coordinate("x", column)
                frame["readout"] |= {
                    "found": f"{d} of {self.dim}: {coordinate('x', column)}",
                    "x_d": local.back[column],
                    "z_d": z[row].item(),
                    "diagonal": diagonal[d - 1].item(),
                    "log q_d": ((log_normal(z[row]) + logs[d - 1]).item(), "nats"),
                    "sum so far": (sums[d - 1].item(), "nats"),
                }
        # After an error nobody knows what has been drawn. (The frames are told first, and take the error away.)
        failed = bool(self.error)
        self.live.set_frames(frames)
        return self._picture.moves(local, all_again=failed)

    @staticmethod
    def _curves(f: OrderedMap, x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        """z_d and the conditional density along the grid, both (T, D), NaN where the map has no value.

        The highest density of each is 1.
        """
        try:
            grid_z, log_q = f.conditionals(x, grid)
        except ValueError:  # a map may be at home near the data only, and the probe is seen without its curves
            nothing = torch.full_like(grid, math.nan)
            return nothing, nothing
        return grid_z, (log_q - log_q.nan_to_num(-math.inf).amax(0)).exp()


def _words(f: OrderedMap, product: float, total: float, slogdet: float) -> str:
    """On the determinant, by the diagonal and by elimination."""
    end = "of the whole J " if f.triangular else "says otherwise: "
    words = f"product of the diagonal {product:.4g}, its log {total:.4f};  slogdet {end}{slogdet:.4f}"
    return words.replace("-", "\N{MINUS SIGN}")


def _caption(f: OrderedMap, name: str) -> str:
    who = f"{name} ({f.name})" if name and name != f.name else f.name
    if not f.triangular:
        return f"{who}: J is dense, so no ordering is to be seen"
    return f"{who}: z = f(x), ordering {', '.join(str(column + 1) for column in f.columns)}"


def _rows(data: Any, model: Any) -> Tensor:
    """The probes (N, D) in float64: rows of the data, or draws from the model."""
    if data is not None:
        data = torch.as_tensor(data).detach().cpu()
        if data.dim() != 2 or not len(data) or not data.is_floating_point() or not data.isfinite().all():
            raise ValueError(f"data must be finite real numbers (N, D), but is {data.dtype} {tuple(data.shape)}")
    elif isinstance(model, RNADE):
        data = model.sample((ROWS,), generator=torch.Generator(model.c.device).manual_seed(0))
    elif hasattr(model, "event_shape"):
        shape = (ROWS, *model.event_shape)
        data = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    else:
        raise ValueError("data must be given, (N, D), for a map that does not tell its number of dimensions")
    data = data[:ROWS].detach().cpu().double()
    if data.dim() != 2 or not 2 <= data.shape[1] <= LARGEST:
        raise ValueError(f"the explorer shows maps of 2 to {LARGEST} dimensions, but was given {tuple(data.shape[1:])}")
    return data


def _scale_of(data: Tensor) -> Scale:
    """Standardised data as they are; others in standard deviations from the mean, or all would need other axes."""
    center, unit = data.mean(0), data.std(0, correction=0)
    unit = torch.where(unit > 0, unit, 1.0)
    plain = bool((center.abs() < 0.25).all() and ((unit > 0.7) & (unit < 1.4)).all())
    if plain:
        center, unit = torch.zeros_like(center), torch.ones_like(unit)
    half = min(max(4.0, 0.5 + float(((data - center) / unit).abs().max())), 8.0)
    words = "$x_d$" if plain else "$x_d$, in standard deviations"
    return Scale(center.numpy(), unit.numpy(), half, words)


def _limits(logs: Tensor) -> tuple[float, float]:
    """Where log-diagonals (N, D) and their running sums lie, zero included, with room for what a push adds."""
    values = torch.cat([logs, logs.cumsum(1)]).nan_to_num(0.0).clamp(-100, 100).numpy()
    low, high = min(float(values.min()), -0.5), max(float(values.max()), 0.5)
    margin = 0.15 * (high - low)
    return low - margin, high + margin
