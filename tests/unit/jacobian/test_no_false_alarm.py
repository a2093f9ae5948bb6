"""A thousand random sound layers: none is called wrong, and each note that is made of one is true."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions.transforms import Transform

from nfteach.jacobian import inspect_jacobian
from tests.unit.jacobian.sound.draw import sound_layer
from tests.unit.jacobian.sound.kinds import KINDS

pytestmark = pytest.mark.slow

LAYERS, CHUNKS = 1000, 20
NAMES = sorted(KINDS)


def expected_notes(sound, report):
    """The codes of what is worth knowing of a sound layer, and is no fault of it."""
    one_way = isinstance(sound.layer, nn.Module) and not isinstance(sound.layer, Transform) and not sound.invertible
    ill = np.linalg.cond(report.jacobian.numpy()).max() > 1 / torch.finfo(torch.float32).eps
    return {
        "inverse-missing": one_way,
        "changes-state": sound.manner in {"counts its calls", "writes into what it is given"},
        "low-precision": sound.manner == "in float32 only",
        "ill-conditioned": bool(ill),
        "batch-size": sound.manner == "never alone" and len(report.x) > 1,
    }


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_sound_layer_is_not_called_wrong(chunk):
    for number in range(chunk, LAYERS, CHUNKS):
        sound = sound_layer(NAMES[number % len(NAMES)], number)
        report = inspect_jacobian(sound.layer, sound.x, **sound.told)
        which = f"layer {number}, {sound.kind}, {sound.manner}: {report.findings}"
        assert report.ok, which
        assert report.claim.values is not None, which
        codes = Counter(finding.code for finding in report.findings)
        assert max(codes.values(), default=1) == 1, which
        expected = {code for code, holds in expected_notes(sound, report).items() if holds}
        # Where J is ill-conditioned, a layer may lose digits in its own dtype.
        assert codes.keys() - expected <= ({"low-precision"} if "ill-conditioned" in expected else set()), which
        assert expected <= codes.keys(), which


@pytest.mark.parametrize("kind", NAMES)
def test_a_sound_layer_whose_parameters_are_moved_is_not_called_wrong(kind):
    sound = sound_layer(kind, 1)
    report = inspect_jacobian(sound.layer, sound.x, **sound.told, perturb=0.5)
    assert report.ok, report.findings


def test_the_thousand_are_of_many_kinds_and_shapes():
    layers = [sound_layer(NAMES[number % len(NAMES)], number) for number in range(LAYERS)]
    assert len({sound.kind for sound in layers}) >= 12
    dims = Counter(sound.x[0].numel() if sound.x.dim() > 1 else len(sound.x) for sound in layers)
    assert set(dims) == set(range(1, 17))
    assert {len(sound.x) for sound in layers if sound.x.dim() > 1} == set(range(1, 13))
    sizes = torch.tensor([float(sound.x.abs().max()) for sound in layers])
    assert (sizes < 0.1).sum() > 50
    assert (sizes > 50).sum() > 50
    assert min(Counter((sound.manner, sound.x.dtype) for sound in layers).values()) > 10
