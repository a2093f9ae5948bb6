"""The latent explorer: from one real image to another, through the latents of a flow and pixel by pixel."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from nfteach.flows import bits_per_dim
from nfteach.jacobian.any_map import AnyMap
from nfteach.jacobian.numbers import fixed, pick
from nfteach.jacobian.rng import seeded
from nfteach.widgets.controls import choice, integer, row, slider
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Chart, Curves, Gauge, Handle, Label, Number, Pixels

__all__ = ["LatentExplorer", "great_circle", "straight_line"]

STOPS = 9  # images of a path in a row
GRID = 33  # values of t at which log q is drawn
OFFERED = 30  # images to choose from by a click, and whose pairs are compared
DRAWN = 500  # samples of the base, for their norms
TURN = 1e-6  # radians: directions that are nearer to each other, or to opposite, have no great circle of their own


class Way(NamedTuple):
    """Images on a way from a to b: x (T, D), log q(x) (T,) in nats, norms of z (T,)."""

    x: Tensor
    log_q: Tensor
    norm: Tensor


class LatentExplorer(Explorer):
    r"""Two real images, and the way from one to the other through the latents of a flow, beside the mix of pixels.

    Images a and b are taken to their latents z_a and z_b; t goes from one to the other on the straight line, or on the
    great circle, which keeps the norm that samples have; and the flow takes each z_t to an image. The mix of pixels is
    (1 - t) a + t b. Click an image: the path goes on to it. Below stand nine stops of both ways, and log q along them.
    Norms are distances from the base's mean; colours are shown as shades.

    Args:
        flow: z -> x, with an inverse: a ``FlowDistribution`` or ``TransformedDistribution``, which bring their base; a
            ``Flow``; a ``torch.distributions.Transform``; a module that returns x or (x, log-det) and has ``.inverse``;
            or a pair of such functions, (forward, inverse). A copy is taken. A log-det that it does not return is found
            by autograd, which is slower.
        images: (N, D) or (N, C, H, W), real data as the flow makes it, such as dequantised pixels or their logits.
        shape: (H, W), or (C, H, W).
        base: the distribution of z; by default the flow's own, or standard normal.
        levels: how many values a pixel had, if x is dequantised to [0, 1): then bits/dim are shown, too.
        state: initial values of controls.

    Controls (for :meth:`set`): ``t``, from 0 to 1; ``path``, "line" or "circle"; ``temperature``, by which latents
    (their distance from the base's mean) are multiplied: below 1 the ends of the way are no longer a and b; ``a`` and
    ``b``, numbers of images, counted from 0. Presets name the pairs, among the first thirty images, for which log q
    half way differs most, and least, between path and mix.

    The readout: ``log q(x)`` of the image at t in nats, with ``levels`` also its ``bits/dim``; ``log q of the mix``;
    the ``norm of z`` at t and the ``norm of the mix's z``; ``a comes back off by``, the largest difference of a pixel
    between image a and what the flow makes of z_a. A note says in how many of the pairs the mix is the less likely one.

    Raises:
        ValueError: if ``flow`` or ``images`` is missing, they do not fit each other, or the flow has no inverse.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), section 4.2 and figure 5,
        https://arxiv.org/abs/1605.08803

    Example:
        >>> from torch.distributions import AffineTransform
        >>> images = torch.linspace(0, 1, 12).reshape(3, 4)
        >>> explorer = LatentExplorer(AffineTransform(0.5, 0.25), images, shape=(2, 2), a=0, b=2, t=0.5, path="line")
        >>> {name: round(value, 3) for name, value in explorer.readout.items() if "log q" in name}
        {'log q(x)': 1.539, 'log q of the mix': 1.539}
    """

    help = "Drag the ring. [Through the latents](z) strokes bend and move; [the mix](x) shows both digits at once."
    alt = "two images on the way from one to another, through the latents and as a mix of pixels, stops, and log q"
    essential = ("t", "path", "temperature")
    main = 496

    def __init__(
        self,
        flow: Any = None,
        images: Any = None,
        shape: tuple[int, ...] = (8, 8),
        *,
        base: Distribution | None = None,
        levels: int | None = None,
        **state: Any,
    ) -> None:
        if flow is None or images is None:
            missing = "flow, z -> x," if flow is None else "images, (N, D),"
            raise ValueError(f"{missing} must be given: LatentExplorer(flow, images) shows a flow of your own")
        self.shape = _checked_shape(shape)
        self.images = _checked_images(images, self.shape)
        if levels is not None:
            bits_per_dim(0.0, self.dim, levels)  # refuses what is not a number of levels
        self.levels = levels
        self.flow = _flow_of(flow, base, self.shape)
        with seeded(0):
            drawn = self.flow.base.sample((DRAWN,)).double().reshape(DRAWN, self.dim)
        self.mean = _mean_of(self.flow.base, self.dim)
        low, high = (drawn - self.mean).norm(dim=1).quantile(torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
        self._norms = low, high
        with torch.no_grad():
            self._z = self.flow.inverse(self.images) - self.mean
            self._off = (self.flow(self._z + self.mean) - self.images).abs().amax(1)
        self._gaps = self._compared()
        super().__init__(**state)

    @property
    def dim(self) -> int:
        """The number D of pixels."""
        return self.images.shape[1]

    def build_controls(self) -> dict[str, Any]:
        last = len(self.images) - 1
        return {
            "t": slider("t, from a to b", 0, 1, 0.5, step=0.02),
            "path": choice("path", {"line": "line", "great circle": "circle"}, "circle"),
            "temperature": choice("temperature", {"1": 1.0, "0.7": 0.7, "0": 0.0}, 1.0),
            "a": integer("image a", 0, last, 0, traced=True),
            "b": integer("image b", 0, last, min(1, last), traced=True),
        }

    # ---- ways ----------------------------------------------------------------------------------------------------

    def _path(self, a: Tensor, b: Tensor, t: Tensor, path: str, temperature: float) -> Way:
        """Return the images (T, D) through the latents, at t (T,)."""
        z = temperature * PATHS[path](row(self._z, a), row(self._z, b), t)
        x, ladj = self.flow.call_and_ladj(z + self.mean)
        return Way(x, self.flow.log_base(z + self.mean) - ladj, z.norm(dim=1))

    def _mix(self, a: Tensor, b: Tensor, t: Tensor) -> Way:
        """Return the mixes of pixels (T, D), at t (T,)."""
        x = straight_line(row(self.images, a), row(self.images, b), t)
        z, ladj = self.flow.inverse_and_ladj(x)
        return Way(x, self.flow.log_base(z) + ladj, (z - self.mean).norm(dim=1))

    def _ways(self, a: Tensor, b: Tensor, temperature: float) -> dict[str, Way]:
        """Return all ways between two images, at 33 values of t."""
        t = torch.linspace(0, 1, GRID, dtype=torch.float64)
        ways = {path: self._path(a, b, t, path, temperature) for path in PATHS} | {"mix": self._mix(a, b, t)}
        for name, way in ways.items():
            if not all(part.isfinite().all() for part in way):
                where = "the mix of pixels" if name == "mix" else f"the {name} between their latents"
                raise ValueError(f"on {where} an image, its latent or log q is NaN or infinite; choose other images")
        return ways

    @torch.no_grad()
    def _compared(self) -> Tensor:
        """Return, for pairs of images half way, a, b and log q of the great circle less that of the mix, (pairs, 3)."""
        n = min(len(self.images), OFFERED)
        pairs = torch.combinations(torch.arange(n))
        if not len(pairs):
            return torch.zeros(0, 3, dtype=torch.float64)
        half = torch.tensor([0.5], dtype=torch.float64)
        middle = torch.cat([great_circle(self._z[a], self._z[b], half) for a, b in pairs.tolist()]) + self.mean
        through = self.flow.log_base(middle) - self.flow.call_and_ladj(middle)[1]
        gaps = through - self.flow.log_prob(self.images[pairs].mean(1))
        kept = gaps.isfinite()
        return torch.cat([pairs.double(), gaps[:, None]], 1)[kept]

    @property
    def presets(self) -> dict[str, dict[str, Any]]:
        """Half way, and the pairs of images that differ most and least there."""
        found: dict[str, dict[str, Any]] = {"half way": {"t": 0.5}}
        if len(self._gaps) > 1:
            for name, k in (("largest gap", self._gaps[:, 2].argmax()), ("smallest gap", self._gaps[:, 2].argmin())):
                a, b = self._gaps[k, :2].long().tolist()
                found[name] = {"a": a, "b": b}
        return found

    # ---- the picture ---------------------------------------------------------------------------------------------

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        ways, t = self._ways(s.a, s.b, s.temperature), s.t[None]
        here, mix = self._path(s.a, s.b, t, s.path, s.temperature), self._mix(s.a, s.b, t)
        stops = slice(None, None, (GRID - 1) // (STOPS - 1))
        rows = torch.cat([ways[s.path].x[stops], ways["mix"].x[stops]])
        offered = self.images[:OFFERED]
        chosen = torch.stack([torch.where(one < len(offered), one, -1.0) for one in (s.a, s.b)])
        return {
            "large": Pixels(
                self._ink(torch.cat([here.x, mix.x])), titles=("through the latents", "mix of pixels"), per_row=2,
                width=496,
            ),
            "stops": Pixels(
                self._ink(rows), per_row=STOPS, outline=torch.zeros(2 * STOPS, *self.shape[1:], dtype=torch.bool),
                chosen=torch.stack([torch.round(s.t * (STOPS - 1)), torch.round(s.t * (STOPS - 1)) + STOPS]),
                gesture="choose", width=496, help="click a stop to go there",
            ),
            "chart": self._chart(s, ways, here),
            "images": Pixels(
                self._ink(offered), per_row=8, chosen=chosen, place="side", gesture="choose", width=328,
                outline=torch.zeros(len(offered), *self.shape[1:], dtype=torch.bool),
                title="click an image to go on to it", help="the path goes on to the image that is clicked",
            ),
            "readout": self._numbers(s, ways, here, mix),
        }  # fmt: skip

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        if name == "images":
            return {"a": s.b, "b": values[0]}
        if name == "stops":
            return {"t": values[0] % STOPS / (STOPS - 1)}
        return super().drag(name, s, *values)

    def _ink(self, images: Tensor) -> Tensor:
        """Return images (N, D) as ink (N, H, W), from the lowest to the highest value of all images given."""
        low, high = self.images.min(), self.images.max()
        ink = ((images - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        return ink.reshape(-1, *self.shape).mean(1)

    def _chart(self, s: SimpleNamespace, ways: dict[str, Way], here: Way) -> Chart:
        """Return log q along the ways, with a ring at t on the path."""
        t = torch.linspace(0, 1, GRID, dtype=torch.float64)
        levels = torch.cat([way.log_q for way in ways.values()]).float()  # precise to less than a pixel
        low, high = levels.amin(), levels.amax()
        rounding = 1e-5 * (1 + high.abs())  # a flow may compute in float32
        room = torch.where(high - low > rounding, 0.12 * (high - low), 1.0)
        curves = {
            f"log q, {name}": Curves(torch.stack([t, ways[name].log_q], -1), width=2.0, color=color, fade=False)
            for name, color in (("mix", "x"), (s.path, "z"))
        }
        higher = ways[s.path].log_q[25] > ways["mix"].log_q[25] + rounding
        above = torch.where(higher, 0.2, -0.2) * (high - low + 2 * room)
        words = {
            "name of the path": Label(torch.stack([t[25], ways[s.path].log_q[25] + above]), NAMES[s.path], color="z"),
            "name of the mix": Label(torch.stack([t[25], ways["mix"].log_q[25] - above]), "mix of pixels", color="x"),
        }
        ring = Handle(torch.cat([s.t[None], here.log_q]), x="t", help="drag: t", step=0.02)
        return Chart(
            curves | words | {"t": ring}, x=(-0.02, 1.02), y=(low - 2 * room, high + 2 * room), ticks=(),
            yticks=_ticks(low, high), axis=False, width=496, height=104, title="log q along the way, in nats",
        )  # fmt: skip

    def _numbers(self, s: SimpleNamespace, ways: dict[str, Way], here: Way, mix: Way) -> dict[str, Number]:
        half, (low, high) = GRID // 2, self._norms
        middles = [f"half way: {fixed(ways[name].log_q[half], 1, high=1e6)}" for name in (s.path, "mix")]
        short = here.norm[0] < low
        length = pick(short, pick(here.norm[0] > high, "as long as", "longer than"), "shorter than")
        usual = f"{middles[1]}; lower in {int((self._gaps[:, 2] > 0).sum())} of {len(self._gaps)} pairs"
        gauge = Gauge((0.0, round(1.3 * high, 1)), (round(low, 1), round(high, 1)), (0.0, low), color="z")
        numbers = {
            "log q(x)": Number(here.log_q[0], unit="nats", digits=1, note=middles[0]),
            "log q of the mix": Number(mix.log_q[0], unit="nats", digits=1, note=usual),
            "norm of z": Number(here.norm[0], bad=short, gauge=gauge,
                                note=f"{length} those of samples"),
            "norm of the mix's z": Number(mix.norm[0], more=True),
            "a comes back off by": Number(row(self._off, s.a), more=True),
        }  # fmt: skip
        if self.levels is not None:
            numbers["bits/dim"] = Number(bits_per_dim(here.log_q[0], self.dim, self.levels), more=True)
        return numbers


def straight_line(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return (1 - t) a + t b, (T, D), for a and b (D,) and t (T,)."""
    return (1 - t)[:, None] * a + t[:, None] * b


def great_circle(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    r"""Return the points from a to b at an even turn, (T, D), for a and b (D,) and t (T,): "slerp".

    The direction is sin((1 - t) w) a / |a| + sin(t w) b / |b|, over sin w, with w the angle between a and b; the norm
    goes evenly from |a| to |b|. Where the two are orthogonal and of one norm, as independent normal vectors of many
    dimensions nearly are, this is cos(phi) a + sin(phi) b with phi = t pi / 2, the paper's path. Where a and b point
    the same way, or opposite ways, it is the straight line.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), section 4.2, equation 19,
        https://arxiv.org/abs/1605.08803; Animating Rotation with Quaternion Curves (Shoemake, 1985)
    """
    norms = a.norm(), b.norm()
    ways = a / norms[0], b / norms[1]
    # An angle that is exact near 0 and near pi, too, where the arc cosine is not; NaN where a norm is 0.
    angle = 2 * torch.atan2((ways[0] - ways[1]).norm(), (ways[0] + ways[1]).norm())
    direction = torch.sin((1 - t) * angle)[:, None] * ways[0] + torch.sin(t * angle)[:, None] * ways[1]
    norm = (1 - t) * norms[0] + t * norms[1]
    turns = (angle > TURN) & (angle < math.pi - TURN)
    return torch.where(turns, direction / torch.sin(angle) * norm[:, None], straight_line(a, b, t))


def _ticks(low: Tensor, high: Tensor) -> tuple[Tensor, ...]:
    """Return five round numbers from low on; those beyond high are left out by the chart's range."""
    third = ((high - low) / 3).clamp_min(1e-9)
    power = 10 ** torch.floor(torch.log10(third))
    steps = [power * step for step in (1.0, 2.0, 5.0, 10.0)]
    step = steps[-1]
    for smaller in steps[-2::-1]:
        step = torch.where(3 * third <= 4 * smaller, smaller, step)
    first = torch.ceil(low / step)
    return tuple((first + k) * step for k in range(5))


#: Value of the control "path" -> the path, and what it is called.
PATHS = {"line": straight_line, "circle": great_circle}
NAMES = {"line": "straight line", "circle": "great circle"}


def _flow_of(flow: Any, base: Distribution | None, shape: tuple[int, int, int]) -> AnyMap:
    """Return the flow as a map of vectors (D,), or of images where it refuses those."""
    inverse = None
    if isinstance(flow, tuple | list):
        if len(flow) != 2 or not all(callable(one) for one in flow):
            raise ValueError("flow must be a flow, or a pair of functions (forward, inverse)")
        flow, inverse = flow
    refusals = []
    for dim in (math.prod(shape), shape, shape[1:]):
        if math.prod(dim if isinstance(dim, tuple) else (dim,)) != math.prod(shape):
            continue
        try:
            made = AnyMap(flow, dim=dim, base=base, inverse=inverse, dtype=None)
        except ValueError as error:
            refusals.append(ValueError(str(error).replace("transform must", "flow must", 1)))
            continue
        if made.has_inverse:
            return made
        refusals.append(
            ValueError(f"flow must have an inverse, to find the latents of images, but {made.name} has none")
        )
    raise refusals[0]


def _mean_of(base: Distribution, dim: int) -> Tensor:
    try:
        mean = base.mean.double().reshape(dim)
    except NotImplementedError:
        return torch.zeros(dim, dtype=torch.float64)
    return mean if mean.isfinite().all() else torch.zeros(dim, dtype=torch.float64)


def _checked_shape(shape: Any) -> tuple[int, int, int]:
    whole = (
        isinstance(shape, tuple | list) and len(shape) in (2, 3) and all(isinstance(n, int) and n > 0 for n in shape)
    )
    if not whole or (len(shape) == 3 and shape[0] not in (1, 3)):
        raise ValueError(f"shape must be (H, W), or (C, H, W) with C 1 or 3, but is {shape!r}")
    return (1, *shape)[-3:]


def _checked_images(images: Any, shape: tuple[int, int, int]) -> Tensor:
    """Return the images as (N, D) in float64."""
    images = torch.as_tensor(images).detach().cpu()
    dim = shape[0] * shape[1] * shape[2]
    if images.dim() < 2 or not len(images) or images[0].numel() != dim:
        raise ValueError(f"images must be (N, {dim}), for images of {shape}, but has the shape {tuple(images.shape)}")
    if images.is_complex() or not images.isfinite().all():
        raise ValueError("images must be finite real numbers, but some are NaN, infinite or complex")
    return images.reshape(len(images), dim).double()
