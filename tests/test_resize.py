from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rowlock.pictures.fit import FITS, min_size, place
from rowlock.pictures.resize import MAX_SHRINK, resize_into
from rowlock.pictures.taps import WEIGHT_SUM, taps

SIDE = st.integers(1, 90)


def by_pillow(pixels, height, width):
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
    resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return resized.reshape(height, width, pixels.shape[2]).astype(int)


def resized(pixels, height, width, fit="stretch"):
    out = np.full((height, width, pixels.shape[2]), 0xA5, np.uint8)
    resize_into(pixels, out, fit)
    return out


def noise(height, width, num_channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, num_channels), np.uint8)


@settings(deadline=None)
@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from((1, 3)), st.integers(0, 99))
def test_shrinking_and_enlarging_are_pillows_bilinear(height, width, to_height, to_width, num_channels, seed):
    pixels = noise(height, width, num_channels, seed)
    difference = np.abs(resized(pixels, to_height, to_width) - by_pillow(pixels, to_height, to_width))
    assert difference.max() <= 3  # noise of full range: the worst case for weights in 256ths
    assert difference.mean() < 0.75


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("target", [(150, 150), (224, 224), (97, 301), (400, 500), (5, 5)])
def test_smooth_pictures_are_pillows_within_two_levels_and_nearly_all_within_one(target, num_channels):
    down, right = np.mgrid[0:374, 0:500]
    waves = [127 + 120 * np.sin(down / 37 + i) * np.cos(right / 53) for i in range(num_channels)]
    pixels = np.stack(waves, axis=2).astype(np.uint8)
    difference = np.abs(resized(pixels, *target) - by_pillow(pixels, *target))
    assert difference.max() <= 2
    assert (difference <= 1).mean() > 0.99


@settings(deadline=None)
@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 255))
def test_a_picture_of_one_colour_keeps_it_exactly(height, width, to_height, to_width, level):
    pixels = np.full((height, width, 3), (level, 255 - level, 255), np.uint8)
    assert (resized(pixels, to_height, to_width) == pixels[0, 0]).all()


@settings(deadline=None)
@given(SIDE, SIDE, st.sampled_from((1, 3)))
def test_the_same_size_is_a_copy(height, width, num_channels):
    pixels = noise(height, width, num_channels)
    assert (resized(pixels, height, width) == pixels).all()


@given(st.integers(1, 3000), st.integers(1, 300))
def test_weights_are_whole_not_negative_and_sum_to_one(num_in, num_out):
    starts, weights = taps(num_in, num_out)
    assert (weights.sum(axis=1) == WEIGHT_SUM).all()
    assert (starts < num_in).all()
    beyond = starts[:, None] + np.arange(weights.shape[1]) >= num_in
    assert not weights[beyond].any()
    assert not starts.flags.writeable
    assert not weights.flags.writeable


@pytest.mark.parametrize("num_channels", [1, 3])
def test_the_largest_shrinks_are_pillows_exactly(num_channels):
    pixels = noise(20 * MAX_SHRINK, 400, num_channels)
    assert (resized(pixels, 4, 300) == by_pillow(pixels, 4, 300)).all()


def test_every_byte_of_the_target_is_written_whatever_was_there():
    pixels = noise(61, 83, 3)
    for fit in FITS:
        outs = [np.full((37, 23, 3), poison, np.uint8) for poison in (0xA5, 0x5A)]
        for out in outs:
            resize_into(pixels, out, fit)
        assert (outs[0] == outs[1]).all()


@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from((1, 3)), st.sampled_from(FITS))
def test_nothing_beside_the_target_is_written(height, width, to_height, to_width, num_channels, fit):
    batch = np.full((3, to_height + 9, to_width, num_channels), 0xA5, np.uint8)
    resize_into(np.zeros((height, width, num_channels), np.uint8), batch[1, :to_height], fit)
    assert not batch[1, :to_height].any()
    assert (batch[[0, 2]] == 0xA5).all()
    assert (batch[1, to_height:] == 0xA5).all()


def test_threads_make_the_same_bytes():
    pictures = [noise(50 + i, 170 - i, 3, i) for i in range(40)]
    alone = [resized(pixels, 64, 64) for pixels in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pixels: resized(pixels, 64, 64), pictures * 5))
    assert all((a == b).all() for a, b in zip(alone * 5, together, strict=True))


def test_crop_takes_the_largest_centred_part_in_proportion():
    pixels = noise(100, 200, 3)
    assert (resized(pixels, 30, 30, "crop") == resized(pixels[:, 50:150].copy(), 30, 30)).all()
    assert (resized(pixels, 20, 120, "crop") == resized(pixels[33:66].copy(), 20, 120)).all()


def test_crop_works_on_parts_narrower_than_a_simd_step():
    pixels = noise(10, 200, 3)
    assert (resized(pixels, 8, 8, "crop") == resized(pixels[:, 95:105].copy(), 8, 8)).all()


def test_pad_keeps_the_proportions_and_puts_zeros_around():
    pixels = np.maximum(noise(100, 200, 3), 1)
    out = resized(pixels, 40, 40, "pad")
    assert (out[10:30] == resized(pixels, 20, 40)).all()
    assert not out[:10].any()
    assert not out[30:].any()


@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from(FITS))
def test_placements_stay_inside_of_source_and_target(height, width, to_height, to_width, fit):
    placed = place(fit, (height, width), (to_height, to_width))
    assert min(placed.source_top, placed.source_left, placed.top, placed.left) >= 0
    assert min(placed.source_height, placed.source_width, placed.height, placed.width) >= 1
    assert placed.source_top + placed.source_height <= height
    assert placed.source_left + placed.source_width <= width
    assert placed.top + placed.height <= to_height
    assert placed.left + placed.width <= to_width


@given(st.integers(1, 5000), st.integers(1, 5000), SIDE, SIDE, st.sampled_from(FITS))
def test_a_picture_shrunk_to_its_minimum_is_not_enlarged_afterwards(height, width, to_height, to_width, fit):
    small = min_size(fit, (height, width), (to_height, to_width))
    placed = place(fit, (max(small[0], 1), max(small[1], 1)), (to_height, to_width))
    if small[0] <= height and small[1] <= width:
        assert placed.source_height >= placed.height - 1
        assert placed.source_width >= placed.width - 1
