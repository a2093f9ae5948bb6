"""Faults of FrEIA 0.2, shown without the inspector."""

import numpy as np
import torch

from tests.peers.numerics import double_precision, points, slow_jacobian
from tests.peers.registry import library, made


def test_autoencoder_is_not_orthogonal_before_it_is_trained():
    known = library("freia").layers["InvAutoFC"]
    x = points(7, 5).double()
    with double_precision(), torch.no_grad():
        layer = made(known)
        y, claim = layer([x])
        back = layer(y, rev=True)[0][0]
        log_det = np.linalg.slogdet(slow_jacobian(lambda x: layer([x])[0][0], x).numpy())[1]
    assert (back - x).abs().max() > 1
    assert np.abs(log_det).min() > 1
    assert torch.as_tensor(claim).abs().max() == 0
