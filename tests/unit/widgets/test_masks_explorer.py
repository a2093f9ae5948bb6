"""The mask explorer's sheets and Jacobians, its drags and errors; its numbers are checked by the registry."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from nfteach.flows import AffineCoupling, ImageRealNVP, channel_mask, checkerboard_mask, squeeze
from nfteach.widgets import MaskExplorer
from nfteach.widgets.masks import stages
from nfteach.widgets.masks.picture import CHANGED, GONE, PASSES
from nfteach.widgets.masks.stages import DEPENDS, LATENT, ONE, SCALE, ZERO, layer_of, look_at, stages_of
from tests.explorers.entry import drawn, picture
from tests.explorers.front_end import state_of
from tests.explorers.pixels import numbered, steps_of


def painted(explorer: MaskExplorer, name: str) -> np.ndarray:
    """Return the codes of the colours in a sheet or matrix."""
    return drawn(explorer, name).astype(int)


@pytest.fixture(scope="module")
def shared() -> MaskExplorer:
    return MaskExplorer()


@pytest.fixture
def explorer(shared: MaskExplorer) -> MaskExplorer:
    shared.reset()
    return shared


@pytest.mark.parametrize("network", ["all", "3 x 3"])
def test_the_jacobian_is_that_of_a_coupling_with_this_mask(network: str) -> None:
    image = np.random.default_rng(0).random(32)
    for stage in stages_of((2, 4, 4), 2):
        kinds, look = look_at(stage, image, network)
        alive = stage.alive
        gone = 32 - alive
        assert (np.diag(kinds)[:gone] == LATENT).all()
        if stage.mask is None:
            continue
        make = channel_mask if "channel" in stage.name else checkerboard_mask
        mask = make(*stage.before, flip="flipped" in stage.name).numpy()
        np.testing.assert_array_equal(stage.mask, mask)
        _, i, j = np.unravel_index(np.arange(alive), stage.before)
        for a in range(alive):
            for b in range(alive):
                near = abs(i[a] - i[b]) <= 1 and abs(j[a] - j[b]) <= 1
                depends = mask[b] and not mask[a] and (network == "all" or near)
                expected = (ONE if mask[a] else SCALE) if a == b else DEPENDS if depends else ZERO
                assert kinds[gone + a, gone + b] == expected
        block = kinds[look.rows][:, look.columns]
        changed = int((~mask).sum())
        assert (block[:-changed, -changed:] == ZERO).all(), "block triangular"
        np.testing.assert_array_equal(block[:-changed, :-changed] != ZERO, np.eye(32 - changed, dtype=bool))


@pytest.mark.parametrize("network", ["all", "3 x 3"])
def test_the_jacobian_of_a_large_image_follows_the_rule_measured_on_small_ones(network: str, monkeypatch) -> None:
    image, steps = np.random.default_rng(0).random(48), stages_of((3, 4, 4), 3)
    measured = [look_at(stage, image, network) for stage in steps]
    monkeypatch.setattr(stages, "MEASURED", 0)
    for stage, (kinds, look) in zip(steps, measured, strict=True):
        told, other = look_at(stage, image, network)
        np.testing.assert_array_equal(told, kinds)
        assert (look.nonzero, look.log_det) == (other.nonzero, other.log_det)


def test_the_log_det_is_that_of_the_matrix() -> None:
    image = np.random.default_rng(0).random(16)
    for stage in stages_of((1, 4, 4), 2):
        layer = layer_of(stage, "3 x 3")
        log_det = look_at(stage, image, "3 x 3")[1].log_det
        if layer is None:
            assert log_det == 0.0
            continue
        x = torch.from_numpy(image[stage.from_pixels[-stage.alive :]])
        J = torch.autograd.functional.jacobian(layer, x)
        assert log_det == pytest.approx(torch.linalg.slogdet(J).logabsdet.item(), abs=1e-12)
        assert isinstance(layer, AffineCoupling) or log_det == 0.0


def test_the_steps_have_their_names(explorer: MaskExplorer) -> None:
    names, _ = steps_of((1, 8, 8), 3)
    labels = [frame["label"] for frame in state_of(explorer.live, "_frames")["list"]]
    assert [re.sub(r"^scale \d, ", "", label) for label in labels] == names


def test_a_squeeze_is_a_permutation_and_its_rows_put_back_the_identity(explorer: MaskExplorer) -> None:
    explorer.set(step=3)
    J = painted(explorer, "J")
    expected = np.zeros((64, 64), dtype=int)
    expected[np.arange(64), squeeze(torch.arange(64).reshape(1, 8, 8)).flatten().numpy()] = ONE
    np.testing.assert_array_equal(J, expected)
    np.testing.assert_array_equal(painted(explorer, "sorted"), ONE * np.eye(64))


def test_each_cell_has_its_pixels_shade_and_the_colour_of_what_happens_to_it() -> None:
    image = np.random.default_rng(1).random((8, 8))
    own = MaskExplorer(image, step=1)
    shade = np.rint(62 * (image - image.min()) / (image.max() - image.min())).astype(int)
    mask = checkerboard_mask(1, 8, 8).reshape(8, 8).numpy()
    cells = painted(own, "image")[2:18:2, 2:18:2]
    np.testing.assert_array_equal(cells, 64 * np.where(mask, PASSES, CHANGED) + shade)
    np.testing.assert_array_equal(painted(own, "tensor"), painted(own, "image"))
    assert (painted(own, "latent") == 255).all()
    own.set(step=6)
    latent = painted(own, "latent")
    np.testing.assert_array_equal(np.sort(latent[latent != 255])[::4], 64 * GONE + np.sort(shade[::2].ravel()))


def test_the_browser_paints_the_colours_that_matplotlib_draws(explorer: MaskExplorer) -> None:
    for step in (1, 8):
        explorer.set(step=step)
        for name in ("J", "sorted", "image", "tensor", "latent"):
            scene, state = (state_of(explorer.live, key)["artists"][name] for key in ("_scene", "_state"))
            image = explorer.live.artist(name)
            np.testing.assert_array_equal(scene["table"][state["index"]], image.to_rgba(image.get_array(), bytes=True))


def test_frames_and_letters_stand_on_the_pixel_and_its_block() -> None:
    image = numbered(8, 8)
    own = MaskExplorer(image, pixel=20)  # row 3, column 4: the upper right of its block
    starts = {name: own.live.artist(name).get_extent()[:2] for name in ("image", "tensor", "latent")}
    for step in range(len(own.live.frames)):
        own.set(step=step)
        for name, at in (("image pixel", 0), ("pixel", 0), ("b", 0), ("b", 1)):
            x, y = drawn(own, name)[at]
            sheet = next(sheet for sheet, (left, right) in starts.items() if left <= x <= right)
            code = painted(own, sheet)[int(y), int(x - starts[sheet][0])]
            assert code != 255, "it stands on a cell"
            if step < 7:
                assert code % 64 == np.rint(62 * 19 / 63)
    own.set(step=3)
    for letter, number in zip("abcd", (18, 19, 26, 27), strict=True):
        for x, y in drawn(own, letter):
            assert own.dragged("pixel", x, y) == {"pixel": number + 1}


def test_a_drag_picks_the_nearest_pixel_in_any_sheet_at_any_step(explorer: MaskExplorer) -> None:
    for step in range(len(explorer.live.frames)):
        explorer.set(step=step)
        for pixel in (1, 30, 64):
            explorer.set(pixel=pixel)
            places = {n: drawn(explorer, n)[0] for n in ("image pixel", "pixel")}
            explorer.set(pixel=7)
            for name, (x, y) in places.items():
                assert explorer.dragged(name, x + 0.4, y - 0.4) == {"pixel": pixel}


def test_presets_and_reset(explorer: MaskExplorer) -> None:
    before = picture(explorer)
    explorer.preset("networks that see 3 × 3")
    assert explorer.state["network"] == "3 x 3"
    explorer.preset("squeeze")
    assert explorer.readout["shape after"] == "4 × 4 × 4"
    assert explorer.state["network"] == "all"
    explorer.reset()
    assert picture(explorer) == before
    assert set(MaskExplorer(numbered(2, 2), scales=1).presets) == {
        "block triangular after all",
        "networks that see 3 × 3",
    }


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (np.zeros((3, 5)), {}, "sides of even length, to be squeezed, but is 3 x 5"),
        (np.zeros(64), {}, r"image must be \(H, W\) or \(C, H, W\), but has the shape \(64,\)"),
        (np.full((2, 2), np.nan), {}, "image has 4 pixels that are NaN or infinite"),
        (np.zeros((4, 4), dtype=complex), {}, "real numbers, but is complex128"),
        (np.zeros((3, 64, 64)), {}, "at most 4096 numbers"),
        (np.zeros((6, 6)), {"scales": 3}, "scale 2 of 3 has images of 3 x 3"),
        (None, {"scales": 0}, "scales must be a whole number from 1 up, but is 0"),
        (None, {"step": 16}, "step must be a whole number from 0 to 15, but is 16"),
        (None, {"pixel": 65}, "pixel must be a whole number from 1 to 64"),
    ],
)
def test_invalid_arguments_are_refused_in_words(image, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MaskExplorer(image, **options)


def test_a_flat_image_is_shown_and_letters_only_where_they_can_be_read() -> None:
    own = MaskExplorer(np.ones((4, 4)))
    assert own.error == ""
    assert len(drawn(own, "a")) == 2
    small = MaskExplorer(numbered(16, 16))
    assert len(drawn(small, "a")) == 0, "letters too small to read"


@pytest.mark.parametrize(("shape", "scales"), [((1, 8, 8), 2), ((1, 8, 8), 3), ((3, 4, 12), 2)])
def test_the_steps_are_those_of_the_image_flow(shape: tuple[int, int, int], scales: int) -> None:
    flow, last = ImageRealNVP(shape, scales=scales), stages_of(shape, scales)[-1]
    np.testing.assert_array_equal(last.to_pixels, flow.place_of)
    assert list(last.latents) == flow.latent_shapes
