"""The two widgets of lesson 00: the stretched density and the self-test."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nfteach.widgets import SelfTest, StretchExplorer


@pytest.mark.parametrize("stretch", [0.4, 0.77, 1.0, 3.0])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 1.7, 3.0])
def test_the_stretched_density_is_torchs_normal(stretch: float, shift: float) -> None:
    explorer = StretchExplorer()
    explorer.set(stretch=stretch, shift=shift)
    curve = explorer.compute(explorer.state)["curve"]
    expected = torch.distributions.Normal(shift, stretch).log_prob(torch.as_tensor(curve[:, 0])).exp()
    np.testing.assert_allclose(
        curve[:, 1], expected, rtol=1e-5, atol=1e-9
    )  # torch.distributions.Normal works in float32 here
    assert explorer.readout["slope dx/dz"] == stretch
    assert explorer.readout["height of the peak"] == pytest.approx(1 / (stretch * (2 * np.pi) ** 0.5), rel=1e-3)
    assert explorer.readout["area under q"] == pytest.approx(1, abs=1e-5)
    assert not explorer.error


def test_the_self_test_answers_and_has_words_for_a_stored_page(monkeypatch: pytest.MonkeyPatch) -> None:
    widget, sent = SelfTest(), []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append(content))
    widget._handle_custom_msg({"question": "are you there?"}, [])
    assert sent == [{"answer": "yes"}]
    data, _ = widget._repr_mimebundle_()
    assert "has not run" in data["text/html"]
    assert repr(widget) == "SelfTest()"
