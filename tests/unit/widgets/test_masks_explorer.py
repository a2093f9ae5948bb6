"""The mask explorer's sheets and Jacobians, its drags and errors; its numbers are checked by the registry."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nfteach.flows import AffineCoupling, ImageRealNVP, channel_mask, checkerboard_mask, squeeze
from nfteach.widgets import MaskExplorer
from nfteach.widgets import mask_stages as stages
from nfteach.widgets.mask_stages import DEPENDS, LATENT, ONE, SCALE, ZERO, layer_of, look_at, stages_of
from nfteach.widgets.masks import CHANGED, GONE, PASSES
from tests.explorers.entry import drawn, picture
from tests.explorers.front_end import say
from tests.explorers.pixels import numbered, steps_of


def gesture(explorer: MaskExplorer, name: str, *values: float) -> None:
    say(explorer.live, type="gesture", name=name, values=list(values), number=1)
    assert explorer.error == ""


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


def test_a_squeeze_is_a_permutation_and_its_rows_put_back_the_identity(explorer: MaskExplorer) -> None:
    explorer.set(step=3)
    J, put_back = drawn(explorer, "J")
    expected = np.zeros((64, 64))
    expected[np.arange(64), squeeze(torch.arange(64).reshape(1, 8, 8)).flatten().numpy()] = 1
    np.testing.assert_array_equal(J, expected)
    np.testing.assert_array_equal(put_back, np.eye(64))


def test_the_jacobian_of_a_coupling_is_block_triangular_with_those_that_pass_first(explorer: MaskExplorer) -> None:
    J, ordered = drawn(explorer, "J")
    hue = explorer.parts["J"].hue[1].numpy()
    np.testing.assert_array_equal(ordered[:32], np.eye(32, 64))
    np.testing.assert_array_equal(ordered[32:, 32:], np.eye(32))
    assert (ordered[32:, :32] > 0).all()
    assert (np.diag(hue)[32:] == CHANGED).all()
    assert (np.diag(hue)[:32] == PASSES).all()
    assert (np.sort(J.ravel()) == np.sort(ordered.ravel())).all()


def test_each_pixel_has_its_shade_and_the_colour_of_what_happens_to_it() -> None:
    image = np.random.default_rng(1).random((8, 8))
    own = MaskExplorer(image, step=1)
    ink = 0.2 + 0.8 * (image - image.min()) / (image.max() - image.min())
    mask = checkerboard_mask(1, 8, 8).reshape(8, 8).numpy()
    for sheet in range(2):
        np.testing.assert_allclose(drawn(own, "sheets")[sheet], ink)
        np.testing.assert_array_equal(own.parts["sheets"].hue[sheet], np.where(mask, PASSES, CHANGED))
    own.set(step=6)
    hue = own.parts["sheets"].hue.numpy()
    np.testing.assert_array_equal(hue[0] == GONE, np.arange(8)[:, None].repeat(8, 1) % 2 == 0)
    np.testing.assert_array_equal(hue[1] == GONE, np.arange(8)[:, None].repeat(8, 1) < 4)
    for name in ("sheets", "steps"):
        np.testing.assert_allclose(np.sort(drawn(own, name)[-1].ravel()), np.sort(ink.ravel()))


@pytest.mark.parametrize(("shape", "scales"), [((1, 8, 8), 3), ((3, 4, 12), 2)])
def test_channels_are_rectangles_and_steps_move_pixels_only_in_a_squeeze(shape: tuple, scales: int) -> None:
    image = numbered(*shape)
    own = MaskExplorer(image, scales=scales)
    names, tensors = steps_of(shape, scales)
    number = np.rint((drawn(own, "steps") - 0.2) / 0.8 * (image.size - 1)).astype(int)
    for k, (name, tensor) in enumerate(zip(names, tensors, strict=False)):
        assert sorted(number[k].ravel()) == list(range(image.size))
        for channel in tensor:
            corner = np.argwhere(number[k] == channel[0, 0])[0]
            h, w = channel.shape
            np.testing.assert_array_equal(number[k][corner[0] : corner[0] + h, corner[1] : corner[1] + w], channel)
        assert name in ("the image", "squeeze") or (number[k] == number[k - 1]).all()


def test_frames_and_letters_stand_on_the_pixel_and_its_block() -> None:
    own = MaskExplorer(numbered(8, 8), pixel=20)  # row 3, column 4: the upper right of its block
    for step in range(own.controls["step"].max + 1):
        own.set(step=step)
        part = own.parts["sheets"]
        words = np.array(part.words).reshape(2, 8, 8)
        for sheet, i, j in part.lit.tolist():
            assert part.ink[sheet, i, j] == pytest.approx(0.2 + 0.8 * 19 / 63)
            assert words[sheet, i, j] == "b"
    own.set(step=3)
    words = np.array(own.parts["sheets"].words).reshape(2, 8, 8)
    for letter, number in zip("abcd", (18, 19, 26, 27), strict=True):
        for sheet, (i, j) in ((sheet, np.argwhere(words[sheet] == letter)[0]) for sheet in range(2)):
            gesture(own, "sheets", sheet, i, j)
            assert own.state["pixel"] == number + 1


def test_a_click_picks_the_pixel_in_both_sheets_and_the_step_in_the_small_pictures(explorer: MaskExplorer) -> None:
    for step in range(explorer.controls["step"].max + 1):
        gesture(explorer, "steps", step)
        assert explorer.state["step"] == step
        for pixel in (1, 30, 64):
            explorer.set(pixel=pixel)
            for place in explorer.parts["sheets"].lit.tolist():
                explorer.set(pixel=7)
                gesture(explorer, "sheets", *place)
                assert explorer.state["pixel"] == pixel


def test_presets_keep_the_network_and_reset(explorer: MaskExplorer) -> None:
    before = picture(explorer)
    explorer.set(network="3 x 3")
    explorer.preset("squeeze")
    assert explorer.readout["shape after"] == "4 × 4 × 4"
    assert explorer.state["network"] == "3 x 3"
    explorer.reset()
    assert picture(explorer) == before
    assert set(MaskExplorer(numbered(2, 2), scales=1).presets) == {"checkerboard"}


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


def test_a_flat_image_is_shown() -> None:
    own = MaskExplorer(np.ones((4, 4)))
    assert own.error == ""
    assert (drawn(own, "sheets") == 0.2).all()


@pytest.mark.parametrize(("shape", "scales"), [((1, 8, 8), 2), ((1, 8, 8), 3), ((3, 4, 12), 2)])
def test_the_steps_are_those_of_the_image_flow(shape: tuple[int, int, int], scales: int) -> None:
    flow, last = ImageRealNVP(shape, scales=scales), stages_of(shape, scales)[-1]
    np.testing.assert_array_equal(last.to_pixels, flow.place_of)
    assert list(last.latents) == flow.latent_shapes
