"""``fit`` minimises a loss, keeps the best parameters and leaves global state unchanged; ``History`` replays it."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn

from nfteach.flows import FlowDistribution, Planar, RealNVP, Stack
from nfteach.training import History, fit


class Gaussian(nn.Module):
    """N(mean, exp(log_scale)^2), whose maximum likelihood is known in closed form."""

    def __init__(self, dim=2):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(dim))
        self.log_scale = nn.Parameter(torch.zeros(dim))

    def log_prob(self, x):
        return torch.distributions.Normal(self.mean, self.log_scale.exp()).log_prob(x).sum(-1)


class Line(nn.Module):
    """A model of one parameter w."""

    def __init__(self, w=0.0):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(500, 2, generator=generator) * torch.tensor([0.5, 2.0]) + torch.tensor([1.0, -1.0])


quiet = partial(fit, progress=False)
plain = torch.optim.SGD


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def state(module):
    return copy.deepcopy(module.state_dict())


# Losses and optimisers.


def test_maximum_likelihood_of_a_gaussian_is_its_sample_mean_and_deviation(data):
    model = Gaussian()
    quiet(model, data, steps=300, batch_size=500, lr=0.05, schedule="cosine")
    assert model.mean.tolist() == pytest.approx(data.mean(0).tolist(), abs=1e-3)
    assert model.log_scale.exp().tolist() == pytest.approx(data.std(0, correction=0).tolist(), rel=1e-3)


def test_the_flow_of_a_distribution_is_trained(data):
    base = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
    torch.manual_seed(0)
    q = FlowDistribution(base, RealNVP(2, layers=4, hidden=(16,)))
    before = q.log_prob(data).mean().item()
    history = quiet(q, data, steps=150, lr=5e-3, seed=0)
    assert q.log_prob(data).mean().item() > before + 1
    assert history.best_step == history.steps == 150


def test_a_loss_without_data_is_variational_inference():
    # KL(q || N(3, 1)) in closed form, by reparametrised samples of q.
    class Shift(Line):
        def sample(self, n):
            return self.w + torch.randn(n)

    aim = torch.distributions.Normal(3.0, 1.0)
    model = Shift()
    quiet(model, loss=lambda q: -aim.log_prob(q.sample(64)).mean(), steps=300, lr=0.05, seed=1)
    assert model.w.item() == pytest.approx(3, abs=0.15)


def test_a_loss_with_a_step_argument_receives_the_step():
    seen = []

    def loss(model, step):
        seen.append(step)
        return model.w * min(1.0, 0.1 + step)

    quiet(Line(), loss=loss, steps=4)
    assert seen == [0, 1, 2, 3]


def test_one_step_is_one_update_of_the_optimiser():
    model = Line(1.0)
    history = quiet(model, loss=lambda m: m.w**2, steps=1, lr=0.1, optimizer=plain)
    assert model.w.item() == pytest.approx(1 - 0.1 * 2)
    assert history.losses == [1.0]


def test_the_default_optimiser_is_adam(data):
    ours, theirs = Gaussian(), Gaussian()
    quiet(ours, data, steps=20, batch_size=500, lr=0.01)
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for _ in range(20):
        adam.zero_grad()
        (-theirs.log_prob(data).mean()).backward()
        adam.step()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), atol=1e-6, rtol=1e-5)


def test_the_cosine_schedule_falls_from_the_full_rate_to_zero():
    # With a constant gradient of 1, w is the sum of the rates: lr * T / 2, plus half the first rate.
    model = Line()
    quiet(model, loss=lambda m: -m.w, steps=100, lr=0.1, optimizer=plain, schedule="cosine")
    assert model.w.item() == pytest.approx(0.1 * 100 / 2 + 0.05, rel=1e-5)


def test_a_long_gradient_is_scaled_to_max_grad_norm():
    model = Line()
    quiet(model, loss=lambda m: -1e6 * m.w, steps=1, lr=1.0, optimizer=plain, max_grad_norm=0.5)
    assert model.w.item() == pytest.approx(0.5, rel=1e-4)


def test_an_epoch_shows_every_row_once():
    rows = torch.arange(12.0)[:, None]
    seen = []

    def loss(model, batch):
        seen.append(batch.flatten().tolist())
        return model.w * batch.mean()

    quiet(Line(), rows, loss=loss, epochs=2, batch_size=4, seed=0)
    assert [len(batch) for batch in seen] == [4] * 6
    first, second = ([x for batch in part for x in batch] for part in (seen[:3], seen[3:]))
    assert sorted(first) == sorted(second) == rows.flatten().tolist()
    assert first != second


# Validation.


def test_the_best_state_by_validation_is_in_the_model_at_the_end():
    # w grows by one each step; its validation loss is lowest at 7.
    model = Line()
    history = quiet(
        model,
        loss=lambda m: -m.w,
        validation=lambda m: (m.w - 7) ** 2,
        steps=20,
        lr=1.0,
        optimizer=plain,
        validate_every=1,
    )
    assert model.w.item() == 7
    assert history.best_step == 7
    assert [step for step, _ in history.validation] == list(range(21))
    assert min(history.validation, key=lambda pair: pair[1]) == (7, 0.0)


def test_patience_counts_validations_without_a_new_best():
    history = quiet(
        Line(),
        loss=lambda m: -m.w,
        validation=lambda m: (m.w - 7) ** 2,
        steps=50,
        lr=1.0,
        optimizer=plain,
        validate_every=1,
        patience=3,
    )
    assert history.steps == 10
    assert history.stopped_early
    assert history.best_step == 7


def test_validation_data_are_scored_by_the_same_loss_in_evaluation_mode(data):
    torch.manual_seed(0)
    flow = RealNVP(2, layers=2, hidden=(8,), batch_norm=True)
    q = FlowDistribution(torch.distributions.Normal(torch.zeros(2), torch.ones(2)), flow)
    history = quiet(q, data[:400], validation=data[400:], steps=5, validate_every=5)
    flow.eval()  # use the running statistics, not those of the validation batch
    expected = -q.log_prob(data[400:]).mean().item()
    assert dict(history.validation)[history.best_step] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_every_part_of_the_model_is_restored(data, training):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    model.train(training)
    model[1].train(not training)
    modes = []

    def loss(m, batch):
        modes.append((m[0].training, m[1].training))
        return m(batch).square().mean()

    quiet(model, data[:20], loss=loss, validation=data[20:40], steps=2, batch_size=20)
    assert modes == [(False, False), (True, True), (False, False), (True, True), (False, False)]
    assert (model.training, model[0].training, model[1].training) == (training, training, not training)


# Stops of all kinds.


def test_a_keyboard_interrupt_keeps_the_best_so_far():
    model = Line()

    def interrupt(step, loss):
        if step == 9:
            raise KeyboardInterrupt

    options = {"lr": 1.0, "optimizer": plain, "callback": interrupt}
    history = quiet(
        model, loss=lambda m: -m.w, validation=lambda m: (m.w - 4) ** 2, steps=50, validate_every=1, **options
    )
    assert history.interrupted
    assert (history.steps, history.best_step, model.w.item()) == (9, 4, 4)
    # Without validation, the last state is kept.
    model = Line()
    history = quiet(model, loss=lambda m: -m.w, steps=50, **options)
    assert (history.interrupted, history.steps, history.best_step, model.w.item()) == (True, 9, 9, 9)


def test_a_callback_that_returns_true_stops_the_training():
    seen = []
    history = quiet(Line(), loss=lambda m: -m.w, steps=50, callback=lambda step, loss: seen.append(step) or step == 5)
    assert seen == [1, 2, 3, 4, 5]
    assert history.stopped_early
    assert not history.interrupted


def test_a_loss_that_becomes_nan_raises_advice_and_restores_finite_parameters():
    # At step 12, w is 11, and log(10.5 - w) is NaN.
    model = Line()
    with pytest.raises(FloatingPointError, match=r"became nan at step 12 of 50.*smaller lr \(it was 1\)"):
        quiet(model, loss=lambda m: (10.5 - m.w).log(), steps=50, lr=1.0, optimizer=Up)
    assert (10.5 - model.w).log().isfinite()


class Up(torch.optim.Optimizer):
    """An optimiser that adds ``lr`` to each parameter and ignores the gradient."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter += group["lr"]


def test_a_last_update_that_makes_parameters_nan_raises():
    model = Line(4.0)
    with pytest.raises(FloatingPointError, match="with the last update, step 1"):
        # The derivative of sqrt at 0 is infinite, and 0 times it NaN; the loss itself is finite.
        quiet(model, loss=lambda m: (m.w * 0).sqrt(), steps=1)
    assert model.w.item() == 4


def test_a_nan_update_before_an_early_stop_names_its_step():
    # The gradient is NaN from step 4 on, while the losses stay finite.
    model = Line(4.0)
    loss = lambda m, step: (m.w * (step < 3) + 1.0 * (step < 3)).sqrt()  # noqa: E731
    with pytest.raises(FloatingPointError, match="with the last update, step 4 of 50"):
        quiet(model, loss=loss, steps=50, callback=lambda step, loss: step == 4)
    assert model.w.isfinite()


def test_data_without_density_raise_another_message_than_divergence(data):
    class Half(Line):
        def log_prob(self, x):
            return torch.where(x[:, 0] > 0, 0.0, -math.inf) + self.w

    with pytest.raises(FloatingPointError, match="inf at step 1 of 10, before any update"):
        quiet(Half(), data, steps=10)


# Repeatability and global state.


def test_a_seed_makes_a_run_repeatable_to_the_bit_and_leaves_the_global_generator_alone(data):
    def run(seed):
        model = Gaussian()
        loss = lambda m, batch: -m.log_prob(batch + 0.1 * torch.randn(batch.shape)).mean()  # noqa: E731
        history = quiet(model, data, loss=loss, steps=30, seed=seed)
        return history.losses, state(model)

    before = torch.random.get_rng_state()
    (losses, parameters), (again, parameters_again), (other, _) = run(3), run(3), run(4)
    assert torch.equal(before, torch.random.get_rng_state())
    assert losses == again
    assert same(parameters, parameters_again)
    assert losses != other


def test_without_a_seed_the_global_generator_is_used(data):
    def run():
        torch.manual_seed(5)
        return quiet(Gaussian(), data, steps=10).losses

    assert run() == run()


def test_validation_and_snapshots_do_not_change_the_training(data):
    plainly, watched = Gaussian(), Gaussian()
    a = quiet(plainly, data, steps=40, seed=0)
    b = quiet(watched, data, steps=40, seed=0, validation=data[:100], validate_every=3, snapshots=5)
    assert a.losses == b.losses


def test_the_data_are_not_changed(data):
    before = data.clone()
    quiet(Gaussian(), data, steps=10)
    assert torch.equal(before, data)


# Replay.


def test_replay_yields_the_snapshots_and_restores_the_final_state(data):
    torch.manual_seed(0)
    flow = Stack(Planar(2), Planar(2))
    q = FlowDistribution(torch.distributions.Normal(torch.zeros(2), torch.ones(2)), flow.inv)
    start = state(flow)
    history = quiet(q, data, steps=20, lr=0.05, snapshots=5, seed=0)
    final = state(flow)
    seen = [(step, state(flow)) for step, model in history.replay(q) if model is q]
    assert [step for step, _ in seen] == [0, 5, 10, 15, 20]
    assert same(seen[0][1], start)
    assert not same(seen[1][1], seen[2][1])
    assert same(seen[-1][1], final)
    assert same(flow.state_dict(), final)


def test_replay_restores_the_final_state_when_left_early(data):
    model = Gaussian()
    history = quiet(model, data, steps=20, lr=0.1, snapshots=3)
    final = state(model)
    for step, _ in history.replay(model):
        if step:
            break
    assert same(model.state_dict(), final)


def test_snapshots_are_copies_and_may_be_listed_by_step(data):
    model = Gaussian()
    history = quiet(model, data, steps=20, lr=0.1, snapshots=[0, 1, 7])
    assert [step for step, _ in history.snapshots] == [0, 1, 7]
    assert not same(history.snapshots[0][1], history.snapshots[2][1])


def ends_by_patience(step, loss):
    return False


def ends_by_callback(step, loss):
    return step == 7


def ends_by_interrupt(step, loss):
    if step == 7:
        raise KeyboardInterrupt


@pytest.mark.parametrize("callback", [ends_by_patience, ends_by_callback, ends_by_interrupt])
def test_the_last_copy_is_kept_when_the_training_stops_early(callback):
    # w is the number of steps taken; its validation loss is lowest at 4, so that patience ends at 7 too.
    model = Line()
    history = quiet(
        model,
        loss=lambda m: -m.w,
        validation=lambda m: (m.w - 4) ** 2,
        steps=50,
        lr=1.0,
        optimizer=plain,
        validate_every=1,
        patience=3 if callback is ends_by_patience else None,
        snapshots=11,
        callback=callback,
    )
    assert history.stopped_early or history.interrupted
    # The last snapshot is the state after the last step; the model has the best one.
    assert [(step, m.w.item()) for step, m in history.replay(model)] == [(0, 0), (5, 5), (7, 7)]
    assert model.w.item() == 4


def test_an_early_stop_duplicates_no_snapshot_and_adds_none_to_listed_steps(data):
    stop = lambda step, loss: step == 10  # noqa: E731
    history = quiet(Gaussian(), data, steps=20, snapshots=3, callback=stop)
    assert [step for step, _ in history.snapshots] == [0, 10]
    history = quiet(Gaussian(), data, steps=20, snapshots=[0, 4, 20], callback=stop)
    assert [step for step, _ in history.snapshots] == [0, 4]


def test_a_history_is_short_to_print(data):
    history = quiet(Gaussian(), data, steps=200, snapshots=3)
    assert len(repr(history)) < 200
    assert history.seconds > 0
    assert isinstance(history, History)


# The bar.


def test_the_bar_shows_the_loss_and_ends_at_the_last_step(data, capsys):
    fit(Gaussian(), data, steps=30, validation=data)
    shown = capsys.readouterr().err
    assert "30/30" in shown
    assert "loss " in shown
    assert "validation " in shown


def test_without_progress_nothing_is_written(data, capsys):
    quiet(Gaussian(), data, steps=30)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


# Invalid arguments.


def spoilt(value):
    x = torch.zeros(5, 2)
    x[3, 1] = value
    return x


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"data": spoilt(math.nan)}, r"data must be finite, but has nan at \[3, 1\]"),
        ({"data": spoilt(-math.inf)}, r"data must be finite, but has -inf at \[3, 1\]"),
        ({"validation": spoilt(math.inf)}, r"validation must be finite, but has inf at \[3, 1\]"),
        ({"data": torch.zeros(5, 2, dtype=torch.long)}, r"but is torch\.int64; try data\.to\(torch\.float32\)"),
        (
            {"data": torch.zeros(5, 2, dtype=torch.double)},
            r"data must be torch\.float32 like the parameters, but is torch\.float64",
        ),
        ({"data": torch.zeros(0, 2)}, "data must be .* N at least 1"),
        ({"data": [[1.0, 2.0]]}, "data must be a tensor, but is a list"),
        ({"data": None}, "data must be given unless the loss needs none, but is None"),
        ({"steps": 0}, "steps must be a whole number, at least 1, but is 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"steps": 5, "epochs": 5}, "epochs must be given with data and without steps"),
        ({"patience": 3}, "validation must be given when patience is, but is None"),
        ({"snapshots": 1}, "snapshots must be 0, or at least 2"),
        ({"snapshots": 2.5}, r"snapshots must be a whole number of copies.* but is 2\.5"),
        ({"snapshots": [0, 2.5]}, r"list of whole numbers of steps, but is \[0, 2\.5\]"),
        ({"steps": 5, "snapshots": [0, 5, 9, 6, -1]}, "from 0 to 5, the end of the training, but has -1, 6, 9"),
        ({"schedule": "linear"}, "schedule must be"),
        ({"optimizer": "adam"}, "optimizer must be a class"),
        (
            {"loss": lambda m, x: m.log_prob(x)},
            r"loss must return a differentiable scalar tensor, but returned the shape \(5,\)",
        ),
        ({"loss": lambda m, x: 1.0}, "loss must return a differentiable scalar tensor, but returned a float"),
        ({"loss": lambda m, x: torch.tensor(1.0)}, "does not depend on the parameters"),
    ],
)
def test_invalid_arguments_are_rejected(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        quiet(Gaussian(), **{"data": torch.zeros(5, 2)} | options)


def test_models_that_cannot_be_trained_are_rejected(data):
    with pytest.raises(ValueError, match="model must have log_prob, but Planar has none; try FlowDistribution"):
        quiet(Planar(2), data)
    with pytest.raises(ValueError, match="model must have a parameter that requires a gradient, but Identity has none"):
        quiet(nn.Identity(), data)
    with pytest.raises(ValueError, match=r"model must be a torch\.nn\.Module, or a FlowDistribution"):
        quiet(torch.distributions.Normal(0.0, 1.0), data)
