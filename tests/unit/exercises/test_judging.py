"""Judging: the three states, mistakes by name, and answers that are broken in other ways."""

from __future__ import annotations

import time

import pytest
import torch

from nfteach.exercises import Exercise, Misconception, lesson_06, lesson_10
from nfteach.exercises.verdict import State, Verdict


def weighted(x, w):
    return x @ w


@pytest.fixture
def inner() -> Exercise:
    """The inner product along the last dimension, (B, D) and (D,) to (B,)."""

    def cases(generator: torch.Generator, index: int):
        D = 3 + index % 3
        w = torch.randn(D, generator=generator).requires_grad_()
        return torch.randn(4, D, generator=generator), w

    return Exercise(
        number="0.8",
        title="an inner product",
        arguments=("x", "w"),
        returns=("the product",),
        cases=cases,
        truth=lambda x, w: torch.stack([sum(a * b for a, b in zip(row, w, strict=True)) for row in x]),
        answer=weighted,
        reasoning="Multiply and add.",
        hints=("What is multiplied with what?", "Then add along the last dimension."),
        misconceptions=(
            Misconception(name="sign", message="The sign is flipped.", answer=lambda x, w: -(x @ w)),
            Misconception(name="not w", message="w plays no role in it.", answer=lambda x, w: x.sum(-1)),
        ),
        gradients=True,
        seconds=1.0,
    )


def skeleton(x, w):
    """Compute nothing yet."""
    # your code here
    ...


def begun(x, w):
    total = x * w  # noqa: F841
    ...


def forgotten(x, w):
    total = x @ w  # noqa: F841


def summed_over_the_batch(x, w):
    return (x @ w).sum()


def raises(x, w):
    return x @ w.reshape(7, 7)


def never_returns(x, w):
    while True:
        time.sleep(0.01)


def exits(x, w):
    raise SystemExit


def writes_into_its_input(x, w):
    x *= w
    return x.sum(-1)


def test_the_right_answer_is_right_on_forty_seeds(inner: Exercise) -> None:
    for seed in range(40):
        assert inner.judged(weighted, seed).state is State.RIGHT


@pytest.mark.parametrize("answer", [None, ..., skeleton, lambda x, w: None])
def test_an_untouched_skeleton_gets_a_quiet_reminder(inner: Exercise, answer) -> None:
    verdict = inner.check(answer)
    assert verdict.state is State.NOT_ATTEMPTED
    assert str(verdict) == "Exercise 0.8: not attempted yet."


def test_each_mistake_gets_its_own_message(inner: Exercise) -> None:
    for one in inner.misconceptions:
        for seed in range(20):
            verdict = inner.judged(one.answer, seed)
            assert (verdict.state, verdict.misconception, verdict.message) == (State.NOT_YET, one.name, one.message)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (forgotten, "returns nothing: is there a `return`"),
        (begun, "returns nothing: is there a `return`"),
        (summed_over_the_batch, "You added up the product over the whole batch."),
        (lambda x, w: (x @ w)[:2], "The product has the shape (2,), but should have the shape (4,)"),
        (raises, "raised RuntimeError: shape '[7, 7]' is invalid"),
        (never_returns, "did not come back within 1 seconds for x of shape (4, 3), w = ["),
        (exits, "raised SystemExit"),
        (lambda x, w: (x @ w).detach(), "no gradient flows through them"),
        (lambda x, w: (x @ w, 1), "Return one thing, the product; what came is a tuple of 2"),
        (lambda x, w: "x @ w", "what came is a str"),
        (lambda x, w: x @ w / 0, "4 of 4 numbers that are NaN or infinite"),
        (lambda x, w: x @ w > 0, "should hold numbers, but it holds True and False"),
        (lambda x, w: 3 * (x @ w), "The product is off by the factor 3, in every case."),
        (lambda x, w: x @ w + x[:, 0].sin(), "The product at ["),
        (3.0, "Hand in a function of x, w, without calling it; what came is 3.0"),
    ],
)
def test_a_broken_answer_gets_a_sentence(inner: Exercise, answer, said: str) -> None:
    verdict = inner.check(answer)
    assert verdict.state is State.NOT_YET
    assert verdict.misconception == ""
    assert said in verdict.message


def test_an_error_is_reported_with_the_learners_own_line(inner: Exercise) -> None:
    assert "`return x @ w.reshape(7, 7)`" in inner.check(raises).message


def test_an_answer_that_writes_into_its_inputs_spoils_nothing(inner: Exercise) -> None:
    verdict = inner.judged(writes_into_its_input, seed=3)
    assert verdict.state is State.RIGHT
    assert verdict.message == "(It changes `x`, which it was given: a copy would be safer.)"


def test_the_share_of_right_inputs_is_reported(inner: Exercise) -> None:
    verdict = inner.judged(lambda x, w: x @ w if x.shape[1] != 4 else x @ w + 1)
    assert "It was right for 4 of 6 inputs." in verdict.message
    assert "x of shape (4, 4)" in verdict.message


def test_a_value_can_be_required() -> None:
    mask = Exercise(
        number="0.7",
        title="a mask",
        arguments=(),
        returns=("the mask",),
        cases=lambda generator, index: (),
        truth=lambda: torch.tensor([True, False, True]),
        answer=torch.tensor([True, False, True]),
        reasoning="Every second.",
        hints=("Begin with True.",),
        misconceptions=(
            Misconception(name="flipped", message="That is the other half.", answer=torch.tensor([False, True, False])),
        ),
    )
    assert mask.judged([True, False, True]).state is State.RIGHT
    assert mask.judged(torch.tensor([True, False, True])).state is State.RIGHT
    assert mask.judged(torch.tensor([False, True, False])).misconception == "flipped"
    assert mask.judged(torch.tensor([False, False, True])).message == (
        "The mask is right everywhere but at the first place."
    )


def test_a_judge_takes_more_than_one_right_answer() -> None:
    even = Exercise(
        number="0.6",
        title="an even number above n",
        arguments=("n",),
        returns=("the number",),
        cases=lambda generator, index: (index,),
        truth=lambda n: n,
        answer=lambda n: 2 * n + 2,
        reasoning="Any will do.",
        hints=("Double it.",),
        misconceptions=(
            Misconception(
                name="odd", message="It is odd.", answer=lambda n: 2 * n + 1, fits=lambda came, n: came % 2 == 1
            ),
        ),
        judge=lambda came, n: "" if came % 2 == 0 and came > n else f"{came} is not even, or not above n.",
    )
    assert even.judged(lambda n: 2 * n + 2).state is State.RIGHT
    assert even.judged(lambda n: 4 * n + 2).state is State.RIGHT
    assert even.judged(lambda n: 2 * n + 3).misconception == "odd"
    assert "It was called with n = 0" in even.judged(lambda n: 0).message


class Scale(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(dim))

    def forward(self, z):
        return z * self.a.exp(), self.a.sum().expand(len(z))


def scaled(Layer, z, a):
    layer = Layer(z.shape[1]).double()
    with torch.no_grad():
        layer.a.copy_(a)
    return layer(z)


@pytest.fixture
def own_layer() -> Exercise:
    """An exercise whose answer is a class."""

    def draw(generator, index):
        return tuple(
            torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((4, 3 + index), (3 + index,))
        )

    message = "The log-determinant of a diagonal map is the sum over its dimensions."
    return Exercise(
        number="0.9",
        title="a scaling layer",
        arguments=("z", "a"),
        returns=("x", "ladj"),
        cases=draw,
        truth=lambda z, a: (z * torch.exp(a), torch.log(torch.exp(a).prod()).repeat(len(z))),
        answer=Scale,
        use=scaled,
        reasoning="The Jacobian is diagonal.",
        hints=("Sum.",),
        misconceptions=(Misconception(name="mean", message=message, edits=("self.a.sum() -> self.a.mean()",)),),
    )


def test_a_class_can_be_required(own_layer: Exercise) -> None:
    class Mean(Scale):
        def forward(self, z):
            return z * self.a.exp(), self.a.mean().expand(len(z))

    class Untouched(torch.nn.Module):
        def __init__(self, dim):
            super().__init__()

        def forward(self, z):
            """Return x and the log-determinant."""
            # your code here
            ...

    class Forgets(Scale):
        def forward(self, z):
            z * self.a.exp()

    class Raises(Scale):
        def forward(self, z):
            return z * self.b

    assert own_layer.judged(Scale).state is State.RIGHT
    assert own_layer.judged(Mean).misconception == "mean"
    assert own_layer.judged(Untouched).state is State.NOT_ATTEMPTED
    assert own_layer.judged(Forgets).message.startswith("Your class returns nothing")
    assert "has no attribute 'b'. It happened in the line `return z * self.b`" in own_layer.judged(Raises).message
    for answer in (Scale(3), lambda z, a: z):
        assert own_layer.judged(answer).message.startswith("Hand in the class itself")


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("forward", lambda x, ladj: None, "`forward` returns nothing"),
        (
            "forward",
            lambda x, ladj: x,
            "`forward` must return two things, x and log|det dx/dz|, but returns one thing.",
        ),
        ("forward", lambda x, ladj: (ladj, x), "`forward` must return x first and log|det dx/dz| second"),
        (
            "inverse",
            lambda z, ladj: (z, ladj, z),
            "`inverse` must return two things, z and log|det dz/dx|, but returns 3",
        ),
        (
            "inverse",
            lambda z, ladj: z,
            "`inverse` must return two things, z and log|det dz/dx|, but returns one thing.",
        ),
    ],
)
def test_a_method_that_does_not_return_a_pair_is_named(method, change, message) -> None:
    class Changed(lesson_06.MyCoupling):
        pass

    setattr(Changed, method, lambda self, point: change(*getattr(lesson_06.MyCoupling, method)(self, point)))
    assert lesson_06.own_layer.judged(Changed).message.startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: None, "`inverse` returns nothing"),
        (lambda x: (x, x.sum(-1)), "`inverse` must return x alone, but returns a tuple"),
        (lambda x: x[:, :1], "The inverse has the shape (4, 1), but should have the shape (4, 3)"),
    ],
)
def test_an_inverse_that_does_not_return_a_point_is_named(change, message) -> None:
    class Changed(lesson_10.MyCoupling):
        def inverse(self, y):
            return change(super().inverse(y))

    assert message in lesson_10.own_coupling.judged(Changed).message


def test_a_wrong_shape_is_reported_when_other_parts_are_right() -> None:
    class Wide(lesson_06.MyCoupling):
        def forward(self, z):
            x, ladj = super().forward(z)
            return x, torch.stack([ladj] * 2)

    message = lesson_06.own_layer.judged(Wide).message
    assert "forward's log-det has the shape (2, 4), but should have" in message


def test_a_lesson_goes_on_with_what_is_right(own_layer: Exercise, capsys) -> None:
    class Mine(Scale):
        pass

    assert own_layer.or_solution(Mine) is Mine
    assert capsys.readouterr().out == ""
    for answer in (None, ..., lambda z: z):
        assert own_layer.or_solution(answer) is Scale
        assert capsys.readouterr().out.startswith("Exercise 0.9 is not solved yet.")
    assert own_layer(2).a.shape == (2,)


def test_inputs_are_fresh_each_time(inner: Exercise) -> None:
    seen = []
    for _ in range(2):
        inner.judged(lambda x, w: seen.append(x.clone()) or x @ w)
    first, second = seen[: inner.tries], seen[inner.tries :]
    assert len(second) == inner.tries
    assert not any(a.equal(b) for a, b in zip(first, second, strict=True))


def test_a_verdict_has_a_sign_and_a_word(inner: Exercise) -> None:
    shown = inner.check(raises)._repr_html_()
    assert "\u2717" in shown
    assert "<b>not yet</b>" in shown
    assert "<code>return x @ w.reshape(7, 7)</code>" in shown


def test_stressed_words_and_code_are_shown_as_such_and_products_are_left_alone() -> None:
    verdict = Verdict("0.8", "a title", State.NOT_YET, "Not 2*x*y or tanh(a)**2 but the *right* one, `x * w`.")
    assert "Not 2*x*y or tanh(a)**2 but the <em>right</em> one, <code>x * w</code>." in verdict._repr_html_()


def test_the_generator_of_pytorch_is_left_as_it_was(inner: Exercise) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    inner.judged(lambda x, w: x @ w + 0 * torch.randn(()))
    assert torch.equal(torch.rand(3), expected)
