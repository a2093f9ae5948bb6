"""Whole models, unwrapped by their attributes: as nflows, zuko, normflows, FrEIA, Pyro and torch build them."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, TransformedDistribution
from torch.distributions import transforms as T

from nfteach.flows import Planar
from nfteach.jacobian import AnyMap, inspect_jacobian, inspect_layers

# float64 arithmetic of well-conditioned maps.
EXACT = 1e-9


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X, CONTEXT = points(6, 4), points(6, 2, seed=1)


def codes(report):
    return {finding.code for finding in report.findings}


class Affine(nn.Module):
    """y = exp(s) x + t, with s and t of the context or of parameters; the log-det is ``sign`` times the true one."""

    def __init__(self, context=0, sign=1.0):
        super().__init__()
        self.net = nn.Linear(context, 8) if context else None
        self.parameters_ = nn.Parameter(points(8, seed=2))
        self.sign = sign

    def scale_and_shift(self, context):
        return (self.parameters_.expand(1, 8) if self.net is None else self.net(context)).chunk(2, 1)

    def forward(self, x, context=None):
        s, t = self.scale_and_shift(context)
        return x * s.exp() + t, self.sign * s.sum(1).expand(len(x))

    def inverse(self, y, context=None):
        s, t = self.scale_and_shift(context)
        return (y - t) * (-s).exp(), -self.sign * s.sum(1).expand(len(y))


class Composite(nn.Module):
    """Layers in a row, as nflows composes them."""

    def __init__(self, *layers):
        super().__init__()
        self._transforms = nn.ModuleList(layers)

    def forward(self, x, context=None):
        total = x.new_zeros(len(x))
        for layer in self._transforms:
            x, log_det = layer(x, context)
            total = total + log_det
        return x, total

    def inverse(self, y, context=None):
        total = y.new_zeros(len(y))
        for layer in reversed(self._transforms):
            y, log_det = layer.inverse(y, context)
            total = total + log_det
        return y, total


class NflowsFlow(nn.Module):
    """A transform, a base, and a network that embeds the context."""

    def __init__(self, transform, embedding_net=None):
        super().__init__()
        self._transform, self._distribution = transform, nn.Identity()
        self._embedding_net = embedding_net or nn.Identity()

    def forward(self, *args):
        raise RuntimeError("Forward method cannot be called for a Distribution object.")


def nflows_flow(sign=1.0):
    return NflowsFlow(Composite(Affine(), Affine(sign=sign))), None


def nflows_flow_with_context(sign=1.0):
    return NflowsFlow(Composite(Affine(3), Affine(3, sign)), nn.Linear(2, 3)), CONTEXT


class Shifted(T.Transform):
    """A transform made from a context, with ``call_and_ladj`` as zuko's."""

    domain = codomain = torch.distributions.constraints.real_vector
    bijective = True

    def __init__(self, s, sign):
        super().__init__()
        self.s, self.times = s, sign

    def _call(self, x):
        return x * self.s.exp()

    def _inverse(self, y):
        return y * (-self.s).exp()

    def log_abs_det_jacobian(self, x, y):
        return self.times * self.s.sum(-1).expand(x.shape[:-1])

    def call_and_ladj(self, x):
        return self._call(x), self.log_abs_det_jacobian(x, None)


class LazyTransform(nn.Module):
    def __init__(self, context, sign):
        super().__init__()
        self.net = nn.Linear(context, 4) if context else None
        self.s = nn.Parameter(points(4, seed=3))
        self.sign = sign

    def forward(self, c=None):
        return Shifted(self.s if self.net is None else self.net(c), self.sign)


class LazyComposed(nn.Module):
    def __init__(self, *transforms):
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def forward(self, c=None):
        return T.ComposeTransform([transform(c) for transform in self.transforms])


class LazyFlow(nn.Module):
    """A model that returns a distribution when it is called with a context or with nothing."""

    def __init__(self, transform):
        super().__init__()
        self.transform, self.base = transform, nn.Identity()

    def forward(self, c=None):
        base = Independent(Normal(torch.zeros(4), 1.0), 1)
        return TransformedDistribution(base, [self.transform(c)], validate_args=False)


def lazy_flow(sign=1.0):
    return LazyFlow(LazyComposed(LazyTransform(0, 1.0), LazyTransform(0, sign))), None


def lazy_flow_with_context(sign=1.0):
    return LazyFlow(LazyComposed(LazyTransform(2, 1.0), LazyTransform(2, sign))), CONTEXT


class Normflow(nn.Module):
    """Layers in ``flows``; a call returns the image alone."""

    def __init__(self, *flows):
        super().__init__()
        self.flows = nn.ModuleList(flows)

    def forward(self, z, context=None):
        return self.forward_and_log_det(z, context)[0]

    def inverse(self, x, context=None):
        return self.inverse_and_log_det(x, context)[0]

    def forward_and_log_det(self, z, context=None):
        total = z.new_zeros(len(z))
        for flow in self.flows:
            z, log_det = flow(z, context=context)
            total = total + log_det
        return z, total

    def inverse_and_log_det(self, x, context=None):
        total = x.new_zeros(len(x))
        for flow in reversed(self.flows):
            x, log_det = flow.inverse(x, context=context)
            total = total + log_det
        return x, total


def normflow(sign=1.0):
    return Normflow(Affine(), Affine(sign=sign)), None


def normflow_with_context(sign=1.0):
    return Normflow(Affine(2), Affine(2, sign)), CONTEXT


class Block(nn.Module):
    """A block of FrEIA's: lists of tensors in and out, its way back by a keyword."""

    def __init__(self, context=0, sign=1.0):
        super().__init__()
        self.layer = Affine(context, sign)
        self.dims_in, self.dims_c = [(4,)], [(context,)] if context else []

    def forward(self, x, c=(), rev=False, jac=True):
        context = c[0] if self.dims_c else None
        y, log_det = (self.layer.inverse if rev else self.layer)(x[0], context)
        return (y,), log_det


class Sequence(nn.Module):
    """Blocks in a row, as FrEIA's SequenceINN."""

    def __init__(self, *blocks):
        super().__init__()
        self.module_list = nn.ModuleList(blocks)
        self.dims_in = [(4,)]

    def forward(self, x_or_z, c=None, rev=False, jac=True):
        total, x = 0, (x_or_z,) if isinstance(x_or_z, torch.Tensor) else x_or_z
        for block in reversed(self.module_list) if rev else self.module_list:
            x, log_det = block(x, c=c or (), rev=rev)
            total = total + log_det
        return x[0], total


def sequence(sign=1.0):
    return Sequence(Block(), Block(sign=sign)), None


def sequence_with_context(sign=1.0):
    return Sequence(Block(2), Block(2, sign)), CONTEXT


def distribution(sign=1.0):
    base = Independent(Normal(torch.zeros(4), torch.ones(4)), 1)
    return TransformedDistribution(base, [Planar(4), Shifted(points(4, seed=4), sign)]), None


MODELS = [
    nflows_flow,
    nflows_flow_with_context,
    lazy_flow,
    lazy_flow_with_context,
    normflow,
    normflow_with_context,
    sequence,
    sequence_with_context,
    distribution,
]


@pytest.mark.parametrize("make", MODELS)
def test_a_model_is_inspected_as_the_map_inside_it(make):
    model, context = make()
    inspect_jacobian(model, X, context=context, perturb=0.5).check()
    model, context = make(sign=-1.0)
    assert {code for code in codes(inspect_jacobian(model, X, context=context)) if code.startswith("log-det")}


@pytest.mark.parametrize("make", MODELS)
def test_the_layers_of_a_model_are_found(make):
    model, context = make()
    report = inspect_layers(model, X, context=context).check()
    assert len(report) == 2
    assert report.own_map
    assert [check.name for check in report.checks] == ["image", "log-det", "Jacobian"]
    model, context = make(sign=-1.0)
    broken = inspect_layers(model, X, context=context)
    assert broken.layers[0].ok
    assert "log-det-sign" in codes(broken.layers[1])


@pytest.mark.parametrize("make", [make for make in MODELS if make()[1] is None])
def test_the_explorers_adapter_takes_the_same_models(make):
    model, _ = make()
    report, f = inspect_jacobian(model, X), AnyMap(model, dim=4)
    y, ladj, J = f.call_and_jacobian(X.double())
    torch.testing.assert_close(y, report.y)
    torch.testing.assert_close(ladj, report.log_det)
    torch.testing.assert_close(J, report.jacobian)
    assert len(f.layers) == 2
    assert f.has_log_det
    if f.has_inverse:
        torch.testing.assert_close(f.inverse(y), X.double())


def test_a_transform_that_is_made_by_a_method_is_made_at_each_context():
    class Conditional:
        def __init__(self, sign=1.0):
            self.net, self.sign = nn.Linear(2, 4), sign

        def condition(self, context):
            return Shifted(self.net(context), self.sign)

    inspect_jacobian(Conditional(), X, context=CONTEXT).check()
    assert "log-det-sign" in codes(inspect_jacobian(Conditional(-1.0), X, context=CONTEXT))


class Split(nn.Module):
    """The halves of the channels, and back."""

    def forward(self, z):
        return torch.cat(z, 1), 0.0

    def inverse(self, x):
        return list(x.chunk(2, 1)), 0.0


class Multiscale(nn.Module):
    """Two scales as in normflows, whose call returns a loss."""

    def __init__(self, sign=1.0):
        super().__init__()
        self.flows = nn.ModuleList([nn.ModuleList([Pointwise(sign)]), nn.ModuleList([Pointwise(), Pointwise()])])
        self.merges, self.transform = nn.ModuleList([Split()]), Pointwise()

    def forward(self, x):
        return -self.inverse_and_log_det(x)[1]

    def forward_and_log_det(self, z):
        x, total = self.flows[0][0](z[0])
        x = self.merges[0]([x, z[1]])[0]
        for flow in (*self.flows[1], self.transform):
            x, log_det = flow(x)
            total = total + log_det
        return x, total

    def inverse_and_log_det(self, x):
        total = 0.0
        for flow in (self.transform, *reversed(self.flows[1])):
            x, log_det = flow.inverse(x)
            total = total + log_det
        (x, left), _ = self.merges[0].inverse(x)
        x, log_det = self.flows[0][0].inverse(x)
        return [x, left], total + log_det


class Pointwise(nn.Module):
    """y = 2 sinh(x), of events of any shape."""

    def __init__(self, sign=1.0):
        super().__init__()
        self.sign = sign

    def forward(self, z):
        return 2 * z.sinh(), self.sign * (2 * z.cosh()).log().flatten(1).sum(1)

    def inverse(self, x):
        z = (x / 2).asinh()
        return z, -self.sign * (2 * z.cosh()).log().flatten(1).sum(1)


def test_a_model_of_several_scales_is_a_map_to_all_its_latents():
    images = points(5, 2, 2, 1)
    report = inspect_jacobian(Multiscale(), images).check()
    assert report.log_det_by == "inverse_and_log_det(x)"
    assert report.inverse_error.max() < EXACT
    layers = inspect_layers(Multiscale(), images).check()
    assert layers.names == ("scale 1", "scale 2")
    broken = inspect_layers(Multiscale(-1.0), images)
    assert broken.layers[0].ok
    assert "log-det-sign" in codes(broken.layers[1])


def test_a_graph_that_branches_has_no_layers_in_a_row():
    class Graph(Sequence):
        node_list = (SimpleNamespace(inputs=[0], outputs=[1, 2]),)

    inspect_jacobian(Graph(Block()), X).check()
    with pytest.raises(ValueError, match="is a graph that branches; try inspect_jacobian"):
        inspect_layers(Graph(Block()), X)


def test_a_distribution_without_a_map_is_refused():
    class Mixture(nn.Module):
        def forward(self, c=None):
            return Normal(torch.zeros(4), 1.0)

    with pytest.raises(ValueError, match="a distribution made of a base and transforms, but is a Normal"):
        inspect_jacobian(Mixture(), X)
