"""Answers that are right in their own way, and answers that harm: arguments, forms, precision, and the process."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import re
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

from nfteach.exercises import (
    lesson_00,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_09,
)
from nfteach.exercises.table import exercises_of, lessons
from nfteach.exercises.verdict import State

ALL = [exercise for lesson in lessons() for exercise in exercises_of(lesson)]
sigmoid = torch.sigmoid


def popped(z, layers):
    total = 0
    while layers:
        z, ladj = layers.pop(0).call_and_ladj(z)
        total = total + ladj
    return total


def reversed_in_place(z, layers):
    layers.reverse()
    return popped(z, layers)


def popped_inverses(layers, x, at=-1):
    total = 0
    while layers:
        x, ladj = layers.pop(at).inverse_and_ladj(x)
        total = total + ladj
    return total


def solved(z, conditionals, ordering, prepare=None):
    if prepare:
        prepare(ordering)
    x = torch.zeros(z.shape)
    while ordering:
        i = ordering.pop(0)
        x[:, i] = conditionals(x).from_normal(z)[:, i]
    return x


def drawn_in_single_precision(u, ordering, W, V, b, c):
    x = torch.zeros(u.shape)
    for d, pixel in enumerate(ordering):
        h = sigmoid(x @ W.T + c)
        x[:, pixel] = (u[:, d] < sigmoid(h @ V[pixel] + b[pixel])).float()
    return x


def seen_in_single_precision(x, d, ordering, W, V, b, c):
    seen = torch.zeros(x.shape)
    seen[:, ordering[:d]] = x[:, ordering[:d]].float()
    return sigmoid(sigmoid(seen @ W.T + c) @ V[ordering[d]] + b[ordering[d]])


def stacked(z, x, f, log_p):
    return torch.stack([log_p(z) - f.call_and_ladj(z)[1], log_p(f.inv(x)) + f.inverse_and_ladj(x)[1]])


def listed_densities(x, a, c):
    return [float(lesson_00.normal((v - c) / a)) / abs(a) for v in x]


def listed_blocks(mask):
    D = range(len(mask))
    return [[1 if i == j and mask[i] else 3 if i == j else 2 if mask[j] and not mask[i] else 0 for j in D] for i in D]


def energy_of_shape_1(flow, z, log_base, log_target):
    x, ladj = flow.call_and_ladj(z)
    return (log_base(z) - ladj - log_target(x)).mean(0, keepdim=True)


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (lesson_01.composition, popped),
        (lesson_07.composed, popped_inverses),
        (lesson_03.inverse, solved),
        (lesson_02.sampling, drawn_in_single_precision),
        (lesson_02.conditional, seen_in_single_precision),
        (lesson_00.stretched, listed_densities),
        (lesson_06.blocks, listed_blocks),
        (lesson_01.both_ways, stacked),
        (lesson_01.both_ways, lambda *given: list(stacked(*given))),
        (lesson_05.free_energy, energy_of_shape_1),
        (lesson_05.modes, lambda density: torch.tensor([lesson_05.modes.answer(density)])),
        (lesson_05.modes, lambda density: np.int64(lesson_05.modes.answer(density))),
        (lesson_05.modes, lambda density: float(lesson_05.modes.answer(density))),
    ],
)
def test_right_answers_in_another_form_are_right(exercise, answer) -> None:
    for seed in range(3):
        verdict = exercise.judged(answer, seed)
        assert verdict.state is State.RIGHT, str(verdict)


@pytest.mark.parametrize(
    ("exercise", "answer", "name"),
    [
        (lesson_01.composition, reversed_in_place, "in reverse order"),
        (lesson_07.composed, lambda layers, x: popped_inverses(layers, x, at=0), "in forward order"),
        (lesson_03.inverse, lambda z, c, o: solved(z, c, o, list.sort), "order of the data"),
        (lesson_03.inverse, lambda z, c, o: solved(z, c, o, list.reverse), "parameters not updated"),
    ],
)
def test_wrong_answers_that_change_their_arguments_are_wrong(exercise, answer, name: str) -> None:
    assert exercise.judged(answer, 1).misconception == name


def test_a_changed_argument_is_reported() -> None:
    def forward(x, mask, s, t):
        x[..., ~mask] = x[..., ~mask] * torch.exp(s(x[..., mask])) + t(x[..., mask])
        return x

    assert lesson_06.forward.judged(forward, 1).misconception == "in place"
    assert lesson_01.composition.judged(popped, 1).message == (
        "(It changes `layers`, which it was given: a copy would be safer.)"
    )


def test_a_flow_that_is_trained_on_the_way_is_reported() -> None:
    def trains(flow, z, log_base, log_target):
        x, ladj = flow.call_and_ladj(z)
        (log_base(z) - ladj - log_target(x)).mean().backward()
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter -= 0.1 * parameter.grad
        x, ladj = flow.call_and_ladj(z)
        return (log_base(z) - ladj - log_target(x)).mean()

    assert lesson_05.free_energy.judged(trains, 1).message.startswith("You changed `flow`")


def test_a_call_of_backward_is_reported() -> None:
    def energy(flow, z, log_base, log_target):
        x, ladj = flow.call_and_ladj(z)
        F = (log_base(z) - ladj - log_target(x)).mean()
        F.backward()
        return F

    assert "You called `backward()` inside" in lesson_05.free_energy.judged(energy, 1).message


def test_a_clash_of_dtypes_gets_advice() -> None:
    def psi(z, w, b):
        return (1 - torch.tanh(z.double() @ w.float() + b) ** 2)[:, None] * w

    assert "make new tensors like those that you were given" in lesson_04.psi.judged(psi, 1).message


def test_errors_inside_a_layer_point_at_the_learners_line() -> None:
    def swapped(layers, x):
        total = 0
        for layer in reversed(layers):
            ladj, x = layer.inverse_and_ladj(x)
            total = total + ladj
        return total

    assert "in the line `ladj, x = layer.inverse_and_ladj(x)`" in lesson_07.composed.judged(swapped, 1).message


@contextlib.contextmanager
def upset():
    """Set all that a notebook may set, and restore it afterwards."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.autograd.set_detect_anomaly(True)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
        torch.set_default_device(None)
        torch.set_grad_enabled(True)
        torch.autograd.set_detect_anomaly(False)


@pytest.mark.slow
def test_the_state_of_the_notebook_makes_no_difference() -> None:
    with upset(), torch.inference_mode():
        for exercise in ALL:
            assert exercise.judged(exercise.answer, 1).state is State.RIGHT, exercise.number
            verdict = exercise.judged(exercise.misconceptions[0].answer, 1)
            assert verdict.misconception == exercise.misconceptions[0].name, exercise.number


def state() -> list:
    """Return all that an answer may change."""
    return [
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_anomaly_enabled(),
        list(warnings.filters),
        os.getcwd(),
        torch.tanh,
        torch.Tensor.sum,
        torch.nn.functional.softplus,
        np.exp,
        sys.stdout,
        threading.active_count(),
    ]


def test_an_answer_leaves_the_process_as_it_was(tmp_path) -> None:
    def harms(z, w, b):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        torch.autograd.set_detect_anomaly(True)
        warnings.simplefilter("error")
        os.chdir(tmp_path)
        torch.tanh = torch.Tensor.sum = torch.nn.functional.softplus = np.exp = lambda *given: 0
        sys.stdout = None
        raise ValueError

    for seed in (1, 1):
        before = state()
        assert "raised ValueError" in lesson_04.psi.judged(harms, seed).message
        assert state() == before


@pytest.mark.parametrize("stubborn", [False, True])
def test_an_endless_answer_leaves_no_thread(stubborn: bool) -> None:
    def endless(z, w, b):
        while True:
            try:
                z = z + torch.tanh(z)
            except BaseException:
                if not stubborn:
                    raise

    exercise = dataclasses.replace(lesson_04.psi, seconds=0.2)
    assert "did not come back within 0.2 seconds" in exercise.judged(endless, 1).message
    assert [thread for thread in threading.enumerate() if thread.name == "exercise"] == []


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_an_interrupt_leaves_no_thread() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background may ignore it
    started = threading.Event()

    def endless(z, w, b):
        started.set()
        while True:
            pass

    def interrupt():
        started.wait()
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            lesson_04.psi.judged(endless, 1)
    finally:
        signal.signal(signal.SIGINT, before)
    interrupter.join()
    assert [thread for thread in threading.enumerate() if thread.name == "exercise"] == []


def test_imports_take_no_time_and_end_whole(tmp_path) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.6)\nloaded = True\n")
    code = """
import dataclasses
from nfteach.exercises import lesson_04
def psi(z, w, b):
    import slow_to_import
    return lesson_04.psi.answer(z, w, b)
print(dataclasses.replace(lesson_04.psi, seconds=0.2).judged(psi, 1))
import slow_to_import
print(slow_to_import.loaded)
"""
    path = os.pathsep.join([str(tmp_path), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert run.stdout.split("\n")[:2] == ["Exercise 4.1: right.", "True"], run.stderr


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.number)
def test_nothing_is_given_away_by_a_forgotten_bracket(exercise) -> None:
    for shown in (repr(exercise), repr(exercise.hint), repr(exercise.check), str(exercise.solution)):
        assert len(shown) < 250
        assert not any(hint in shown for hint in exercise.hints)
    assert re.search(r"exercise\.\w+\.hint\(\)", repr(exercise))


class Weird:
    """A thing that breaks whatever is done with it."""

    def __eq__(self, other):
        raise RuntimeError

    def __repr__(self):
        raise RuntimeError

    def __bool__(self):
        raise RuntimeError


def endlessly(*given):
    return endlessly(*given)


STRANGE = [
    *(Weird(), int, torch.sum, torch.nn.Linear(2, 2), lambda: 1, endlessly),
    *(lambda *given, value=value: value for value in (Weird(), [Weird()], {}, [], b"x", [1, [2, 3]], 10**400, Weird)),
    *(lambda *given, value=value: value for value in (torch.zeros(3, device="meta"), torch.zeros(3).to_sparse())),
    *(lambda *given, value=value: value for value in (torch.zeros(3) * 1j, torch.empty(0), np.array([None]))),
    lambda *given: torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.quint8),
    lambda *given: given,
]


@pytest.mark.parametrize("number", ["0.1", "1.3", "5.1", "5.2", "6.4", "7.1", "9.1", "9.2", "9.4"])
def test_strange_answers_get_a_sentence(number: str) -> None:
    exercise = next(one for one in ALL if one.number == number)
    for answer in STRANGE:
        verdict = exercise.judged(answer, 1)
        assert verdict.state is State.NOT_YET
        assert "could not be judged" not in verdict.message
        assert verdict._repr_html_()


def test_broken_judges_are_a_sentence() -> None:
    broken = dataclasses.replace(lesson_04.psi, truth=lambda *given: 1 / 0)
    message = broken.judged(broken.answer, 1).message
    assert message.startswith("This answer could not be judged: ZeroDivisionError('division by zero').")


def test_the_arguments_of_the_failing_call_can_be_had() -> None:
    def psi(z, w, b):
        return lesson_04.psi.answer(z, w, b) + (len(w) == 4)

    lesson_04.psi.check(lesson_04.psi.answer)
    verdict = lesson_04.psi.check(psi)
    z, w, b = lesson_04.psi.inputs()
    assert (z.shape, w.shape) == ((4, 4), (4,))
    assert f"b = {b:.4g}" in verdict.message
    assert lesson_04.psi.inputs()._fields == ("z", "w", "b")
    with pytest.raises(LookupError, match=r"no answer to exercise 4\.9 has gone wrong yet"):
        dataclasses.replace(lesson_04.psi, number="4.9").inputs()


def test_a_verdict_offers_help() -> None:
    shown = lesson_04.psi.check(lesson_04.psi.misconceptions[0].answer)._repr_html_()
    assert shown.count("<details>") == len(lesson_04.psi.hints) + 2
    assert "exercise.psi.inputs()" in shown
    assert "Exercise 4.1, seed" in shown
    assert "<details>" not in lesson_04.psi.check(lesson_04.psi.answer)._repr_html_()


def test_elimination_of_a_triangular_matrix_is_wrong_and_named() -> None:
    verdict = lesson_03.log_det.judged(lambda J: torch.linalg.slogdet(J).logabsdet, 1)
    assert verdict.state is State.NOT_YET
    assert verdict.misconception == "elimination"


class Radial(torch.nn.Module):
    """The layer of exercise 9.3, whose Jacobian has a structure without a name."""

    def __init__(self, dim):
        super().__init__()
        self.z0, self.a = torch.nn.Parameter(torch.randn(dim)), torch.nn.Parameter(torch.zeros(()))

    def forward(self, z):
        alpha = self.a.exp()
        r = (z - self.z0).norm(dim=-1)
        c = 1 + alpha / (alpha + r)
        y = z + alpha * (z - self.z0) / (alpha + r)[..., None]
        return y, (z.shape[-1] - 1) * c.log() + (c - alpha * r / (alpha + r) ** 2).log()

    def inverse(self, y):
        alpha = self.a.exp()
        p = 2 * alpha - (y - self.z0).norm(dim=-1, keepdim=True)
        r = (-p + torch.sqrt(p * p + 4 * alpha * (y - self.z0).norm(dim=-1, keepdim=True))) / 2
        return self.z0 + (y - self.z0) / (1 + alpha / (alpha + r))


class OddOnly(Radial):
    def __init__(self, dim):
        if dim % 2 == 0:
            raise ValueError("odd dimensions only")
        super().__init__(dim)


def test_own_layers_need_no_name_for_their_structure_but_all_dimensions() -> None:
    assert lesson_09.your_layer.judged(Radial, 1).state is State.RIGHT
    assert "Can you say what its determinant costs" in lesson_09.your_layer.judged(Radial, 1).message
    assert "odd dimensions only" in lesson_09.your_layer.judged(OddOnly, 1).message


def test_an_inherited_layer_is_not_an_answer() -> None:
    from nfteach import Planar

    class Mine(Planar):
        pass

    assert "is not your own" in lesson_09.your_layer.judged(Mine, 1).message
