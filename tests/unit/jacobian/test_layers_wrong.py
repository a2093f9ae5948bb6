"""inspect_layers on stacks with a mistake, in a layer, in the container or in what was given: who is blamed for it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import transforms as T

from nfteach.flows import BatchNorm, Planar, RealNVP, Stack
from nfteach.jacobian import inspect_jacobian, inspect_layers
from tests.unit.jacobian.layer_zoo import Bend, Container, points, three

pytestmark = pytest.mark.usefixtures("two_copies")


def words(report):
    return " ".join(str(report).split())


def codes(report):
    return {(where, finding.code) for where, finding in report.findings if finding.severity == "error"}


X = points(6, 2)


def test_the_right_container_passes():
    assert inspect_layers(three(), X).check().findings == ()


@pytest.mark.parametrize(
    ("add", "guess"),
    [
        (lambda each: each[0] + each[1], "It leaves out layer 3."),
        (lambda each: each[0] + each[2], "It leaves out layer 2."),
        (lambda each: each[0] + each[1] + each[2] + each[1], "It counts layer 2 twice."),
        (lambda each: each[0] - each[1] + each[2], "It subtracts the log-det of layer 2 instead of adding it."),
        (lambda each: each[2], "It is the log-det of the last layer alone"),
        (lambda each: -sum(each), "It is minus their sum."),
        (lambda each: sum(each) / 3, "It is their mean"),
        (lambda each: each[0] * each[1] * each[2], "but that of the composition is"),
    ],
)
def test_a_container_that_sums_wrong_is_blamed_and_its_layers_are_not(add, guess):
    report = inspect_layers(three(add=add), X)
    assert all(layer.ok for layer in report)
    assert {where for where, _ in codes(report)} == {"composition"}
    assert all(code.startswith("log-det") for _, code in codes(report))
    assert [(check.name, check.ok) for check in report.checks] == [
        ("image", True),
        ("log-det", False),
        ("Jacobian", True),
    ]
    # The gap, by hand.
    running, x = [], X.double()
    for a in ([0.3, -0.2], [-1.0, 0.1], [0.2, 0.6]):
        c, x = torch.tensor(a).double().exp(), x + 0.5
        running.append((c * x.cosh() / (1 + (c * x.sinh()) ** 2).sqrt()).log().sum(-1))
        x = (c * x.sinh()).asinh()
    np.testing.assert_allclose(report.checks[1].gap, (sum(running) - add(running)).abs(), rtol=1e-9)
    assert guess in words(report)
    assert "the log-det of every layer is right; the error is in how they are summed." in words(report)
    with pytest.raises(AssertionError, match="log-dets of the layers add up to"):
        report.check()


def test_a_wrong_layer_is_named_and_the_others_are_innocent():
    layers = [Bend([0.3, -0.2]), Bend([-1.0, 0.1], lambda log_det: -log_det), Bend([0.2, 0.6]), Bend([0.0, 0.1])]
    for stack in (layers, Container(*layers)):
        report = inspect_layers(stack, X)
        assert codes(report) == {("layer 2, Bend", "log-det-sign"), ("composition", "log-det-wrong")}
        assert all(check.ok for check in report.checks)  # the sum itself is right
        assert "it comes from layer 2; layers 1, 3 and 4 are right." in words(report)
        with pytest.raises(AssertionError, match=r"layer 2, Bend: \[log-det-sign\]"):
            report.check()


def test_two_mistakes_that_cancel_are_found_all_the_same():
    signs = [lambda log_det: log_det + 0.5, lambda log_det: log_det - 0.5]
    report = inspect_layers([Bend([0.3, -0.2], signs[0]), Bend([0.1, 0.4], signs[1])], X)
    assert report.composition.ok
    assert codes(report) == {("layer 1, Bend", "log-det-wrong"), ("layer 2, Bend", "log-det-wrong")}
    assert not report.ok


def test_layers_undone_in_the_order_they_were_done():
    report = inspect_layers(three(undo=iter), X)
    assert codes(report) == {("composition", "inverse-wrong")}
    assert "are they applied from the last layer to the first?" in words(report)


def test_a_container_that_runs_its_layers_in_another_order():
    class Backwards(Container):
        def forward(self, x):
            total = 0
            for layer in reversed(self.layers):
                x, log_det = layer(x)
                total = total + log_det
            return x, total

        def inverse(self, y):
            for layer in self.layers:
                y, _ = layer.inverse(y)
            return y

    class Inverted(Backwards):
        def forward(self, x):
            total = 0
            for layer in reversed(self.layers):
                x, log_det = layer.inverse(x)
                total = total + log_det
            return x, total

        def inverse(self, y):
            for layer in self.layers:
                y, _ = layer(y)
            return y

    layers = [Bend([0.3, -0.2]), Bend([-1.0, 0.1]), Bend([0.2, 0.6])]
    for container, why in ((Backwards, "in the reverse order"), (Inverted, "the stack runs backwards")):
        report = inspect_layers(container(*layers), X)
        assert report.findings == ()  # neither the layers nor the whole are wrong by themselves
        assert [(check.name, check.ok) for check in report.checks] == [("image", False)]
        assert why in words(report)
        assert not report.ok
        with pytest.raises(AssertionError, match="is not the image under the layers"):
            report.check()


def test_a_gradient_cut_between_layers_is_the_containers_fault():
    class Cut(Container):
        def forward(self, x):
            total = 0
            for layer in self.layers:
                y, log_det = layer(x)
                x, total = x + (y - x).detach(), total + log_det
            return x, total

    report = inspect_layers(Cut(Bend([0.3, -0.2]), Bend([-1.0, 0.1])), X)
    assert ("composition", "gradient-cut") in codes(report)
    assert {where for where, _ in codes(report)} == {"composition"}
    assert [check.ok for check in report.checks] == [True, True, True]  # by central differences, J is the product
    assert "gradient-cut of the composition: no single layer shows it." in words(report)


def test_a_mistake_that_shows_only_away_from_initial_parameters():
    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.s = nn.Parameter(torch.zeros(2))

        def forward(self, x):
            return x * self.s.exp(), -self.s.sum().expand(len(x))

        def inverse(self, y):
            return y * (-self.s).exp(), self.s.sum().expand(len(y))

    sound = Bend([0.1, 0.2])
    for stack in ([sound, Late()], [lambda x, layer=sound: layer(x), Late()], Container(sound, Late())):
        assert inspect_layers(stack, X).ok
        report = inspect_layers(stack, X, perturb=0.5)
        wrong = {where for where, code in codes(report) if code.startswith("log-det")}
        assert wrong == {"layer 2, Late", "composition"}
        assert "it comes from layer 2; layer 1 is right." in words(report)


def test_the_layers_in_a_row_are_moved_too_though_functions_hold_them():
    module = Bend([0.1, 0.2])
    report = inspect_layers([lambda x: module(x), Bend([0.0, 0.3])], X, perturb=0.5)
    copies = report.composition.moved
    assert copies
    assert all((copy.y - report.composition.y).abs().max() > 1e-3 for copy in copies)
    assert module.a.tolist() == pytest.approx([0.1, 0.2])


def refuses(x):
    raise RuntimeError("not today")


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_layer_that_raises_stops_the_walk(at):
    layers = [Bend([0.3, -0.2]), Bend([0.1, 0.4])]
    layers.insert(at, refuses)
    report = inspect_layers(layers, X)
    assert (report.stopped_at, len(report)) == (at, 3)
    assert [layer is not None for layer in report] == [k <= at for k in range(3)]
    assert report.composition is None
    assert codes(report) == {(f"layer {at + 1}, refuses", "raises")}
    assert report.running_log_det[:at].isfinite().all()
    assert report.running_log_det[at:].isnan().all()
    text = words(report)
    assert f"Stopped at layer {at + 1}, refuses: it raised RuntimeError: not today." in text
    assert text.count("not reached") == (2 - at) + (at < 2)
    assert report._repr_html_().count(">not reached</td>") == 2 - at
    with pytest.raises(AssertionError, match="not today"):
        report.check()


def test_a_container_whose_layer_raises_is_reported_itself():
    class Refuses(nn.Module):
        def forward(self, x):
            raise RuntimeError("not today")

    report = inspect_layers(Container(Bend([0.3, -0.2]), Refuses()), X)
    assert codes(report) == {("layer 2, Refuses", "raises"), ("composition", "raises")}
    assert report.checks == ()


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (lambda x: torch.cat([x, x[:, :1]], 1), "maps 2 numbers to 3"),
        (lambda x: x[:, :1], "maps 2 numbers to 1"),
        (lambda x: [x], "returned a list"),
        (Planar(3), "takes events of shape (3)"),
        (T.StickBreakingTransform(), "maps 2 numbers to 3"),
    ],
)
def test_a_layer_of_another_shape_in_the_middle(layer, what):
    report = inspect_layers([Bend([0.3, -0.2]), layer, Bend([0.1, 0.4])], X)
    assert report.stopped_at == 1
    assert report[1] is None
    assert report[2] is None
    assert what in words(report)
    assert "The layer after it was not reached." in words(report)
    assert {where for where, _ in codes(report)} == {f"layer 2, {report.names[1]}"}
    assert max(map(len, str(report).splitlines())) <= 96


def test_a_layer_that_returns_nan_stops_the_walk_where_others_follow():
    x = torch.tensor([[1.0, 2.0], [-1.0, 2.0]])
    log = lambda x: (x.log(), -x.log().sum(-1))  # noqa: E731
    report = inspect_layers([log, Bend([0.1, 0.4])], x)
    assert report.stopped_at == 0
    assert "NaN or infinity came out of it at 1 of 2 points" in words(report)
    last = inspect_layers([Bend([0.1, 0.4]), log], x)
    assert last.stopped_at is None
    assert ("layer 2, lambda", "non-finite") in codes(last)


def test_samples_that_talk_in_one_layer():
    report = inspect_layers(Stack(Planar(3), BatchNorm(3).train(), Planar(3)), points(6, 3))
    assert {("layer 2, BatchNorm", "samples-coupled"), ("composition", "samples-coupled")} <= codes(report)
    # The blocks dy_b/dx_b of coupled layers do not multiply; what can be compared is.
    assert [(check.name, check.ok) for check in report.checks] == [("image", True), ("log-det", True)]
    assert "samples-coupled of the composition: it comes from layer 2" in words(report)
    assert "their Jacobians multiply" not in words(report)


def test_noise_in_one_layer():
    report = inspect_layers([Bend([0.1, 0.4]), nn.Dropout(0.5)], X)
    assert ("layer 2, Dropout", "non-deterministic") in codes(report)
    assert report.checks == ()


def test_a_fold_in_one_layer_folds_the_whole():
    fold = lambda x: (torch.stack([x[:, 0] ** 2, x[:, 1]], 1), (2 * x[:, 0]).abs().log())  # noqa: E731
    report = inspect_layers([Bend([0.3, -0.2]), fold], X)
    both = {("layer 2, lambda", "determinant-changes-sign"), ("composition", "determinant-changes-sign")}
    assert codes(report) == both
    assert "it comes from layer 2; layer 1 is right." in words(report)


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ([], "stack: there must be at least one layer, but this list is empty"),
        (nn.Sequential(), "stack: there must be at least one layer, but this Sequential is empty"),
        ([Planar(2), None], r"stack\[1\] must be a flow, a Transform, a module or a function, but is None"),
        (3.0, r"stack must be a sequence of layers, or hold one as .parts, .* but is a float"),
        (Planar(2), "but is a Planar that holds none; for a single layer use inspect_jacobian"),
        (torch.ones(3), "but is a Tensor"),
        ({"a": Planar(2)}, "but is a dict"),
    ],
)
def test_what_is_no_stack_is_refused_in_words(stack, message):
    with pytest.raises(ValueError, match=message):
        inspect_layers(stack, X)


@pytest.mark.parametrize("stack", [RealNVP(3, layers=2), [Planar(3), Planar(3)]])
def test_points_that_the_stack_cannot_take_are_refused(stack):
    with pytest.raises(ValueError, match=r"takes events of shape \(3\), but x has the shape \(6, 2\)"):
        inspect_layers(stack, X)
    for bad in (torch.ones(2, 3, dtype=torch.long), torch.full((2, 3), torch.nan), torch.zeros(0, 3)):
        with pytest.raises(ValueError, match="x must"):
            inspect_layers(stack, bad)
    with pytest.raises(ValueError, match="perturb must be"):
        inspect_layers(stack, torch.ones(2, 3), perturb=-1.0)


def test_the_reports_are_those_of_inspect_jacobian():
    layers = [Bend([0.3, -0.2]), Bend([0.1, 0.4])]
    report = inspect_layers(layers, X)
    alone = inspect_jacobian(layers[1], inspect_jacobian(layers[0], X).y)
    np.testing.assert_array_equal(report[1].jacobian, alone.jacobian)
    np.testing.assert_array_equal(report[1].log_det, alone.log_det)
