"""The layer stepper: what each layer of a flow does to space, and how the log-determinants add up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.jacobian import AnyMap
from nfteach.jacobian.numbers import bracketed, fixed
from nfteach.jacobian.rng import seeded
from nfteach.plots.grid import grid_lines
from nfteach.widgets.aim import Aim
from nfteach.widgets.contours import contours as outlines
from nfteach.widgets.controls import integer, slider, switch
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Chart, Curves, Density, Dots, Handle, Matrix, Number, Plane, Strip
from nfteach.widgets.planes import Extent, cells, checked_extent, square_around

__all__ = ["LayerStepper"]

_REACH = 3.0  # of the sliders of z
_WIDE = 1.3  # the picture's width over its height
_SLICE = 40  # cells along each side at most, where the density must be made anew for each z
_AT_ONCE = 1024  # points of each frame: a network's activations for all frames stay in the processor's caches
_FOR_GAP = 4000  # samples
_WITNESSES = 12  # points at which an entry must be the same to be so by construction
_FAR = 1e4  # where what runs off to infinity is cut


class LayerStepper(Explorer):
    r"""Step through the layers of a flow: after each its samples, its grid, its density, and one point on its way.

    Frame 0 is the base; frame k is what the first k layers make of it, x_k = f_k(... f_1(z)). Between two frames points
    move along straight lines, which for a coupling is the coupling (1 - a) x + a f(x), and for a planar layer one with
    u scaled. The density after k layers is log q_k(x) = log p(z) - sum of log\|det J_j\| for j up to k, with z found by
    inverting those layers. The strip below has a bar for each layer: the mean of its log\|det J\| over samples; the
    ring is the value at the point. "show J" adds the Jacobian of the layer, and the product J_k ... J_1.

    In more dimensions than two you choose two, i and j. The grid is that of the plane through z in which only z_i and
    z_j vary; what the layers make of that surface is seen in x_i and x_j. The density is that of the points that share
    all other coordinates with the point's image: a slice of q_k.

    Args:
        flow: layers, z to x, in D dimensions, at least two: whatever :class:`~nfteach.jacobian.AnyMap` accepts. A copy
            is taken, in evaluation mode: what is trained later does not show. Without a layer's inverse there is no
            density from that layer on, and the picture says so.
        dim: D, where neither ``flow`` nor ``base`` defines it.
        base: the distribution of z; standard normal by default.
        data: (N, D), drawn behind the samples: what the flow was trained on.
        target: what the flow was aimed at by its free energy, if it was: an energy or a distribution of
            :mod:`nfteach.targets`, or a function, log p of points (N, D) up to a constant. Then the gap of the ELBO
            after each layer is shown, E[log q_k - log p] over samples of q_k, which is KL(q_k||p); where log Z is not
            known (a function, in more than two dimensions), the free energy.
        samples: how many points are drawn from the base.
        extent: (left, right, bottom, top) that is shown at least; by default a square around the samples at all layers.
        resolution: cells along the height of the density; in more than two dimensions at most 40.
        probe: where z begins, (z_1, z_2), or all D numbers: z_i and z_j move, the others stay. By default 0.6 and -0.4
            in turns.
        layer: the frame to begin with; by default the last.

    Controls: ``probe_1``, ``probe_2``, which are z_i and z_j; ``show_J``; if D > 2, ``i`` and ``j``, counted from 1;
    and ``layer``, the frame, from 0 to K. In the picture z, its image and the point between are dragged, where layers
    before can be inverted.

    The readout, at the point: ``layer``; ``layer's log|det|``, ``running log|det|`` (the sum so far),
    ``product's log|det|`` (of the product of Jacobians) and ``log q``, in nats; ``sign of det``. With a target:
    ``ELBO gap, KL(q‖p)`` (or ``free energy``) and ``its standard error``, in nats.

    Raises:
        ValueError: if ``flow`` is no map of vectors of at least two dimensions, or another argument does not fit.

    Example:
        >>> from nfteach import Planar, Stack
        >>> stepper = LayerStepper(Stack(Planar(2), Planar(2), Planar(2)), resolution=20, samples=100)
        >>> stepper.set(layer=2)
        >>> stepper.readout["layer"]
        '2 of 3: Planar'
    """

    help = "Press play: layer by layer [z](z) becomes [x](x). Then drag [z](z): where does it land?"
    alt = "The plane after a layer: the warped grid, samples, their density, and one point on its way"
    step = "layer"
    grid = (3.0, 13)  # before the first layer: its lines reach so far on either side, and are so many

    def __init__(
        self,
        flow: Any,
        *,
        dim: int | None = None,
        base: Distribution | None = None,
        data: Tensor | None = None,
        target: Any = None,
        samples: int = 500,
        extent: tuple[float, float, float, float] | None = None,
        resolution: int = 96,
        probe: Sequence[float] | None = None,
        layer: int | None = None,
    ) -> None:
        self._map = AnyMap(flow, dim=dim, base=base)
        self.dim = self._map.dim
        if len(self._map.event_shape) != 1 or self.dim < 2:
            raise ValueError(
                "flow must map vectors of at least two dimensions, but its events have the shape "
                f"{tuple(self._map.event_shape)}"
            )
        self._layers = self._map.layers or (self._map,)
        self._rest = _probe_of(probe, self.dim)
        self.essential = ("probe_1", "probe_2", *(("i", "j") if self.dim > 2 else ()), "show_J")
        self._resolution = resolution if self.dim == 2 else min(resolution, _SLICE)
        reach, lines = self.grid
        square = (-reach, reach, -reach, reach)
        self._lines = torch.from_numpy(grid_lines(None, square, lines=lines, points=4 * lines - 3)).double()
        self._rough = AnyMap(flow, dim=dim, base=base, dtype=torch.float32)  # which will do for colours
        with torch.no_grad(), seeded(0):
            z = self._map.base.sample((samples,)).double()
        self._points = self._through(z)
        if not self._points.isfinite().all():
            raise ValueError("flow takes samples of the base to infinity or NaN, which can't be shown")
        self._extent = None if extent is None else checked_extent(extent)
        self._data = None if data is None else _checked_data(data, self.dim)[:2000]
        self._means = torch.stack([step.ladj.mean() for step in self._map.steps(z)])
        self._limit = max(1.6 * self._means.abs().max().item(), 0.1)
        self._fixed = self._patterns(z)
        self._gap = None if target is None else self._gap_to(Aim(target, self.dim, self._extent))
        self._still: dict[str, Any] | None = None
        if self.dim == 2:
            self._still = self._seen([0, 1], self._rest, None)
        first = {"probe_1": self._rest[0].item(), "probe_2": self._rest[1].item()}
        super().__init__(**first, layer=len(self._layers) if layer is None else layer)

    def build_controls(self) -> dict[str, Any]:
        names = ("z\u2081", "z\u2082") if self.dim == 2 else ("z\u1d62", "z\u2c7c")
        probes = {f"probe_{k}": slider(name, -_REACH, _REACH, 0.0) for k, name in enumerate(names, start=1)}
        axes = (
            {"i": integer("across, i", 1, self.dim, 1), "j": integer("up, j", 1, self.dim, 2)} if self.dim > 2 else {}
        )
        last = len(self._layers)
        return {**axes, **probes, "show_J": switch("show J", False), "layer": integer("layer", 0, last, last)}

    def pictures(self, s: SimpleNamespace) -> list[dict[str, Any]]:
        axes = [s.i - 1, s.j - 1] if self.dim > 2 else [0, 1]
        if axes[0] == axes[1]:
            raise ValueError(f"two dimensions are shown, but i and j are both {axes[0] + 1}; move one of them")
        probe = self._rest.clone().index_copy(0, torch.tensor(axes), torch.stack([s.probe_1, s.probe_2]))
        self._map.check(probe)
        x, J, ladj = [probe], [torch.eye(self.dim, dtype=probe.dtype)], [probe.new_zeros(())]
        for layer in self._layers:
            y, step, slope = layer.call_and_jacobian(x[-1])
            x, J, ladj = [*x, y], [*J, slope], [*ladj, step]
        way, products = torch.stack(x), [J[0]]
        for slope in J[1:]:
            products.append(slope @ products[-1])
        seen = self._still or self._seen(axes, probe, way)
        running, last = torch.stack(ladj).cumsum(0), len(self._layers)
        log_q = self._map.log_base(probe) - running
        sizes = "areas" if self.dim == 2 else "volumes"
        crowded = s.show_J and not self._beside
        strip = {"height": 64} | ({"width": 236} if s.show_J and self._beside else {})
        pictures = []
        for k in range(last + 1):
            name = self._layers[k - 1].name if k else "the base"
            by_product = torch.linalg.slogdet(products[k])
            pictures.append(
                {
                    "plane": self._plane(k, seen, way[:, axes], axes),
                    "strip": Strip(
                        self._means, dots=torch.stack(ladj[1:]), first="z", last="x", limit=self._limit,
                        title="log|det J| of each layer: mean, \N{WHITE CIRCLE} at z", **strip,
                    ),
                    **(self._jacobians(k, J[k], products[k]) if s.show_J else {}),
                    **self._gap_chart(k),
                    "readout": {
                        "layer": Number(f"{k} of {last}: {name}" if k else "0: the base", more=crowded),
                        "layer's log|det|": Number(ladj[k], unit="nats"),
                        "running log|det|": Number(
                            running[k], unit="nats", note=f"{sizes} at the point × {running[k].exp():.3g}"
                        ),
                        "log q": Number(
                            log_q[k], unit="nats", more=crowded,
                            note=f"log p(z) \N{MINUS SIGN} running = {fixed(log_q[0])} "
                                 f"\N{MINUS SIGN} {bracketed(running[k])}",
                        ),
                        "product's log|det|": Number(by_product.logabsdet, unit="nats", more=True),
                        "sign of det": Number(by_product.sign.long(), more=True),
                        **self._gap_words(k),
                    },
                }
            )  # fmt: skip
        return pictures

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        k = s.layer if name == "z_k" else {"z": 0, "x": len(self._layers)}.get(name)
        if k is None:
            return {}
        point = torch.stack(values)
        if k:
            for layer in reversed(self._layers[:k]):
                point = layer.inverse(point)
            if not point.isfinite().all():
                raise ValueError("the point can't be brought back from there: its z would be at infinity")
        return {"probe_1": point[0], "probe_2": point[1]}

    # ---- what does not depend on z, or only in more than two dimensions ------------------------------------------

    def _through(self, z: Tensor) -> Tensor:
        """Return z (..., D) and where each layer takes it, (K + 1, ..., D)."""
        return torch.stack([z, *(step.output for step in self._map.steps(z))])

    def _seen(self, axes: list[int], probe: Tensor, way: Tensor | None) -> dict[str, Any]:
        """Return the view of two dimensions, and each frame's grid and density there, through z = ``probe``."""
        shown = self._view(axes)
        extent = _widened(shown)
        pixels = cells(extent, (self._resolution, round(_WIDE * self._resolution)))
        lines = probe.expand(*self._lines.shape[:2], -1).clone()
        lines[..., axes] = self._lines
        grid = self._through(lines)[..., axes].nan_to_num(0.0).clamp(-_FAR, _FAR)
        points = pixels.reshape(-1, 2).expand(len(self._layers) + 1, -1, 2)
        if way is not None:
            whole = way[:, None].expand(-1, points.shape[1], -1).clone()
            whole[..., axes] = points.to(whole.dtype)
            points = whole
        logs, excuses = self._log_densities(points.float())
        density = logs.exp().nan_to_num(0.0, posinf=0.0).reshape(-1, *pixels.shape[:2])
        # The tint is strong at the density of a normal whose box is the picture's; of a slice, at half of its highest.
        left, right, bottom, top = shown
        scale: Any = 4.0 / ((right - left) * (top - bottom))
        if self.dim > 2:
            highest = density[0].max()
            scale = torch.where(highest > 0, 0.5 * highest, 1.0)
        return {"shown": shown, "extent": extent, "scale": scale, "grid": grid, "density": density, "excuses": excuses}

    def _view(self, axes: list[int]) -> Extent:
        return self._extent or square_around(self._points[..., axes])

    def _log_densities(self, points: Tensor) -> tuple[Tensor, list[str]]:
        """Return log q_k (K + 1, N) at points (K + 1, N, D) of frame k, and for each frame "" or why it has none."""
        layers = self._rough.layers or (self._rough,)
        excuses, parts = [""] * len(points), []
        for part in points.split(_AT_ONCE, dim=1):
            # The points of all frames go back together: when layer k is reached, those of frame k join.
            z, ladj = part[:0], part.new_zeros((0, part.shape[1]))
            for index in reversed(range(len(layers))):
                z = torch.cat([part[index + 1][None], z])
                ladj = torch.cat([ladj.new_zeros((1, part.shape[1])), ladj])
                try:
                    z, step = (one.float() for one in layers[index].inverse_and_ladj(z))
                    ladj = ladj + step
                except ValueError as error:
                    excuses[index + 1 :] = [excuse or f"no density: {error}" for excuse in excuses[index + 1 :]]
                    z, ladj = torch.zeros_like(z), torch.full_like(ladj, -math.inf)
            z = torch.cat([part[:1], z])
            log_p = self._rough.log_base(z.nan_to_num())
            parts.append(log_p + torch.cat([ladj.new_zeros((1, part.shape[1])), ladj]))
        return torch.cat(parts, dim=1), excuses

    def _patterns(self, z: Tensor) -> list[tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]:
        """Return the zeros and ones by construction of each layer's J and of each product."""
        x = z[:_WITNESSES]
        J = product = torch.eye(self.dim, dtype=z.dtype).expand(len(x), -1, -1)
        patterns = []
        for layer in (None, *self._layers):
            if layer is not None:
                x, _, J = layer.call_and_jacobian(x)
                product = J @ product
            patterns.append(tuple(((part == 0).all(0), (part == 1).all(0)) for part in (J, product)))
        return patterns

    # ---- parts ---------------------------------------------------------------------------------------------------

    def _plane(self, k: int, seen: dict[str, Any], way: Tensor, axes: list[int]) -> Plane:
        last = len(self._layers)
        travelled = {"color": "z", "toward": "x", "shade": k / last}
        left, right, bottom, top = seen["shown"]
        density = Density(seen["density"][k], seen["extent"], scale=seen["scale"], **travelled)
        marks: dict[str, Any] = {"density": density}
        if self._gap is not None and self._gap["contours"] is not None:
            marks["target"] = Curves(self._gap["contours"], width=1.0, color="soft", alpha=0.8, dash=True)
        if self._data is not None:
            marks["data"] = Dots(self._data[:, axes], size=1.2, alpha=0.3, color="ink")
        marks |= {
            "grid": Curves(seen["grid"][k], alpha=0.26),
            "samples": Dots(self._points[k][..., axes], size=1.7, alpha=0.8, **travelled),
            "done": Curves(way[: k + 1] if k else way[:1].expand(2, 2), width=2.0, fade=False, color="ink", fixed=True),
            "to come": Curves(way[k:] if k < last else way[-1:].expand(2, 2), width=1.5, dash=True, alpha=0.5,
                              fade=False, fixed=True),
            "z_k": self._point(way[k], "" if k in (0, last) else _after(k), "ink", not seen["excuses"][k],
                               "drag the point between the layers", shape="dot"),
            "z": Handle(way[0], label="z", help="drag z"),
            "x": self._point(way[-1], "x", "x", not seen["excuses"][last], "drag x: the flow is inverted"),
        }  # fmt: skip
        return Plane(marks, (left, right), (bottom, top), ticks=_ticks(seen["shown"]), note=seen["excuses"][k])

    def _point(
        self, at: Tensor, label: str, color: str, inverted: bool, help: str, shape: str = "ring"
    ) -> Handle | Dots:
        """Return a point that can be dragged where it can be brought back to z."""
        if inverted and self.dim == 2:
            return Handle(at, label=label, color=color, help=help, shape=shape)
        return Dots(at[None], size=6.0, alpha=1.0, labels=(label,), front=True, color=color)

    @property
    def _beside(self) -> bool:
        """Whether the Jacobians stand beside the strip, where they move nothing else; there they must be small."""
        return self.dim == 2 and self._gap is None

    def _jacobians(self, k: int, J: Tensor, product: Tensor) -> dict[str, Any]:
        (zero, one), (zero_so_far, one_so_far) = self._fixed[k]
        size = {"width": 138, "height": 48} if self._beside else {"place": "side", "width": 264, "height": 124}
        title = f"J of layer {k}, at {_after(k - 1) if k > 1 else 'z'}" if k else "J before the first layer"
        return {
            "J": Matrix(J, zero, one, title=title, **size),
            "product": Matrix(
                product, zero_so_far, one_so_far, title=f"J of layers 1 to {k}" if k else "and so far", **size
            ),
        }

    def _gap_to(self, aim: Aim) -> dict[str, Any]:
        """Return E[log q_k - log p] + log Z after each layer; log q comes from the pass that makes the samples."""
        with torch.no_grad(), seeded(0):
            z = self._map.base.sample((_FOR_GAP,)).double()
        steps = self._map.steps(z)
        running = torch.stack([z.new_zeros(len(z)), *(step.running_ladj for step in steps)])
        x = torch.stack([z, *(step.output for step in steps)])
        each = self._map.log_base(z) - running - aim.log_prob(x) + (aim.log_z or 0.0)
        contours = None
        if self.dim == 2:
            view = self._view([0, 1])
            contours = outlines(aim.log_prob(cells(view, (96, 96))).exp(), view)
        gap, error = each.mean(1), each.std(1) / math.sqrt(_FOR_GAP)
        name = "free energy" if aim.log_z is None else "ELBO gap, KL(q‖p)"
        return {"mean": gap, "error": error, "name": name, "contours": contours}

    def _gap_chart(self, k: int) -> dict[str, Any]:
        if self._gap is None:
            return {}
        mean = self._gap["mean"].nan_to_num(0.0).clamp(-_FAR, _FAR)
        line = torch.stack([torch.arange(len(mean), dtype=mean.dtype), mean], 1)
        low, high = min(0.0, float(mean.min())), max(float(mean.max()), 0.1)
        marks = {
            "gap line": Curves(line, width=1.5, color="ink", fade=False),
            "gap here": Dots(line[k][None], size=5.0, color="ink", alpha=1.0, front=True),
        }
        ticks = (0.0, float(f"{high:.1g}"))
        title = f"{self._gap['name']} after each layer (nats)"
        size = {"place": "side", "width": 264, "height": 110}
        return {
            "gap": Chart(marks, (0.0, float(len(mean) - 1)), (low, 1.05 * high), (), yticks=ticks, title=title, **size)
        }

    def _gap_words(self, k: int) -> dict[str, Any]:
        if self._gap is None:
            return {}
        return {
            self._gap["name"]: Number(self._gap["mean"][k], unit="nats", digits=3, more=True),
            "its standard error": Number(self._gap["error"][k], unit="nats", digits=3, more=True),
        }


def _probe_of(probe: Sequence[float] | None, dim: int) -> Tensor:
    given = [] if probe is None else [float(number) for number in probe]
    if probe is not None and len(given) not in (2, dim):
        wanted = "two numbers, (z_1, z_2)" if dim == 2 else f"two numbers, (z_1, z_2), or {dim}"
        raise ValueError(f"probe must be {wanted}, but is {probe!r}")
    rest = torch.tensor([0.6, -0.4] * (dim // 2 + 1), dtype=torch.float64)[:dim]
    rest[: len(given)] = torch.tensor(given, dtype=torch.float64)
    return rest


def _checked_data(data: Any, dim: int) -> Tensor:
    points = torch.as_tensor(data).detach().cpu()
    if points.ndim != 2 or points.shape[1] != dim:
        what = "points of the plane, (N, 2)" if dim == 2 else f"points (N, {dim})"
        raise ValueError(f"data must be {what}, but has the shape {tuple(points.shape)}")
    return points


def _widened(shown: Extent) -> Extent:
    """Return the extent that the picture shows, which is wider than high."""
    left, right, bottom, top = shown
    half = max(_WIDE * (top - bottom), right - left) / 2
    return ((left + right) / 2 - half, (left + right) / 2 + half, bottom, top)


def _ticks(shown: Extent) -> tuple[float, ...]:
    reach = min(abs(end) for end in shown) * 0.8
    step = next(size for size in (100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1) if size <= reach or size == 0.1)
    return (-step, 0.0, step)


def _after(k: int) -> str:
    """Name the point after k layers: z with k in brackets above, since z with k below it is a coordinate."""
    digits = dict(zip("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", strict=True))
    return f"z\u207d{''.join(digits[digit] for digit in str(k))}\u207e"
