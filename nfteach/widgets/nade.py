"""The NADE stepper: paint the first pixels of an image, and a NADE draws the others, one by one."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from nfteach.flows import NADE, pixel_ordering
from nfteach.flows.roots import repeat
from nfteach.jacobian.numbers import fixed, pick
from nfteach.widgets.controls import choice, hidden, integer, row, switch
from nfteach.widgets.explorer import Explorer
from nfteach.widgets.parts import Bars, Chart, Dots, Gauge, Handle, Label, Number, Pixels

__all__ = ["NADEStepper"]

OWN = "the model's own"
ORDERINGS = ("raster", "reverse", "spiral", "random")
LEVEL = ("raster", "reverse")  # orderings in which the pixels that are yours are whole rows
ENDINGS, DRAWS, OFFERED = 6, 100, 6
LATER = 0.22  # ink of a pixel of yours that comes after the step that is shown
OPEN = 0.12  # ink of a pixel that is not drawn yet
LOWEST, HIGHEST = -4.5, 2.0  # nats: the ends of the strip; sums stand above zero
CUT = -3.6  # nats: a longer bar ends here, above a wedge


class NADEStepper(Explorer):
    """A digit of which some pixels are painted and a NADE draws the others, one pixel a step along an ordering.

    The first ``given`` pixels of the ordering are yours: paint them. Six endings are drawn by the model; its random
    numbers stay while you paint, so an ending changes only where your pixel changed it. Below stands log p of each
    pixel given those before it; a bar that is too long for the strip ends at a wedge. Click a pixel of the model's, or
    move ``step``, to see the image as it was known then, and the probability of the next pixel: "?" stands for what is
    not drawn yet. Another click on that pixel, or "see all", leads back.

    Args:
        nade: a model, of which a copy is taken. Whatever its own ordering, it can be walked in the others.
        images: (N, D), zeros and ones, to begin with; None to begin with an empty image.
        shape: (height, width) of an image; their product is D.
        state: initial values of controls.

    Controls (for :meth:`set`): ``given`` (pixels that are yours, a whole number of rows' worth of them), ``step`` (1 to
    D; at D, all is seen), ``ordering`` ("raster", "reverse", "spiral", "random", always the same one, or, where it is
    none of these, "the model's own"), ``ending`` (1 to 6), ``draw`` (another number, other endings), ``show_p``,
    ``pixels`` (the image, D zeros and ones, as a text or tensor) and, with images, ``image`` (counted from 0), which
    replaces ``pixels``.

    Raises:
        ValueError: if ``nade`` is not a NADE, or ``images`` or ``shape`` do not go with it.

    Example:
        >>> stepper = NADEStepper(NADE(9, hidden=4), shape=(3, 3), ordering="spiral", given=3)
        >>> stepper.set(step=5, pixels="011000000")
        >>> stepper.readout["pixel"]
        '5 of 9, row 3, column 3'
    """

    help = "Paint above the line. The model draws [the rest](x), pixel by pixel: six endings."
    alt = "an image whose first pixels are yours and whose others a NADE has drawn, with log p of each and six endings"
    essential = ("given", "ordering")
    main = 384

    def __init__(self, nade: NADE, images: Tensor | None = None, shape: tuple[int, int] = (8, 8), **state: Any) -> None:
        if not isinstance(nade, NADE):
            raise ValueError(f"nade must be a NADE, but is a {type(nade).__name__}")
        if len(shape) != 2 or shape[0] * shape[1] != nade.dim:
            raise ValueError(f"shape must be (height, width) with {nade.dim} pixels in all, but is {tuple(shape)}")
        self.nade = copy.deepcopy(nade).cpu().double().requires_grad_(False)
        self.shape = int(shape[0]), int(shape[1])
        self.images = None if images is None else self._usable(images)
        self._orderings = {
            name: pixel_ordering(name, *self.shape, generator=torch.Generator().manual_seed(0)) for name in ORDERINGS
        }
        own = [name for name, ordering in self._orderings.items() if ordering.equal(self.nade.ordering)]
        if not own:
            self._orderings[OWN] = self.nade.ordering
        self._own = own[0] if own else OWN
        generators = [torch.Generator().manual_seed(draw) for draw in range(DRAWS)]
        # The random numbers of all drawings (drawings, D, endings): single precision, for they travel to the page.
        self._uniform = torch.stack(
            [torch.rand(ENDINGS, nade.dim, generator=one, dtype=torch.float64).T.float() for one in generators]
        )
        self.presets = {
            "again": lambda s: {"draw": (s.draw + 1) % DRAWS},
            "keep its next row": lambda s: {
                "pixels": row(self._finished(s)[0], s.ending - 1),
                "given": (s.given + self.shape[1]).clamp_max(nade.dim),
            },
            "see all": {"step": nade.dim},
            "clear": lambda s: {
                "pixels": torch.zeros(nade.dim),
                "step": nade.dim,
                # Where all pixels are yours, an empty image would stay empty.
                "given": torch.where(s.given < nade.dim, s.given, self._half),
            },
        }
        if self.images is not None:
            self.followers = {"image": lambda s: {"pixels": row(self.images, s.image)}}
        super().__init__(**state)

    def _usable(self, images: Tensor) -> Tensor:
        images = torch.as_tensor(images).detach().cpu().double()
        if images.dim() != 2 or not len(images):
            raise ValueError(
                f"images must be (N, {self.nade.dim}) with N at least 1, but has shape {tuple(images.shape)}"
            )
        return self.nade.check_input(images)

    @property
    def _half(self) -> int:
        """The number of pixels in the upper half of the rows."""
        return (self.shape[0] + 1) // 2 * self.shape[1]

    def build_controls(self) -> dict[str, Any]:
        D, width = self.nade.dim, self.shape[1]
        start = torch.zeros(D) if self.images is None else self.images[0]
        controls = {
            "given": integer("pixels that are yours", 0, D, self._half, traced=True),
            "step": integer("step", 1, D, D, traced=True),
            "ordering": choice("ordering", list(self._orderings), self._own),
            "ending": integer("ending", 1, ENDINGS, 1, traced=True),
            "draw": integer("drawing", 0, DRAWS - 1, 0, traced=True),
            "show_p": switch("show p in place of drawn pixels", False),
            "pixels": hidden(self._bits("pixels", start), self._bits, traced=True),
        }
        controls["given"].step = width
        if self.images is not None:
            controls["image"] = integer("begin with image", 0, len(self.images) - 1, 0, traced=True)
        return controls

    # ---- the painted pixels: a text of zeros and ones ------------------------------------------------------------

    def _bits(self, name: str, value: Any) -> str:
        """Return D zeros and ones as a text."""
        D = self.nade.dim
        text = "".join(f"{one:g}" for one in value.flatten().tolist()) if isinstance(value, Tensor) else value
        if not isinstance(text, str) or len(text) != D or set(text) - {"0", "1"}:
            raise ValueError(f"{name} must be {D} zeros and ones, as a text or a tensor, but is {value!r}")
        return text

    # ---- the picture ---------------------------------------------------------------------------------------------

    def picture(self, s: SimpleNamespace) -> dict[str, Any]:
        D, (height, width) = self.nade.dim, self.shape
        ordering = self._orderings[s.ordering]
        rank = ordering.argsort()
        mine, seen = rank < s.given, rank < s.step
        x, logits = self._finished(s)
        log_p = logsigmoid((2 * x - 1) * logits)  # (endings, D)
        drawn, k = (log_p * ~mine).sum(-1), s.ending - 1
        x, p, log_p, all_x = row(x, k), row(logits, k).sigmoid(), row(log_p, k), x
        to_come = ~mine & ~seen
        shown = torch.where(mine | torch.tensor(not s.show_p), x, p) * torch.where(seen, 1.0, LATER)
        hue = (~mine).to(torch.uint8)
        level = s.ordering in LEVEL
        border = s.given / width if s.ordering == "raster" else height - s.given / width
        parts: dict[str, Any] = {}
        at, why = self._looked_at(s, ordering, x, p, log_p)
        images = (-1, height, width)
        parts["canvas"] = Pixels(
            torch.where(to_come, OPEN, shown).reshape(images), (hue + to_come).reshape(images), ("ink", "x", "soft"),
            gesture="paint", paintable=mine.reshape(images),
            words=tuple(pick(one, "", "?") for one in to_come),
            outline=None if level else mine.reshape(images),
            lit=torch.stack([torch.zeros_like(at), at // width, at % width]),
            border=border if level else None, border_help="drag the line: how many pixels are yours",
            order=((rank - s.given + 1) / (D - s.given).clamp_min(1)).reshape(height, width), width=384, height=384,
            notes=self._notes(rank, mine, x, p, log_p), help="arrow keys and space paint, too",
            note=self._hint(s),
        )  # fmt: skip
        parts["strip"] = self._strip(s, mine[ordering], seen[ordering], log_p[ordering])
        parts["endings"] = Pixels(
            all_x.reshape(images), hue.expand(ENDINGS, D).reshape(images), ("ink", "x"), per_row=3, chosen=k,
            titles=tuple(fixed(value, 1) for value in drawn), gesture="choose",
            title="six endings, and their log p", help="click an ending to see it large",
            order=((rank - s.given + 1) / (D - s.given).clamp_min(1)).reshape(height, width), place="side", width=330,
        )  # fmt: skip
        if self.images is not None:
            offered = self.images[:OFFERED]
            same = (offered == s.pixels).all(-1)
            parts["begin"] = Pixels(
                offered.reshape(images), outline=torch.zeros(len(offered), height, width, dtype=torch.bool),
                per_row=OFFERED, gesture="choose", place="side", width=330,
                chosen=torch.where(same.any(), same.double().argmax(), -1), title="begin with", help="click an image",
            )  # fmt: skip
        yours, rest = (log_p * mine).sum(), row(drawn, k)
        parts["readout"] = {
            "p(x = 1 | the pixels before)": Number(row(p, at), note=why, digits=3, gauge=Gauge((0.0, 1.0), (0, 1))),
            "log p, yours": Number(yours, unit="nats", more=True),
            "log p, the model's": Number(rest, unit="nats", more=True),
            "log p of the image": Number(yours + rest, unit="nats", more=True),
            "pixel": Number(self._place(row(rank, at), at), more=True),
            "log p of the pixel": Number(row(log_p, at), unit="nats", more=True),
        }
        return parts

    def _finished(self, s: SimpleNamespace) -> tuple[Tensor, Tensor]:
        """Return six images (6, D) that begin with the painted pixels, and the logits (6, D) of all of their pixels.

        The random number of a pixel depends on ``draw`` alone: an ending changes only where the pixels before it do.
        """
        nade, ordering = self.nade, self._orderings[s.ordering]
        places, mine = torch.arange(nade.dim), ordering.argsort() < s.given
        # A pixel of yours is one whose random number leaves no choice.
        level = torch.where(mine[:, None], 2.0 - 3 * s.pixels[:, None], row(self._uniform, s.draw))
        parts = nade.V, nade.b[:, None], nade.W.T, *([] if nade.M is None else [nade.M.T]), level
        table, sizes = torch.cat(parts, 1), [part.shape[1] for part in parts]

        def draw(d: Tensor, a: Tensor, found: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            i = row(ordering, d)
            v, b, w, *seen, u = row(table, i).split(sizes)
            logit = torch.sigmoid(a) @ v + b
            x = (u < torch.sigmoid(logit)).double()
            a = sum(seen, torch.addcmul(a, x[:, None], w))
            return d + 1 < nade.dim, (d + 1, a, torch.where(places == i, torch.stack([x, logit])[..., None], found))

        begin = torch.zeros((), dtype=torch.long), nade.c.expand(ENDINGS, -1).clone()
        *_, found = repeat(draw, (*begin, torch.zeros(2, ENDINGS, nade.dim, dtype=torch.float64)), nade.dim)
        return found[0], found[1]

    def _looked_at(
        self, s: SimpleNamespace, ordering: Tensor, x: Tensor, p: Tensor, log_p: Tensor
    ) -> tuple[Tensor, str]:
        """Return the pixel of the step, or at the end one that is worth a look, and a line about it."""
        D, places = self.nade.dim, torch.arange(self.nade.dim)
        on_the_way, free = s.step < D, s.given < D
        unsure = torch.where(places < s.given, 1.0, (p[ordering] - 0.5).abs()).argmin()
        at = torch.where(free, row(ordering, unsure), log_p.argmin())
        at = torch.where(on_the_way, row(ordering, s.step - 1), at)
        then = pick(s.step > s.given, "you painted", "the model drew")
        end = pick(free, "the greatest surprise: you painted", "where it was least sure, it drew")
        return at, f"{pick(on_the_way, end, then)} {row(x, at):.0f}, log p {_nats(row(log_p, at))}"

    def _hint(self, s: SimpleNamespace) -> str:
        D, ordering = self.nade.dim, s.ordering
        rest = "Pixels with an edge are yours. Point at any, or click one of the model's."
        if not self.nade.order_agnostic and ordering != self._own:
            rest = f"The model learned {'its own' if self._own == OWN else self._own} order only: poor guesses."
        elif ordering in LEVEL:
            rest = "Point at a pixel, or click one of the model's."
        end = pick(s.given == D, rest, "All pixels are yours: drag the line up, or clear.")
        return pick(s.step < D, end, f"Step {s.step:.0f} of {D}: ? is not drawn yet. To go back: see all.")

    def _place(self, rank: Tensor, at: Tensor) -> str:
        width = self.shape[1]
        return f"{rank + 1} of {self.nade.dim}, row {at // width + 1}, column {at % width + 1}"

    def _notes(self, rank: Tensor, mine: Tensor, x: Tensor, p: Tensor, log_p: Tensor) -> tuple[str, ...]:
        """Return one sentence a pixel."""
        return tuple(
            f"Pixel {d + 1}: p(x = 1 | before) = {chance:.2f}; {pick(own, 'it drew', 'yours is')} {value:.0f}: "
            f"{_nats(nats)}."
            for d, own, value, chance, nats in zip(rank.tolist(), mine, x, p, log_p, strict=True)
        )

    def _strip(self, s: SimpleNamespace, mine: Tensor, seen: Tensor, log_p: Tensor) -> Chart:
        """Return log p of each pixel, along the ordering, as bars that hang down."""
        D, at = self.nade.dim, torch.arange(self.nade.dim) + 1.0
        sides = ("yours", mine, "ink"), ("the model's", ~mine, "x")
        bars = {
            f"{whose}{when}": Bars(at, (log_p * (owned & known)).clamp_min(CUT), 0.7, color=color, alpha=alpha)
            for whose, owned, color in sides
            for when, known, alpha in (("", seen, 0.9), (", later", ~seen, 0.3))
        }
        # Points below the frame, at which wedges point from its edge; those of other bars are of no size, on the line.
        wedges = {
            f"{whose}, cut": Dots(
                torch.stack([at, torch.where(owned & (log_p < CUT), 2 * LOWEST, 0.0)], 1),
                size=0.0, labels=("",) * D, color=color, alpha=1.0,
            )
            for whose, owned, color in sides
        }  # fmt: skip
        totals = (log_p * mine).sum(), (log_p * ~mine).sum()
        words = {
            "sum of yours": Label(
                torch.tensor([0.5, HIGHEST - 0.6]), f"yours: {_nats(totals[0])}", anchor="start"
            ),
            "sum of the model's": Label(
                torch.tensor([1.02 * D + 0.5, HIGHEST - 0.6]), f"the model's: {_nats(totals[1])}", color="x",
                anchor="end",
            ),
        }  # fmt: skip
        knob = Handle(
            torch.stack([s.step, torch.zeros_like(s.step)]),
            "step",
            label="",
            help="drag: the step",
            color="ink",
            step=1.0,
        )
        order = s.ordering if s.ordering == OWN else f"{s.ordering} order"
        return Chart(
            bars | wedges | words | {"step": knob}, x=(0.5, 1.02 * D + 0.5), y=(LOWEST, HIGHEST), ticks=(),
            yticks=(-2,), title=f"log p of each pixel, in {order}", width=384, height=84,
        )  # fmt: skip

    def drag(self, name: str, s: SimpleNamespace, *values: Tensor) -> dict[str, Any]:
        width, height = self.shape[1], self.shape[0]
        if name == "canvas/border":
            return {"given": width * (values[0] if s.ordering == "raster" else height - values[0])}
        if name == "endings":
            return {"ending": values[0] + 1}
        if name == "begin":
            return {"image": values[0], "pixels": row(self.images, values[0])}
        if name == "step":
            return {"step": values[0]}
        pixels, step, places = s.pixels, s.step, torch.arange(self.nade.dim)
        for _, i, j, ink in zip(*[iter(values)] * 4, strict=True):
            d = (i * width + j).long()
            pixels = torch.where((places == d) & (ink >= 0), ink, pixels)
            # One of the model's: a second click goes back.
            there = row(self._orderings[s.ordering].argsort(), d) + 1.0
            step = torch.where(ink < 0, torch.where(there == s.step, self.nade.dim, there), step)
        return {"pixels": pixels, "step": step}


def _nats(value: Tensor) -> str:
    return f"{fixed(value)} nats"
