"""The adapter of any map: kinds of maps times operations, and a sentence for each thing that is not a map."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pyro.distributions.transforms as pyro_transforms
import pytest
import torch
from torch import nn
from torch.distributions import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    MultivariateNormal,
    Normal,
    TanhTransform,
    TransformedDistribution,
    Uniform,
)
from torch.utils._python_dispatch import TorchDispatchMode

from nfteach.flows import RNADE, FlowDistribution, ImageRealNVP, Permutation, Planar, RealNVP, Stack
from nfteach.jacobian import AnyMap

# Central differences in float64 with steps of 1e-5, for second derivatives of size 1 to 100.
DIFFERENCES = 1e-6
# The originals run in float32.
SINGLE = {"rtol": 1e-4, "atol": 1e-4}
EXACT = {"rtol": 1e-9, "atol": 1e-9}


class Shear(nn.Module):
    """x_2 = z_2 + a z_1^3, as other libraries write layers: the call returns (x, log_det), the inverse likewise."""

    def __init__(self, a: float = 0.5) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, z):
        return torch.stack([z[:, 0], z[:, 1] + self.a * z[:, 0] ** 3], 1), z.new_zeros(len(z))

    def inverse(self, x):
        return torch.stack([x[:, 0], x[:, 1] - self.a * x[:, 0] ** 3], 1), x.new_zeros(len(x))


class Doubled(nn.Module):
    """x = 2 z, with a log-det that is wrong and an inverse without one."""

    def forward(self, z):
        return 2 * z, torch.ones(len(z))

    def inverse(self, x):
        return x / 2


def bent(z):
    """Return z + z^3 / 3 of points (N, D)."""
    return z + z**3 / 3


def one_point(z):
    """Return a shear of one point (2,)."""
    return torch.stack([z[0], z[1] + torch.sin(z[0])])


def one_point_back(x):
    return torch.stack([x[0], x[1] - torch.sin(x[0])])


def stretched_normal():
    return MultivariateNormal(torch.tensor([1.0, -1.0]), torch.tensor([[2.0, 0.3], [0.3, 1.0]]))


class Kind(NamedTuple):
    """One kind of map, and what is expected of its adapter.

    Attributes:
        make: the map.
        forward: the map -> the function z (N, *event) -> x (N, *event) that it is, if it is not called itself.
        given: further arguments of ``AnyMap``.
        layers: the number of its layers.
        claims: True if it has a log-det of its own.
        inverse: True if it has an inverse.
        gap: between z and where the inverse takes its image; large if the inverse runs in float32 only.
    """

    make: Callable[[], Any]
    forward: Callable[[Any], Callable] = lambda made: made
    given: dict[str, Any] = {}  # noqa: RUF012
    layers: int = 0
    claims: bool = True
    inverse: bool = True
    gap: float = 1e-6


def in_turn(made):
    """Return the transforms of a distribution, one after the other."""

    def through(z):
        for transform in made.transforms:
            z = transform(z)
        return z

    return through


KINDS = {
    "flow": Kind(lambda: Planar(3)),
    "inverse of a flow": Kind(lambda: Planar(2).inv),
    "stack": Kind(lambda: Stack(Planar(2), Permutation([1, 0]), Planar(2)), layers=3),
    "inverse of a stack": Kind(lambda: Stack(Planar(2), Permutation([1, 0]), Planar(2)).inv, layers=3),
    "RealNVP with batch norm": Kind(lambda: RealNVP(4, layers=2, batch_norm=True), layers=3),
    "map of a density estimator": Kind(lambda: RNADE(3, 8).as_flow()),
    "images": Kind(lambda: ImageRealNVP((1, 4, 4), hidden=4, blocks=1), layers=9),
    "transform of numbers": Kind(lambda: TanhTransform(), given={"dim": 2}),
    "transform of another library": Kind(
        lambda: pyro_transforms.AffineAutoregressive(_network()), given={"dim": 3}, gap=1e-3
    ),
    "composed transform": Kind(
        lambda: ComposeTransform([AffineTransform(1.0, -2.0), ExpTransform()]), given={"dim": 2}, layers=2
    ),
    "inverse of a composed transform": Kind(
        lambda: ComposeTransform([AffineTransform(1.0, -2.0), TanhTransform().inv, Planar(2)]).inv, layers=3
    ),
    "module with an inverse": Kind(Shear, lambda made: lambda z: made(z)[0], {"dim": 2}),
    "module without": Kind(
        lambda: nn.Sequential(nn.Linear(3, 3), nn.Tanh()), given={"dim": 3}, layers=2, claims=False, inverse=False
    ),
    "module that changes its argument": Kind(
        lambda: nn.Sequential(nn.Linear(2, 2), nn.ELU(inplace=True)),
        given={"dim": 2},
        layers=2,
        claims=False,
        inverse=False,
    ),
    "function": Kind(lambda: bent, given={"dim": 2}, claims=False, inverse=False),
    "function with a log-det": Kind(
        lambda: bent, given={"dim": 3, "log_det": lambda z: (1 + z**2).log().sum(1)}, inverse=False
    ),
    "function with an inverse": Kind(
        lambda: lambda z: z.exp(), given={"dim": 2, "inverse": lambda x: x.log()}, claims=False
    ),
    "function of one point": Kind(lambda: one_point, torch.vmap, {"dim": 2}, claims=False, inverse=False),
    "function of one point with an inverse": Kind(
        lambda: one_point, torch.vmap, {"dim": 2, "inverse": one_point_back}, claims=False
    ),
    "flow distribution": Kind(lambda: FlowDistribution(stretched_normal(), Planar(2)), in_turn),
    "transformed distribution": Kind(
        lambda: TransformedDistribution(stretched_normal(), [Planar(2), AffineTransform(1.0, 3.0)]), in_turn, layers=2
    ),
    "bounded base": Kind(lambda: ExpTransform(), given={"base": Uniform(torch.zeros(2), torch.ones(2))}),
}


def _network():
    from pyro.nn import AutoRegressiveNN

    return AutoRegressiveNN(3, [8])


def made(kind: Kind) -> Any:
    """Return the map of a kind, with parameters that do not depend on other tests, some of them moved."""
    torch.manual_seed(3)
    subject = kind.make()
    with torch.no_grad():
        for module in modules(subject):
            for parameter in module.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    return subject


def modules(subject: Any) -> list[nn.Module]:
    parts = [subject, *getattr(subject, "transforms", ()), *getattr(subject, "parts", ())]
    return [part for part in parts if isinstance(part, nn.Module)]


def points(f: AnyMap, *shape: int) -> torch.Tensor:
    """Return samples of the map's own base."""
    torch.manual_seed(8)
    return f.base.sample(shape).reshape(*shape, f.dim)


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture
def f(kind):
    return AnyMap(made(kind), **kind.given)


def test_values_are_those_of_the_map(kind, f):
    subject = made(kind)
    for module in modules(subject):
        module.eval()
    z = points(f, 6)
    expected = kind.forward(subject)(z.float().reshape(6, *f.event_shape)).detach()
    assert expected.shape[1:] == f.image_shape
    torch.testing.assert_close(f(z), expected.double().reshape(6, f.dim), **SINGLE)


def test_the_jacobian_is_that_of_central_differences(f):
    z, step = points(f, 4), 1e-5
    moves = step * torch.eye(f.dim, dtype=torch.float64)
    ahead, behind = (f(z[:, None] + sign * moves) for sign in (1, -1))
    J = f.jacobian(z)
    torch.testing.assert_close(J, (ahead - behind).mT / (2 * step), rtol=DIFFERENCES, atol=DIFFERENCES)
    assert (J.dtype, J.requires_grad) == (torch.float64, False)


def test_the_log_det_is_that_of_the_jacobian(kind, f):
    z = points(f, 4)
    x, ladj = f.call_and_ladj(z)
    assert f.has_log_det == kind.claims
    torch.testing.assert_close(x, f(z), **EXACT)
    torch.testing.assert_close(ladj, torch.linalg.slogdet(f.jacobian(z)).logabsdet, rtol=1e-6, atol=1e-6)
    for together, apart in zip(f.call_and_jacobian(z), (x, ladj, f.jacobian(z)), strict=True):
        torch.testing.assert_close(together, apart, **EXACT)
    assert not x.requires_grad
    assert not ladj.requires_grad


def test_the_inverse_goes_back_and_the_log_dets_cancel(kind, f):
    assert f.has_inverse == kind.inverse
    z = points(f, 4)
    x, ladj = f.call_and_ladj(z)
    if not kind.inverse:
        for ask in (f.inverse, f.inverse_and_ladj, f.log_prob, f.density):
            with pytest.raises(ValueError, match="must have an inverse for this, but has none; try inverse="):
                ask(x)
        return
    back, inverse_ladj = f.inverse_and_ladj(x)
    torch.testing.assert_close(back, z, rtol=kind.gap, atol=kind.gap)
    torch.testing.assert_close(f.inverse(x), back, **EXACT)
    torch.testing.assert_close(inverse_ladj, -ladj, rtol=kind.gap, atol=kind.gap)
    assert not inverse_ladj.requires_grad


def test_the_density_is_that_of_the_base_over_the_determinant(kind, f):
    z = points(f, 4)
    det = torch.linalg.det(f.jacobian(z)).abs()
    p = f.log_base(z).exp()
    if f.has_inverse:
        torch.testing.assert_close(f.density(f(z)), p / det, rtol=10 * kind.gap, atol=1e-12)
        torch.testing.assert_close(f.log_prob(f(z)), (p / det).log(), rtol=kind.gap, atol=10 * kind.gap)


def test_any_leading_shape_is_accepted_in_float32_as_well(f):
    z = points(f, 2, 3)
    x, ladj = f.call_and_ladj(z)
    assert (x.shape, ladj.shape, f.jacobian(z).shape) == (z.shape, (2, 3), (2, 3, f.dim, f.dim))
    one, its_ladj = f.call_and_ladj(z[1, 2])
    torch.testing.assert_close(one, x[1, 2], **EXACT)
    torch.testing.assert_close(its_ladj, ladj[1, 2], **EXACT)
    single = f.call_and_jacobian(z.float())
    assert {part.dtype for part in single} == {torch.float64}
    torch.testing.assert_close(single[0], x, **SINGLE)
    if f.has_inverse:
        assert [part.shape for part in f.inverse_and_ladj(x)] == [z.shape, (2, 3)]
        assert f.density(x).shape == f.log_prob(x).shape == (2, 3)


def test_layers_lead_to_the_image_and_add_up(kind, f):
    assert len(f.layers) == kind.layers
    z = points(f, 4)
    x, ladj = f.call_and_ladj(z)
    steps = f.steps(z)
    assert [step.index for step in steps] == list(range(kind.layers or 1))
    torch.testing.assert_close(steps[-1].output, x, **EXACT)
    torch.testing.assert_close(steps[-1].running_ladj, ladj, **EXACT)
    torch.testing.assert_close(torch.stack([step.ladj for step in steps]).sum(0), ladj, **EXACT)
    product = torch.eye(f.dim, dtype=torch.float64)
    for step in steps:
        product = step.layer.jacobian(step.input) @ product
    torch.testing.assert_close(product, f.jacobian(z), rtol=1e-7, atol=1e-9)


class Recorder(TorchDispatchMode):
    """Counts operations, and refuses those that read a value; not integers, which are places in a fixed order."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        reads = ("aten._local_scalar_dense.default", "aten.is_nonzero.default", "aten.equal.default")
        if str(operation) in reads and args[0].dtype != torch.int64:
            raise RuntimeError(f"{operation} reads a value")
        self.count += 1
        return operation(*args, **(kwargs or {}))


def test_no_operation_reads_a_value(kind, f):
    z = points(f, 4)
    x = f(z)
    f = AnyMap(made(kind), **kind.given)  # nothing is called yet
    forward = ["__call__", "call_and_ladj", "jacobian", "call_and_jacobian", "log_base", "steps"]
    backward = ["inverse", "inverse_and_ladj", "log_prob", "density"] if f.has_inverse else []
    for name in forward + backward:
        recorder = Recorder()
        with recorder:
            getattr(f, name)(x if name in backward else z)
        assert recorder.count > 1


def test_the_original_is_not_touched_and_not_followed(kind):
    subject = made(kind)
    for module in modules(subject):
        module.train()
    before = [(copy.deepcopy(module.state_dict()), module.training) for module in modules(subject)]
    f = AnyMap(subject, **kind.given)
    z = points(f, 4)
    f.steps(z)
    x, J = f(z), f.jacobian(z)
    for module, (state, training) in zip(modules(subject), before, strict=True):
        assert module.training == training
        assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
        assert all(parameter.grad is None and parameter.requires_grad for parameter in module.parameters())
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 1.0
    torch.testing.assert_close(f(z), x, rtol=0, atol=0)
    torch.testing.assert_close(f.jacobian(z), J, rtol=0, atol=0)


def test_a_closure_is_copied_with_the_parameters_that_it_holds():
    layer = nn.Linear(2, 2)
    f = AnyMap(lambda z: layer(z) + z, dim=2)
    z = points(f, 3)
    before = f(z)
    with torch.no_grad():
        layer.weight += 1.0
    torch.testing.assert_close(f(z), before, rtol=0, atol=0)


def test_a_claimed_log_det_is_passed_on_even_if_wrong():
    f = AnyMap(Doubled(), dim=2)
    z = points(f, 3)
    assert f.call_and_ladj(z)[1].tolist() == [1.0] * 3
    assert f.inverse_and_ladj(2 * z)[1].tolist() == [-1.0] * 3, "the inverse claims none"
    assert torch.linalg.slogdet(f.jacobian(z)).logabsdet.tolist() == pytest.approx([math.log(4)] * 3)
    own = AnyMap(Doubled(), dim=2, log_det=lambda z: math.log(4))
    assert own.call_and_ladj(z)[1].tolist() == pytest.approx([math.log(4)] * 3)


def test_the_same_noise_is_drawn_in_every_call():
    f = AnyMap(lambda z: z + torch.randn(len(z), 2), dim=2)
    z, state = points(f, 5), torch.random.get_rng_state()
    torch.testing.assert_close(f(z), f(z), rtol=0, atol=0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_dtype_can_be_chosen_and_falls_back_to_one_that_runs():
    flow = Planar(2)
    z = torch.ones(3, 2, dtype=torch.float64) / 3
    exact = AnyMap(flow)(z)
    for dtype in (torch.float32, None):
        f = AnyMap(flow, dtype=dtype)
        assert (f.dtype, f(z).dtype) == (torch.float32, torch.float64)
        torch.testing.assert_close(f(z), exact, **SINGLE)
    only_single = AnyMap(lambda z: z @ torch.eye(2), dim=2)
    assert (only_single.dtype, only_single(z).dtype) == (torch.float32, torch.float64)


@pytest.mark.parametrize(
    ("transform", "x", "nearly"),
    [(AbsTransform(), [[-1.0, 1.0], [2.0, 0.5]], [1, 1]), (ExpTransform(), [[-1.0, 1.0], [0.0, 1.0]], [0, 0])],
)
def test_the_density_is_zero_where_nothing_lands(transform, x, nearly):
    f = AnyMap(transform, dim=2)
    x = torch.tensor(x, dtype=torch.float64)
    q = f.density(x)
    assert q[0] == 0.0
    assert q.isfinite().all()
    assert bool(q[1] > 0) == bool(nearly[1])


def test_the_density_is_zero_outside_the_support_of_the_base():
    f = AnyMap(AffineTransform(1.0, 2.0), base=Uniform(torch.zeros(2), torch.ones(2)))
    assert f.density(torch.tensor([[2.0, 2.0], [0.5, 2.0], [3.5, 1.5]])).tolist() == [0.25, 0.0, 0.0]
    assert f.log_base(torch.tensor([[0.5, 0.5], [0.5, 1.5]])).tolist() == [0.0, -math.inf]


def test_a_base_is_copied_and_its_shape_gives_the_dimension():
    loc = torch.zeros(3)
    f = AnyMap(lambda z: 2 * z, base=Normal(loc, 1.0))
    before = f.log_base(torch.ones(3))
    loc += 5.0
    assert (f.dim, f.log_base(torch.ones(3))) == (3, before)
    assert before.item() == pytest.approx(Normal(0.0, 1.0).log_prob(torch.ones(3)).sum().item())


def test_infinite_values_are_found_by_check_and_the_layer_named():
    f = AnyMap(ComposeTransform([AffineTransform(0.0, 2.0), ExpTransform().inv, AffineTransform(1.0, 1.0)]), dim=2)
    good, bad = torch.ones(2), torch.tensor([[1.0, 1.0], [-1.0, 2.0]])
    assert f.check(good) is None
    assert f(bad).isnan().any(1).tolist() == [False, True]
    with pytest.raises(ValueError, match=r"layer 2 .* must be finite, but is NaN or infinite for z = \(-1, 2\)"):
        f.check(bad)
    with pytest.raises(ValueError, match="Planar must be finite"):
        AnyMap(Planar(2)).check(torch.full((2,), math.inf))


class Refusing(nn.Module):
    """The identity, which refuses points right of 100."""

    def forward(self, z):
        if (z[:, 0] > 100).any():
            raise RuntimeError("too far")
        return z

    def inverse(self, x):
        if (x[:, 0] > 100).any():
            raise RuntimeError("too far back")
        return x


def test_errors_of_a_map_are_reported_in_one_sentence_and_the_next_call_works():
    f, far = AnyMap(Refusing(), dim=2), torch.full((1, 2), 200.0)
    for ask, words in (
        (f, "the map failed here: RuntimeError: too far$"),
        (f.jacobian, "the map failed here: RuntimeError: too far$"),
        (f.inverse, "the map's inverse failed here: RuntimeError: too far back$"),
    ):
        with pytest.raises(ValueError, match=words):
            ask(far)
    assert f(far / 4).tolist() == [[50.0, 50.0]]


class OneWay(torch.autograd.Function):
    """The identity, without a derivative."""

    @staticmethod
    def forward(ctx, z):
        return z.clone()

    @staticmethod
    def backward(ctx, grad):
        raise NotImplementedError("no way back")


def test_a_derivative_that_fails_is_reported_as_such():
    f, z = AnyMap(OneWay.apply, dim=2), torch.ones(3, 2, dtype=torch.float64)
    torch.testing.assert_close(f(z), z)
    for ask in (f.jacobian, f.call_and_jacobian, f.call_and_ladj):
        with pytest.raises(ValueError, match=r"the map's derivative failed here: NotImplementedError: no way back$"):
            ask(z)


@pytest.mark.parametrize(
    ("z", "words"),
    [
        (torch.zeros(4, 3), r"z must have the shape \(..., 2\), but has the shape \(4, 3\)"),
        (torch.tensor(1.0), r"z must have the shape \(..., 2\), but has the shape \(\)"),
        (torch.zeros(4, 2, dtype=torch.int64), r"z must be real floating point, but is torch.int64; try z.double\(\)"),
        (torch.zeros(4, 2, dtype=torch.complex64), "z must be real floating point, but is torch.complex64"),
        ([1.0, 2.0], r"z must be a tensor, but is a list; try torch.as_tensor\(z\)"),
    ],
)
def test_points_that_do_not_fit_are_refused(z, words):
    f = AnyMap(Planar(2))
    for ask in (f, f.call_and_ladj, f.jacobian, f.call_and_jacobian):
        with pytest.raises(ValueError, match=words):
            ask(z)
    with pytest.raises(ValueError, match=words.replace("z", "x")):
        f.inverse_and_ladj(z)


class Uncopiable(nn.Module):
    """A layer that deepcopy refuses."""

    def forward(self, z):
        return z

    def __deepcopy__(self, memo):
        raise TypeError("one of a kind")


REFUSED = {
    "not callable": (
        lambda: AnyMap(3, dim=2),
        "transform must be a flow, a Transform, a module or a function, but is 3",
    ),
    "plain distribution": (
        lambda: AnyMap(stretched_normal()),
        "must be a map z -> x, or a distribution made of a base and transforms, but is a MultivariateNormal",
    ),
    "unknown dimension": (lambda: AnyMap(bent), r"dim must be given, since bent does not define .* try dim=2"),
    "other dimension": (lambda: AnyMap(Planar(3), dim=2), r"map 2 numbers, but Planar takes events of shape \(3,\)"),
    "not square": (lambda: AnyMap(nn.Linear(2, 3), dim=2), "its Jacobian is not square"),
    "no tensor": (lambda: AnyMap(lambda z: "x", dim=2), "must return a tensor"),
    "raises": (
        lambda: AnyMap(lambda z: 1 / 0, dim=2),
        r"can't be called with points of shape \(32, 2\): ZeroDivisionError: division by zero",
    ),
    "NaN everywhere": (
        lambda: AnyMap(lambda z: z * math.nan, dim=2),
        "must be finite, but lambda is NaN or infinite at all 32 points tried",
    ),
    "NaN at the points": (
        lambda: AnyMap(torch.log, dim=2, points=-torch.ones(3, 2)),
        "NaN or infinite at all 3 points tried",
    ),
    "log-det of no shape": (
        lambda: AnyMap(lambda z: (z, torch.ones(3)), dim=2),
        r"the log-det of lambda must have the shape \(32,\), but has the shape \(3,\)",
    ),
    "log-det in words": (
        lambda: AnyMap(lambda z: (z, "0"), dim=2),
        r"must have the shape \(32,\), but is a Python str",
    ),
    "base": (lambda: AnyMap(bent, base=3, dim=2), "base must be a torch distribution, but is a int"),
    "base of another size": (
        lambda: AnyMap(Planar(2), base=Normal(torch.zeros(3), 1.0)),
        "base must draw one point of 2 dimensions",
    ),
    "two bases": (
        lambda: AnyMap(FlowDistribution(stretched_normal(), Planar(2)), base=stretched_normal()),
        "base must be left out, since the FlowDistribution has its own",
    ),
    "integer points": (lambda: AnyMap(bent, points=torch.ones(3, 2, dtype=torch.int64)), "x must be real floating"),
    "no copy": (lambda: AnyMap(Uncopiable(), dim=2), "cannot be copied .TypeError: one of a kind"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_things_that_are_not_maps_are_refused_in_one_sentence(name):
    make, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_an_inverse_that_does_not_run_is_none():
    class Folded(nn.Module):
        def forward(self, z):
            return z.abs()

        def inverse(self, x):
            raise NotImplementedError("two land on each")

    f = AnyMap(Folded(), dim=2)
    assert not f.has_inverse
    with pytest.raises(ValueError, match=r"Folded must have an inverse for .* NotImplementedError: two land on each"):
        f.inverse(torch.ones(2))
