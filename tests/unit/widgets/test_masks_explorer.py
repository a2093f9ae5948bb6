"""The mask explorer: where pixels go, told by index arithmetic; Jacobians by autograd; drags, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nfteach.flows import AffineCoupling, ImageRealNVP, channel_mask, checkerboard_mask, squeeze
from nfteach.widgets import MaskExplorer
from nfteach.widgets.masks import stages as module
from nfteach.widgets.masks.picture import CHANGED, GONE, PASSES
from nfteach.widgets.masks.stages import DEPENDS, LATENT, ONE, SCALE, ZERO, look_at, stages_of

STEPS_8X8 = [
    "the image", "checkerboard", "checkerboard, flipped", "squeeze", "channel mask", "channel mask, flipped",
    "factor out", "checkerboard", "checkerboard, flipped", "squeeze", "channel mask", "channel mask, flipped",
    "factor out", "checkerboard", "checkerboard, flipped", "all is latent",
]  # fmt: skip


def numbered(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape)


def by_hand(shape: tuple[int, int, int], scales: int) -> list[np.ndarray]:
    """The tensor of pixel numbers after each step, with nothing but torch's reshapes and slices."""
    x = torch.arange(int(np.prod(shape))).reshape(shape)
    tensors = [x]
    for scale in range(scales):
        tensors += [x, x]
        if scale < scales - 1:
            x = squeeze(x)
            tensors += [x, x, x]
            x = x[len(x) // 2 :]
            tensors.append(x)
    return [t.numpy() for t in tensors]


def painted(explorer: MaskExplorer, name: str) -> np.ndarray:
    return np.asarray(explorer.live._moving[name].artist.get_array()).astype(int)


def values_of(control) -> list:
    if hasattr(control, "options"):
        return [option[1] for option in control.options]
    return [control.min, control.max, *np.random.default_rng(0).integers(control.min, control.max, 3).tolist()]


def check(explorer: MaskExplorer, shape: tuple[int, int, int], scales: int) -> None:
    """Every number of the readout at every step, from the tensors made by hand."""
    pixel, D = explorer.state["pixel"] - 1, int(np.prod(shape))
    tensors = by_hand(shape, scales)
    for step, tensor in enumerate(tensors):
        explorer.set(step=step)
        assert explorer.error == ""
        told, before = explorer.readout, tensors[max(step - 1, 0)]
        assert told["shape before"] == " × ".join(map(str, before.shape))
        assert told["shape after"] == " × ".join(map(str, tensor.shape))
        for label, where in (("pixel before", before), ("pixel after", tensor)):
            found = np.argwhere(where == pixel)
            c, i, j = found[0] + 1 if len(found) else (0, 0, 0)
            assert told[label] == (f"channel {c}, ({i}, {j})" if c else "latent")
        name = explorer._stages[step].name
        coupling = "mask" in name or "board" in name
        changed = 0
        if coupling:
            # Of an odd number of pixels the checkerboard passes one less than it changes, or the other way round.
            odd = tensor.shape[1] * tensor.shape[2] % 2 and "board" in name
            changed = (tensor.size + (0 if not odd else len(tensor) * (-1 if "flipped" in name else 1))) // 2
        assert told["changed"] == changed
        assert told["pass"] + told["changed"] + told["latent"] == D
        assert told["latent"] == D - tensor.size
        assert np.isfinite(told["log|det J|"])
        if not coupling:
            assert told["log|det J|"] == 0.0
            assert told["nonzero in J"] == f"{D} of {D * D}"
        elif explorer.state["network"] == "all":
            assert told["nonzero in J"] == f"{D + changed * (tensor.size - changed)} of {D * D}"
    explorer.set(step=len(tensors))
    assert explorer.readout["latent"] == D


@pytest.fixture(scope="module")
def explorer() -> MaskExplorer:
    return MaskExplorer()


def test_every_control_over_its_values(explorer: MaskExplorer) -> None:
    explorer.reset()
    assert [stage.name for stage in explorer._stages] == STEPS_8X8
    for name, control in explorer.controls.items():
        for value in values_of(control):
            explorer.reset()
            explorer.set(**{name: value})
            check(explorer, (1, 8, 8), 3)


@pytest.mark.parametrize(
    ("shape", "scales"), [((2, 2), 2), ((4, 6), 2), ((3, 4, 4), 3), ((1, 12, 4), 3), ((2, 6, 6), None)]
)
def test_any_image_with_even_sides(shape: tuple[int, ...], scales: int | None) -> None:
    own = MaskExplorer(torch.from_numpy(numbered(*shape)), scales=scales, pixel=2)
    whole = (1, *shape)[-3:]
    check(own, whole, scales or 2)
    own.set(network="3 x 3", pixel=int(np.prod(shape)))
    check(own, whole, scales or 2)


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
def test_what_is_told_of_large_images_is_what_is_measured_of_small_ones(network: str, monkeypatch) -> None:
    image, steps = np.random.default_rng(0).random(48), stages_of((3, 4, 4), 3)
    measured = [look_at(stage, image, network) for stage in steps]
    monkeypatch.setattr(module, "_MEASURED", 0)
    for stage, (kinds, look) in zip(steps, measured, strict=True):
        told, other = look_at(stage, image, network)
        np.testing.assert_array_equal(told, kinds)
        assert (look.nonzero, look.log_det) == (other.nonzero, other.log_det)


def test_the_log_det_is_that_of_the_matrix() -> None:
    image = np.random.default_rng(0).random(16)
    for stage in stages_of((1, 4, 4), 2):
        layer = module._layer(stage, "3 x 3")
        log_det = look_at(stage, image, "3 x 3")[1].log_det
        if layer is None:
            assert log_det == 0.0
            continue
        x = torch.from_numpy(image[stage.from_pixels[-stage.alive :]])
        J = torch.autograd.functional.jacobian(layer, x)
        assert log_det == pytest.approx(torch.linalg.slogdet(J).logabsdet.item(), abs=1e-12)
        assert isinstance(layer, AffineCoupling) or log_det == 0.0


def test_a_squeeze_is_a_permutation_and_its_rows_put_back_the_identity(explorer: MaskExplorer) -> None:
    explorer.reset()
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
    explorer.reset()
    for step in (1, 8):
        explorer.set(step=step)
        for name in ("J", "sorted", "image", "tensor", "latent"):
            one = explorer.live._moving[name]
            painted_there = one.place(100.0)["table"][one.payload()["index"]]
            np.testing.assert_array_equal(painted_there, one.artist.to_rgba(one.artist.get_array(), bytes=True))


def test_frames_and_letters_stand_on_the_pixel_and_its_block() -> None:
    image = numbered(8, 8)
    own = MaskExplorer(image, pixel=20)  # row 3, column 4: the upper right of its block
    for step in range(len(own._stages)):
        own.set(step=step)
        for name, at in (("image pixel", 0), ("pixel", 0), ("b", 0), ("b", 1)):
            artist = own.live._moving[name].artist
            x, y = artist.get_offsets()[at]
            sheet = next(k for k in range(3) if 0 <= x - k * own._picture._step <= own._picture._side)
            codes = painted(own, ("image", "tensor", "latent")[sheet])
            code = codes[int(y), int(x - sheet * own._picture._step)]
            assert code != 255, "it stands on a cell"
            if step < 7:
                assert code % 64 == np.rint(62 * 19 / 63)
    own.set(step=3)
    for letter, number in zip("abcd", (18, 19, 26, 27), strict=True):
        home, now = own.live._moving[letter].artist.get_offsets()
        assert own._picture.pixel_at(3, *home) == number
        assert own._picture.pixel_at(3, *now) == number


def test_a_drag_picks_the_nearest_pixel_in_any_sheet_at_any_step(explorer: MaskExplorer) -> None:
    explorer.reset()
    for step in range(len(explorer._stages)):
        explorer.set(step=step)
        for pixel in (1, 30, 64):
            explorer.set(pixel=pixel)
            places = {n: explorer.live._moving[n].artist.get_offsets()[0] for n in ("image pixel", "pixel")}
            explorer.set(pixel=7)
            for name, (x, y) in places.items():
                assert explorer.dragged(name, x + 0.4, y - 0.4) == {"pixel": pixel}


def test_presets_and_reset(explorer: MaskExplorer) -> None:
    explorer.reset()
    before = explorer.live.static_png(1)
    for name in explorer.presets:
        explorer.preset(name)
        assert explorer.error == ""
    assert explorer.state["network"] == "3 x 3"
    explorer.preset("squeeze")
    assert explorer.readout["shape after"] == "4 × 4 × 4"
    assert explorer.state["network"] == "all"
    explorer.reset()
    assert explorer.live.static_png(1) == before
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
def test_what_does_not_fit_is_refused_in_words(image, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MaskExplorer(image, **options)


def test_a_flat_image_and_a_picture_of_it_are_fine_too() -> None:
    own = MaskExplorer(np.ones((4, 4)))
    data, metadata = own._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert "Jacobian" in metadata["image/png"]["alt"]
    assert len(own.live._moving["a"].artist.get_offsets()) == 2
    small = MaskExplorer(numbered(16, 16))
    assert len(small.live._moving["a"].artist.get_offsets()) == 0, "letters that nobody could read"
    assert repr(own) == "MaskExplorer(pixel=9, network='all')"


@pytest.mark.parametrize(("shape", "scales"), [((1, 8, 8), 2), ((1, 8, 8), 3), ((3, 4, 12), 2)])
def test_the_way_is_that_of_the_image_flow(shape: tuple[int, int, int], scales: int) -> None:
    flow, last = ImageRealNVP(shape, scales=scales), stages_of(shape, scales)[-1]
    np.testing.assert_array_equal(last.to_pixels, flow.place_of)
    assert list(last.latents) == flow.latent_shapes
