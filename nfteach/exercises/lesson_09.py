"""Lesson 09, three routes: six broken layers, the price of both directions, a new log-det, a layer of your own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.comparing import printed
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.exercises.running import run
from nfteach.exercises.texts import text
from nfteach.flows import RNADE, Flow, Planar, RealNVP, Stack
from nfteach.jacobian import ERRORS, JacobianReport, inspect_jacobian
from nfteach.jacobian.exhibits import EXHIBITS
from nfteach.jacobian.rng import seeded

__all__ = ["diagnosis", "gallery", "passes", "radial_log_det", "your_layer"]


# ---- 9.1 ---------------------------------------------------------------------------------------------------------


def _exhibit(name: str) -> tuple[nn.Module, Tensor]:
    """Return a broken layer of the house of horrors, away from its initial parameters, and points to look at."""
    layer, x = EXHIBITS[name].broken(), EXHIBITS[name].x
    if EXHIBITS[name].perturb:
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    return layer, x


_HUNG = {
    "A": "planar-fold",
    "B": "interleaved-halves",
    "C": "inverse-sign",
    "D": "one-branch",
    "E": "summed-over-batch",
    "F": "batch-statistics",
}

gallery: dict[str, tuple[nn.Module, Tensor]] = {letter: _exhibit(name) for letter, name in _HUNG.items()}
"""The layers to diagnose, each with the points (B, D) to look at. The lesson puts its own six here."""


def _found(letter: str) -> frozenset[str]:
    """Return the codes of the errors that the inspector finds in a layer of the gallery, as it is now."""
    layer, x = gallery[letter]
    state = tuple(value.detach().double().numpy().tobytes() for value in layer.state_dict().values())
    return _inspected(layer, x, state)


@lru_cache(maxsize=32)
def _inspected(layer: nn.Module, x: Tensor, state: tuple[bytes, ...]) -> frozenset[str]:
    return frozenset(one.code for one in inspect_jacobian(layer, x).findings if one.severity == "error")


def diagnose(name):
    words = {
        "A": "determinant-changes-sign",
        "B": "inverse-wrong",
        "C": "log-det-sign",
        "D": "log-det-wrong",
        "E": "log-det-summed-over-batch",
        "F": "samples-coupled",
    }
    return words[name]


def _wrong_word(word: Any, name: str) -> str:
    if not isinstance(word, str):
        return f"Return a word from the list, such as 'log-det-sign', not {printed(word)}."
    if word not in ERRORS | {"fine"}:
        return f"For layer {name} you return {word!r}, which is not in the list."
    found = _found(name) or {"fine"}
    if word in found:
        return ""
    if found == {"fine"}:
        return f"Layer {name} has no finding any more: did you repair it? Restore its cell and run it again."
    return f"Layer {name}: `inspect_jacobian` does not find {word!r} there."


def _mistaken_for(word: str, *true: str) -> Callable[[Any, str], bool]:
    """Return a function that is true of answers that are right, or take a true diagnosis, or any one, for a word."""

    def fits(came: Any, name: str) -> bool:
        found = _found(name)
        slipped = not true or bool(found & set(true))
        return isinstance(came, str) and (came in found or (came == word and slipped))

    return fits


def _instead(word: str, *true: str) -> Callable[[str], str]:
    return lambda name: word if not true or diagnose(name) in true else diagnose(name)


def _confusion(name: str, message: str, word: str, *true: str) -> Misconception:
    return Misconception(name=name, message=message, answer=_instead(word, *true), fits=_mistaken_for(word, *true))


diagnosis = Exercise(
    **text(
        "9.1",
        _confusion(
            "all fine",
            "You call a layer fine, but none of the six is: look at it with `inspect_jacobian`.",
            "fine",
        ),
        _confusion(
            "sign taken for wrong",
            "You call one log-det wrong that is right except for its sign at every point. The list has a word for it.",
            "log-det-wrong",
            "log-det-sign",
        ),
        _confusion(
            "summed taken for per dimension",
            "You say per dimension where the opposite happens: the layer sums too much.",
            "log-det-per-dimension",
            "log-det-summed-over-batch",
        ),
        _confusion(
            "fold taken for a wrong log-det",
            "One layer's log|det J| is right at every point, but you call it wrong. What does the logarithm of an "
            "absolute value hide?",
            "log-det-wrong",
            "determinant-changes-sign",
        ),
        _confusion(
            "inverse taken for a wrong log-det",
            "One layer's log-det is right at every point, but you call it wrong: only the order of outputs changes, "
            "which stretches nothing. Map a point there and back instead.",
            "log-det-wrong",
            "inverse-wrong",
        ),
        _confusion(
            "coupled samples taken for a summed log-det",
            "One log-det that you call summed over the batch is summed over the dimensions only. The *map* itself "
            "depends on the batch.",
            "log-det-summed-over-batch",
            "samples-coupled",
        ),
    ),
    returns=("the word",),
    cases=lambda generator, index: (sorted(gallery)[index],),
    truth=lambda name: None,
    answer=diagnose,
    judge=_wrong_word,
    tries=len(_HUNG),
)


# ---- 9.2 ---------------------------------------------------------------------------------------------------------


class _Watch(TorchFunctionMode):
    """A list of the functions of torch that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(function)
        return function(*args, **(kwargs or {}))


def _calls(function: Callable[..., Tensor], work: Callable[[], Any]) -> int:
    with torch.no_grad(), _Watch() as watch:
        work()
    return watch.seen.count(function)


def _halved(layer: Planar, x: Tensor, halvings: int) -> Tensor:
    """Return z with layer(z) = x, by that many halvings, each of which calls h once; the last value is used again."""
    wx, wu = x @ layer.w, layer.w @ layer.u_hat()
    low, high = wx - wu.abs(), wx + wu.abs()
    for _ in range(halvings):
        middle = (low + high) / 2
        h = torch.tanh(middle + layer.b)
        low, high = torch.where(middle + wu * h < wx, middle, low), torch.where(middle + wu * h < wx, high, middle)
    return x - layer.u_hat() * h[:, None]


# (density, sampling) of the three, by running them and counting the nonlinearity inside.


@lru_cache(maxsize=64)
def _counted_rnade(D: int) -> tuple[int, int]:
    with seeded(0):
        rnade, x = RNADE(D, hidden=2, components=2), torch.randn(1, D)
        return _calls(torch.relu, lambda: rnade.log_prob(x)), _calls(torch.relu, lambda: rnade.sample((1,)))


@lru_cache(maxsize=64)
def _counted_planar(K: int, S: int) -> tuple[int, int]:
    """Count in two dimensions: more would change the numbers inside, not how many there are."""
    with seeded(0):
        layers, x = [Planar(2) for _ in range(K)], torch.randn(1, 2)

        def back() -> None:
            y = x
            for layer in reversed(layers):
                y = _halved(layer, y, S)

        return _calls(torch.tanh, back), _calls(torch.tanh, lambda: Stack(*layers)(x))


@lru_cache(maxsize=64)
def _counted_realnvp(D: int, K: int) -> tuple[int, int]:
    with seeded(0):
        couplings, x = RealNVP(D, layers=K, hidden=(2,)), torch.randn(1, D)
        return _calls(torch.tanh, lambda: couplings.inv(x)), _calls(torch.tanh, lambda: couplings(x))


def _sizes(generator: torch.Generator, index: int) -> tuple[int, int, int]:
    D, K = (int(torch.randint(low, low + 5, (), generator=generator)) for low in (3, 2))
    return D + index % 2, K, (20, 40, 60)[int(torch.randint(3, (), generator=generator))]


def price(D, K, S):
    rnade = (1, D)
    planar = (K * S, K)
    realnvp = (K, K)
    return rnade, planar, realnvp


def _price(came: Any, part: int) -> list[float] | None:
    try:
        return [float(value) for value in came[part]]
    except (TypeError, ValueError, IndexError, KeyError):
        return None


def _mispriced(
    name: str, message: str, *slips: tuple[int, Callable[[int, int, int], tuple[int, int]]]
) -> Misconception:
    """Return a wrong price of one model, whatever those of the others are; or one of several such prices."""

    def answer(D: int, K: int, S: int) -> tuple[tuple[int, int], ...]:
        right = list(price(D, K, S))
        for part, wrong in slips:
            right[part] = wrong(D, K, S)
        return tuple(right)

    def fits(came: Any, D: int, K: int, S: int) -> bool:
        return any(_price(came, part) == [float(value) for value in wrong(D, K, S)] for part, wrong in slips)

    return Misconception(name=name, message=message, answer=answer, fits=fits)


passes = Exercise(
    **text(
        "9.2",
        _mispriced(
            "RNADE swapped",
            "RNADE: you have density and sampling the wrong way round. For which of the two is all of x given?",
            (0, lambda D, K, S: (D, 1)),
        ),
        _mispriced(
            "RNADE samples at once",
            "RNADE: you draw all dimensions at once. But each conditional needs the values drawn before it.",
            (0, lambda D, K, S: (1, 1)),
        ),
        _mispriced(
            "RNADE waits with x known",
            "RNADE: you let the density wait for each dimension. But all of x is given: what is there to wait for?",
            (0, lambda D, K, S: (D, D)),
        ),
        _mispriced(
            "planar density for free",
            "Planar: you evaluate the density as if the inverse were a formula. It is a search, in each layer.",
            (1, lambda D, K, S: (K, K)),
        ),
        _mispriced(
            "planar swapped",
            "Planar: you have density and sampling the wrong way round. This stack maps z to x.",
            (1, lambda D, K, S: (K, K * S)),
        ),
        _mispriced(
            "K forgotten",
            "You count one layer. There are K of them, one after another.",
            (2, lambda D, K, S: (1, 1)),
            (1, lambda D, K, S: (S, 1)),
        ),
        _mispriced(
            "couplings wait for every dimension",
            "RealNVP: you invert a coupling dimension by dimension. All inputs of its network are available at once.",
            (2, lambda D, K, S: (K, K * D)),
        ),
    ),
    returns=("the RNADE's (density, sampling)", "the planar stack's", "the RealNVP's"),
    cases=_sizes,
    truth=lambda D, K, S: tuple(
        torch.tensor(one) for one in (_counted_rnade(D), _counted_planar(K, S), _counted_realnvp(D, K))
    ),
    answer=price,
)


# ---- 9.3 ---------------------------------------------------------------------------------------------------------


def _radial_case(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, float, float]:
    """Draw z (B, D), z0 (D,), alpha > 0, and beta > -alpha of either sign."""
    D = 3 + index
    alpha = 0.5 + torch.rand((), generator=generator).item()
    share = 0.3 + 0.4 * torch.rand((), generator=generator).item()
    return draw(generator, 4, D), draw(generator, D), alpha, alpha * (-share if index % 2 else 2 + share)


def _radial_by_autograd(z: Tensor, z0: Tensor, alpha: float, beta: float) -> Tensor:
    def layer(z: Tensor) -> Tensor:
        offset = z - z0
        return z + beta * offset / (alpha + (offset**2).sum(-1, keepdim=True).sqrt())

    return log_abs_det_jacobian(layer, z)


def radial_log_det(z, z0, alpha, beta):
    D = z.shape[-1]
    r = (z - z0).norm(dim=-1)
    c = 1 + beta / (alpha + r)
    along = c - beta * r / (alpha + r) ** 2
    return (D - 1) * torch.log(c) + torch.log(along)


radial_log_det = Exercise(
    **text("9.3"),
    returns=("log|det J|",),
    cases=_radial_case,
    truth=_radial_by_autograd,
    answer=radial_log_det,
)


# ---- 9.4 ---------------------------------------------------------------------------------------------------------


class _Look(NamedTuple):
    """A layer with its parameters moved, as the inspector sees it.

    Attributes:
        layer: as it was made.
        report: the report of the inspector.
        unreached: the parameters that no gradient reaches.
        eliminates: whether the layer computes the determinant of a matrix, or its inverse.
    """

    layer: Any
    report: JacobianReport
    unreached: list[str]
    eliminates: bool


_looks: list[_Look] = []  # the last few: the judge and the misconceptions look at the same layers
_ELIMINATIONS = {"det", "slogdet", "logdet", "inv", "pinv", "lu", "lu_factor", "qr", "svd", "eig", "eigvals", "solve"}


def _look(layer: nn.Module, dim: int) -> _Look:
    known = next((look for look in _looks if look.layer is layer), None)
    if known is None:
        known = run(_moved_and_inspected, (layer, dim), seconds=20.0, given=f"{dim} dimensions")
        _looks[:] = [*_looks[-7:], known]
    return known


def _moved_and_inspected(layer: nn.Module, dim: int) -> _Look:
    moved = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in moved.parameters():
            size = parameter.square().mean().sqrt() if parameter.numel() else 0.0
            parameter += torch.randn_like(parameter) * max(float(size), 0.5) / 2
    dtype = next((parameter.dtype for parameter in moved.parameters()), torch.get_default_dtype())
    x = torch.randn(8, dim).to(dtype)
    with _Watch() as watch:
        unreached = _unreached(moved, x)
    names = {getattr(function, "__name__", "").removeprefix("linalg_") for function in watch.seen}
    return _Look(layer, inspect_jacobian(moved, x), unreached, bool(names & _ELIMINATIONS))


def _unreached(layer: nn.Module, x: Tensor) -> list[str]:
    """Return the parameters that the loss of maximum likelihood does not depend on."""
    out = layer.call_and_ladj(x) if isinstance(layer, Flow) else layer(x)
    named = dict(layer.named_parameters())
    if not isinstance(out, tuple) or not named:
        return []
    loss = (out[0] ** 2).sum() / 2 - torch.as_tensor(out[1]).sum()
    if not loss.requires_grad:
        return list(named)
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return [name for name, grad in zip(named, gradients, strict=True) if grad is None or not grad.any()]


def make_layer(dim):
    class Chain(Flow):
        """y_1 = x_1, y_i = x_i exp(tanh(a_i x_{i-1})) + b_i sin(x_{i-1})."""

        def __init__(self, dim):
            super().__init__(dim)
            self.a = nn.Parameter(torch.randn(dim - 1))
            self.b = nn.Parameter(torch.randn(dim - 1))

        def call_and_ladj(self, x):
            before, s = x[..., :-1], torch.tanh(self.a * x[..., :-1])
            rest = x[..., 1:] * torch.exp(s) + self.b * torch.sin(before)
            return torch.cat([x[..., :1], rest], dim=-1), s.sum(-1)

        def inverse_and_ladj(self, y):
            x = [y[..., 0]]
            for i in range(self.dim - 1):
                s = torch.tanh(self.a[i] * x[i])
                x.append((y[..., i + 1] - self.b[i] * torch.sin(x[i])) * torch.exp(-s))
            x = torch.stack(x, dim=-1)
            return x, -self.call_and_ladj(x)[1]

    return Chain(dim)


def _unfit(came: Any, dim: int) -> str:
    """Return what is wrong with a layer of the learner's own, in a sentence; empty if nothing is."""
    if isinstance(came, type):
        return "Return a layer, not its class: call it, as in `return MyLayer(dim)`."
    if not isinstance(came, nn.Module):
        return f"Return a layer, a `Flow` or an `nn.Module`, not a {type(came).__name__}."
    written = getattr(type(came), "call_and_ladj", type(came).forward)
    if (written.__module__ or "").startswith(("nfteach.flows", "torch.")) or type(came).__name__ == "BentCoupling":
        return f"What {type(came).__name__} computes is not your own. Write your own class: one layer, not a stack."
    _, report, unreached, eliminates = _look(came, dim)
    for finding in report.findings:
        if finding.severity == "error":
            return f"In {dim} dimensions, with its parameters moved, `inspect_jacobian` finds: {finding}"
    if report.log_det is None:
        return "The layer returns no log-det. A `Flow` returns it from `call_and_ladj`, an `nn.Module` with y."
    if report.inverse_error is None:
        return "The layer has no inverse: write `inverse_and_ladj(y)`, or `inverse(y)` for an `nn.Module`."
    if report.structure.name in ("identity", "diagonal", "permutation", "orthogonal"):
        return f"J is {report.structure.name}: such a layer costs nothing, and cannot do much."
    if report.structure.name == "dense" and eliminates:
        return "J is dense, and its determinant is found by elimination, O(D^3)."
    if not list(came.parameters()):
        return "The layer has no parameters: there is nothing to train."
    return f"No gradient of the loss reaches {', '.join(unreached)}: training would not change it." if unreached else ""


def _with_finding(code: str) -> Callable[[Any, int], bool]:
    return lambda came, dim: (
        isinstance(came, nn.Module) and any(finding.code == code for finding in _look(came, dim).report.findings)
    )


def _with_structure(*names: str) -> Callable[[Any, int], bool]:
    def fits(came: Any, dim: int) -> bool:
        structure = _look(came, dim).report.structure if isinstance(came, nn.Module) else None
        return structure is not None and structure.name in names

    return fits


def _at_what_cost(answer: Callable[[int], Any]) -> str:
    """Remark on a layer whose structure has no name."""
    if _look(answer(4), 4).report.structure.name != "dense":
        return ""
    return "The inspector has no name for the structure of J. Can you say what its determinant costs in D dimensions?"


class _Slip(Flow):
    """The right layer with a slip of a kind."""

    def __init__(self, dim: int, kind: str) -> None:
        super().__init__(dim)
        self.right, self.kind = make_layer(dim), kind
        self.W = nn.Parameter(torch.eye(dim) + 0.2 * torch.randn(dim, dim)) if kind == "dense" else None
        self.s = nn.Parameter(torch.randn(dim)) if kind in ("diagonal", "cut") else None

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind == "dense":
            return x @ self.W, torch.linalg.slogdet(self.W).logabsdet.expand(x.shape[:-1])
        if self.kind == "diagonal":
            return x * self.s.exp(), self.s.sum().expand(x.shape[:-1])
        y, ladj = self.right.call_and_ladj(x)
        if self.kind == "cut":
            return y * self.s.detach().exp(), ladj + self.s.detach().sum()
        return y, {"sign": -ladj, "batch": ladj.sum()}.get(self.kind, ladj)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind == "dense":
            x = y @ torch.linalg.inv(self.W)
        elif self.kind == "diagonal":
            x = y * (-self.s).exp()
        elif self.kind == "one round":
            x = y - (self.right(y) - y)
        else:
            x = self.right.inverse_and_ladj(y * (-self.s).exp() if self.kind == "cut" else y)[0]
        return x, -self.call_and_ladj(x)[1]


def _slip(kind: str) -> Callable[[int], Flow]:
    return lambda dim: _Slip(dim, kind)


your_layer = Exercise(
    **text(
        "9.4",
        Misconception(
            name="sign of the log-det",
            message="The log-det has the wrong sign. Return that of y with respect to x, at x.",
            answer=_slip("sign"),
            fits=_with_finding("log-det-sign"),
        ),
        Misconception(
            name="summed over the batch",
            message="The log-det is summed over the batch. Each sample has its own.",
            answer=_slip("batch"),
            fits=_with_finding("log-det-summed-over-batch"),
        ),
        Misconception(
            name="inverse wrong",
            message="The inverse does not return to x. Does it undo the last step first, with s and t computed at x?",
            answer=_slip("one round"),
            fits=_with_finding("inverse-wrong"),
        ),
        Misconception(
            name="diagonal",
            message="J is diagonal: the dimensions do not interact. Let one of them affect the next.",
            answer=_slip("diagonal"),
            fits=_with_structure("identity", "diagonal"),
        ),
        Misconception(
            name="dense",
            message="J is dense. In D dimensions its determinant takes elimination, O(D^3): which entries could be 0?",
            answer=_slip("dense"),
            fits=lambda came, dim: _with_structure("dense")(came, dim) and _look(came, dim).eliminates,
        ),
        Misconception(
            name="parameters not reached",
            message="A parameter gets no gradient: something cuts the graph, or nothing uses it. Training would "
            "not change it.",
            answer=_slip("cut"),
            fits=lambda came, dim: isinstance(came, nn.Module) and bool(_look(came, dim).unreached),
        ),
    ),
    returns=("the layer",),
    cases=lambda generator, index: (2 + index,),
    truth=lambda dim: None,
    answer=make_layer,
    judge=_unfit,
    tries=3,
    remark=_at_what_cost,
)
