"""Two faults in one layer: each is named as it is by itself."""

from functools import cache

import pytest
import torch
from torch import nn

from nfteach import inspect_jacobian
from nfteach.jacobian.compared import UNCHECKED

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))


class Faulty(nn.Module):
    """A coupling layer that multiplies half of the coordinates by exp(c), with the faults that are asked for."""

    def __init__(self, *faults):
        super().__init__()
        torch.manual_seed(0)
        self.faults, self.kept, self.last = faults, torch.tensor(0.3), None
        self.net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 4))
        self.c = nn.Parameter(torch.tensor(0.3))

    def has(self, fault):
        return fault in self.faults

    def forward(self, x):
        if self.has("raises in float32") and x.dtype == torch.float32:
            raise TypeError("float64 only")
        if self.has("raises for one point") and len(x) == 1:
            raise ValueError("one point only")
        s, t = self.net(x[:, :2].detach() if self.has("y cut") else x[:, :2]).chunk(2, -1)
        y = torch.cat([x[:, :2], (x[:, 2:] * s.exp() + t) * self.c.exp()], 1)
        log_det = s.sum(-1) + 2 * (self.kept if self.has("log-det kept") else self.c)
        if self.has("ill-conditioned"):
            y, log_det = torch.cat([1e-8 * y[:, :1], y[:, 1:]], 1), log_det + torch.tensor(1e-8).log()
        if self.has("NaN at one point"):
            y = y.where((x - X[1].to(x)).norm(dim=1, keepdim=True) > 1e-2, torch.nan)
        if self.has("slightly coupled"):
            y = y + 4e-6 * x.roll(1, 0).sin()
        if self.has("noise"):
            y = y + 1e-2 * torch.randn_like(y)
        if self.has("noise like rounding"):
            y = y + 1e-9 * torch.randn_like(y)
        if self.has("other y without gradients") and not torch.is_grad_enabled():
            y = 1.1 * y
        if self.has("log-det cut"):
            log_det = log_det.detach()
        if self.has("log-det drawn"):
            log_det = log_det + 0.1 * torch.randn_like(log_det)
        if self.has("log-det with the wrong sign"):
            log_det = -log_det
        if self.has("log-det of the call before"):
            before, self.last = self.last, log_det.detach()
            log_det = log_det if before is None or before.shape != log_det.shape else before
        return (y.float() if self.has("y in float32") else y), log_det

    def inverse(self, y):
        y = y.to(self.c.dtype).nan_to_num()
        if self.has("ill-conditioned"):
            y = torch.cat([1e8 * y[:, :1], y[:, 1:]], 1)
        c = self.kept if self.has("inverse kept") else self.c
        s, t = self.net(y[:, :2]).chunk(2, -1)
        x = torch.cat([y[:, :2], (y[:, 2:] * (-c).exp() - t) * (-s).exp()], 1)
        log_det = -s.sum(-1) - 2 * c - self.has("ill-conditioned") * torch.tensor(1e-8).log()
        if self.has("other x without gradients") and not torch.is_grad_enabled():
            x = 1.1 * x
        return 2.0 ** self.has("inverse off") * x, log_det + self.has("log-det of the inverse off")


@cache
def named(*faults):
    """Return what is wrong, and what it concerns."""
    report = inspect_jacobian(Faulty(*faults), X)
    found = {(f.code, f.about, f.severity) for f in report.findings}
    return {each for each in found if "error" in each or each[0] in ("batch-size", "low-precision")}


SIGN, KEPT, OFF = "log-det with the wrong sign", "log-det kept", "inverse off"
INVERSE = [OFF, "inverse kept", "log-det of the inverse off", "other x without gradients"]
PAIRS = {
    "slightly coupled": [SIGN, KEPT, "raises for one point", *INVERSE],
    "noise like rounding": [SIGN, "y cut", *INVERSE],
    "noise": [KEPT, "y cut", "log-det cut", "raises for one point", "raises in float32", INVERSE[3]],
    "ill-conditioned": [SIGN, KEPT, "y cut", "inverse kept"],
    "y cut": [SIGN, KEPT, "NaN at one point", *INVERSE],
    KEPT: ["log-det cut", "y in float32", *INVERSE],
    "log-det drawn": ["y cut", "log-det cut", OFF, "raises in float32"],
    "log-det of the call before": INVERSE[:2],
    "y in float32": [SIGN, "raises in float32", OFF],
    "NaN at one point": [SIGN, "log-det cut", OFF],
    "other y without gradients": [SIGN, "y cut", *INVERSE[:2]],
    "log-det of the inverse off": [OFF, SIGN],
    "raises in float32": [OFF],
}


def test_without_faults_nothing_is_named():
    assert named() == set()


@pytest.mark.slow
@pytest.mark.parametrize(("one", "other"), [(one, other) for one, others in PAIRS.items() for other in others])
def test_both_faults_are_named(one, other):
    alone = named(one), named(other)
    assert alone[1]
    assert set.union(*alone) <= named(one, other)


@pytest.mark.parametrize("fault", ["noise", "batch statistics"])
def test_what_a_map_that_changes_cannot_be_held_to_is_not_said_to_agree(fault):
    layer = {"noise": lambda: Faulty("noise"), "batch statistics": lambda: nn.BatchNorm1d(4, affine=False)}[fault]()
    results = {each.name: each.result for each in inspect_jacobian(layer, X).compared}
    assert results["batch sizes"] == results["own dtype"] == results["inverse"] == UNCHECKED


def test_random_numbers_that_depend_on_other_samples_are_no_coupling():
    layer = Faulty()
    layer.net[1] = nn.RReLU()  # draws one number for each negative input
    assert {finding.code for finding in inspect_jacobian(layer, X).findings} == {"non-deterministic"}
