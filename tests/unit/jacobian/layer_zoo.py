"""Layers and containers as other libraries write them, for the tests of inspect_layers."""

import numpy as np
import torch
from torch import nn


def points(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Shift(nn.Module):
    """y = x + c, as a module that returns (y, log_det); c is a parameter."""

    def __init__(self, c):
        super().__init__()
        self.c = nn.Parameter(torch.as_tensor(c))

    def forward(self, x, context=None):
        return x + self.c, x.new_zeros(len(x))

    def inverse(self, y, context=None):
        return y - self.c, y.new_zeros(len(y))


class Mix(nn.Module):
    """y = x A', as a module that returns (y, log_det)."""

    def __init__(self, dim, seed=0):
        super().__init__()
        self.A = nn.Parameter(torch.eye(dim) + 0.3 * points(dim, dim, seed=seed))

    def forward(self, x, context=None):
        return x @ self.A.T, torch.slogdet(self.A)[1].expand(len(x))

    def inverse(self, y, context=None):
        return torch.linalg.solve(self.A, y.T).T, -torch.slogdet(self.A)[1].expand(len(y))


class CompositeTransform(nn.Module):
    """As nflows has it."""

    def __init__(self, transforms):
        super().__init__()
        self._transforms = nn.ModuleList(transforms)

    @staticmethod
    def _cascade(inputs, funcs, context):
        total = inputs.new_zeros(inputs.shape[0])
        for func in funcs:
            inputs, log_det = func(inputs, context)
            total += log_det
        return inputs, total

    def forward(self, inputs, context=None):
        return self._cascade(inputs, self._transforms, context)

    def inverse(self, inputs, context=None):
        return self._cascade(inputs, (t.inverse for t in self._transforms[::-1]), context)


class NormalizingFlow(nn.Module):
    """As normflows has it: the call returns y only, the log-det has a method of its own."""

    def __init__(self, flows, first=0):
        super().__init__()
        self.flows, self.first = nn.ModuleList(flows), first

    def forward(self, z):
        return self.forward_and_log_det(z)[0]

    def forward_and_log_det(self, z):
        log_det = torch.zeros(len(z))  # float32, as it stands there
        for k, flow in enumerate(self.flows):
            z, step = flow(z)
            if k >= self.first:
                log_det += step
        return z, log_det

    def inverse(self, x):
        return self.inverse_and_log_det(x)[0]

    def inverse_and_log_det(self, x):
        log_det = torch.zeros(len(x))
        for flow in reversed(self.flows):
            x, step = flow.inverse(x)
            log_det += step
        return x, log_det


class FlowSequential(nn.Sequential):
    """As many a script has it: a Sequential with a forward of its own."""

    def forward(self, x):
        total = 0
        for module in self:
            x, log_det = module(x)
            total = total + log_det
        return x, total

    def inverse(self, y):
        total = 0
        for module in reversed(self):
            y, log_det = module.inverse(y)
            total = total + log_det
        return y, total


class ListOfAll(nn.Module):
    """As one well-known script has it: the call returns every intermediate result, in a list."""

    def __init__(self, flows):
        super().__init__()
        self.flows = nn.ModuleList(flows)

    def forward(self, x):
        zs, total = [x], 0
        for flow in self.flows:
            x, log_det = flow(x)
            zs.append(x)
            total = total + log_det
        return zs, total


class Squeeze(nn.Module):
    """Images (C, H, W) to (4 C, H / 2, W / 2)."""

    def forward(self, x):
        return nn.functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, y):
        return nn.functional.pixel_shuffle(y, 2), y.new_zeros(len(y))


class Channels(nn.Module):
    """Every channel of an image by a factor of its own."""

    def __init__(self, channels):
        super().__init__()
        self.log_scale = nn.Parameter(torch.linspace(-1, 1, channels))

    def forward(self, x):
        y = x * self.log_scale.exp()[:, None, None]
        return y, (self.log_scale.sum() * x.shape[2] * x.shape[3]).expand(len(x))

    def inverse(self, y):
        return y / self.log_scale.exp()[:, None, None], -(self.log_scale.sum() * y.shape[2] * y.shape[3]).expand(len(y))


class Float32Only(nn.Module):
    """y = 2 x, in float32 and nowhere else."""

    def forward(self, x):
        if x.dtype != torch.float32:
            raise RuntimeError("expected float32")
        return 2 * x, torch.full((len(x),), x.shape[1] * np.log(2.0))


class Bend(nn.Module):
    """y_i = asinh(exp(a_i) sinh(x_i + 1/2)), with a log-det of choice. Two of them do not commute."""

    def __init__(self, a, claim=lambda log_det: log_det):
        super().__init__()
        self.a = nn.Parameter(torch.as_tensor(a))
        self.claim = claim

    @staticmethod
    def log_slope(a, x):
        return (a + x.cosh().log() - 0.5 * (a.exp() * x.sinh()).square().log1p()).sum(-1)

    def forward(self, x):
        return (self.a.exp() * (x + 0.5).sinh()).asinh(), self.claim(self.log_slope(self.a, x + 0.5))

    def inverse(self, y):
        return ((-self.a).exp() * y.sinh()).asinh() - 0.5, self.log_slope(-self.a, y)


class Container(nn.Module):
    """Holds ``layers``; how it sums their log-dets, and in which order it undoes them, is given."""

    def __init__(self, *layers, add=None, undo=reversed):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.add = add or (lambda each: sum(each))
        self.undo = undo

    def forward(self, x):
        each = []
        for layer in self.layers:
            x, log_det = layer(x)
            each.append(log_det)
        return x, self.add(each)

    def inverse(self, y):
        for layer in self.undo(self.layers):
            y, _ = layer.inverse(y)
        return y


def three(**how):
    return Container(Bend([0.3, -0.2]), Bend([-1.0, 0.1]), Bend([0.2, 0.6]), **how)
