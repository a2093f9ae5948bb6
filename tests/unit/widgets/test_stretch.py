"""The handles of the stretch explorer; its numbers are checked by the registry."""

from __future__ import annotations

import pytest

from nfteach.widgets import StretchExplorer
from tests.explorers.entry import drawn
from tests.explorers.front_end import drag


@pytest.mark.parametrize(
    ("handle", "to", "state"),
    [
        ("peak", (0.9, 0.2), {"stretch": 1.99, "shift": 0.9}),  # 0.3989 / 0.2, on the slider's steps
        ("peak", (0.05, 0.3989), {"stretch": 1.0, "shift": 0.0}),  # the middle is easy to hit
        ("peak", (-1.0, -3.0), {"stretch": 3.0, "shift": -1.0}),
        ("right flank", (1.5, 0.7), {"stretch": 1.5, "shift": 0.0}),
        ("left flank", (-1.2, 0.0), {"stretch": 1.2, "shift": 0.0}),
        ("right flank", (-2.0, 0.0), {"stretch": 0.5, "shift": 0.0}),
        ("foot", (-2.2, 0.4), {"stretch": 0.7, "shift": -2.2}),
    ],
)
def test_a_handle_follows_the_pointer_as_far_as_the_controls_go(handle, to, state):
    explorer = StretchExplorer()
    drag(explorer.live, handle, *to)
    assert explorer.state == pytest.approx(state)
    if handle == "right flank" and to[0] > 0:
        assert drawn(explorer, handle)[0] == pytest.approx(to[0])
