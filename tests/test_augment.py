"""Augmentation: the same picture for any thread, order and resume; distributions as documented; nothing when off."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import rowlock as rl
from rowlock.errors import ConfigError, RowError
from rowlock.pictures.alter import alter, crop_of
from rowlock.pictures.augment_kernels import adjust, mirror, warp
from rowlock.pictures.decode import decode
from rowlock.pictures.draws import PictureDraw, Slot
from rowlock.pictures.fit import FITS, Crop, place
from rowlock.table import Table

GOLDEN = json.loads((Path(__file__).parent / "golden" / "augment-1.json").read_text())
GOLD, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1
SIZE = (30, 40)
FULL = rl.Augment(flip=0.5, crop=(0.4, 1.0), rotate=15, translate=0.1, brightness=0.3, contrast=0.3)


def painted(height=60, width=90):
    """Every pixel differs from its neighbours, and the corners from each other."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * x // (width - 1), 255 * y // (height - 1), (x * 7 + y * 5) % 256], axis=2).astype(np.uint8)


@pytest.fixture
def frame(tmp_path):
    paths = []
    for number in range(24):
        paths.append(str(tmp_path / f"{number}.{('png', 'jpg')[number % 2]}"))
        Image.fromarray(np.roll(painted(60 + number, 90 - number), number, axis=2)).save(paths[-1])
    return pd.DataFrame({"imgpath": paths, "y": np.arange(24.0)})


def opened(frame, augment=FULL, name="image", **settings):
    return rl.Images("imgpath", **{"size": SIZE, **settings}, augment=augment).open(Table(frame), name)


def gathered(reader, rows, draw=(7, 0)):
    out = reader.spec.empty(len(rows))
    out.view(np.uint8)[...] = 0xA5
    reader.gather(np.asarray(rows, np.int64), out, draw)
    return out


# draws


def plain_words(seed, epoch, name, row, position):
    """The algorithm once more, from its description."""

    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    digest = hashlib.shake_256(f"rowlock augment-1 {seed} {epoch} {name}".encode()).digest(8)
    state = mix((int.from_bytes(digest, "little") + GOLD * row) & MASK)
    state = mix((state + GOLD * position) & MASK)
    return [mix((state + GOLD * (slot + 1)) & MASK) for slot in Slot]


def test_the_golden_file_holds_the_draws():
    assert GOLDEN["algorithm"] == "augment-1"
    for case in GOLDEN["draws"]:
        where = [case[name] for name in ("seed", "epoch", "name", "row", "position")]
        words = [f"{PictureDraw(*where).word(slot):016x}" for slot in Slot]
        assert words == case["words"] == [f"{word:016x}" for word in plain_words(*where)]


def test_the_golden_file_holds_the_parts_and_the_bytes_of_pictures():
    for case in GOLDEN["pictures"]:
        draw = PictureDraw(case["seed"], 3, "image", case["row"])
        placed = place(case["fit"], (60, 90), SIZE, crop_of(FULL, draw))
        assert list(placed) == case["placement"]
        picture = painted(*SIZE)
        alter(picture, placed, FULL, draw)
        assert hashlib.blake2b(picture.tobytes(), digest_size=8).hexdigest() == case["digest"]


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**40), st.text(max_size=20), st.integers(0, 2**40))
def test_draws_are_those_of_the_description_for_any_seed_and_name(seed, epoch, name, row):
    draw = PictureDraw(seed, epoch, name, row, 5)
    assert [draw.word(slot) for slot in Slot] == plain_words(seed, epoch, name, row, 5)
    assert all(0 <= draw.uniform(slot) < 1 for slot in Slot)


def test_draws_are_uniform_and_unrelated_between_slots_rows_positions_epochs_and_names():
    count = 20_000
    streams = [
        [PictureDraw(1, 0, "a", row).uniform(0) for row in range(count)],
        [PictureDraw(1, 0, "a", row).uniform(1) for row in range(count)],
        [PictureDraw(1, 0, "a", row, 1).uniform(0) for row in range(count)],
        [PictureDraw(1, 1, "a", row).uniform(0) for row in range(count)],
        [PictureDraw(2, 0, "a", row).uniform(0) for row in range(count)],
        [PictureDraw(1, 0, "b", row).uniform(0) for row in range(count)],
        [PictureDraw(1, 0, "a", row + 1).uniform(0) for row in range(count)],
    ]
    for stream in streams:
        tenths = np.bincount((np.array(stream) * 10).astype(int), minlength=10)
        assert ((tenths - count / 10) ** 2 / (count / 10)).sum() < 40  # chi square of 9 degrees: 1e-5
    correlations = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(correlations).max() < 5 / np.sqrt(count)


# the same pictures, whoever asks


def test_the_same_draw_gives_the_same_bytes_in_any_order_thread_and_repeat(frame, rng):
    reader = opened(frame)
    expected = gathered(reader, np.arange(24))
    orders = [rng.integers(0, 24, 30) for _ in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for rows, out in zip(orders, pool.map(lambda rows: gathered(reader, rows), orders), strict=True):
            assert (out == expected[rows]).all()


def test_other_epochs_seeds_and_names_give_other_pictures(frame):
    reader, other = opened(frame), opened(frame, name="other")
    outs = [gathered(reader, np.arange(24), draw) for draw in ((7, 0), (7, 1), (8, 0))]
    outs.append(gathered(other, np.arange(24)))
    for i, one in enumerate(outs):
        for two in outs[:i]:
            assert ((one != two).reshape(24, -1).mean(axis=1) > 0.1).all()


def test_without_a_draw_the_bytes_are_those_of_no_augmentation(frame):
    for resize in FITS:
        for settings in ({}, {"dtype": "float32", "scale": 0.5}, {"channels": 1}):
            plain = opened(frame, None, resize=resize, **settings)
            reader = opened(frame, resize=resize, **settings)
            expected = gathered(plain, np.arange(24), None)
            assert (gathered(reader, np.arange(24), None) == expected).all()
            assert (gathered(plain, np.arange(24), (7, 0)) == expected).all()
            assert (gathered(opened(frame, rl.Augment(), resize=resize, **settings), np.arange(24)) == expected).all()


def test_switching_one_augmentation_on_leaves_the_others_draws_as_they_were(frame):
    one, two = rl.Augment(flip=0.5), rl.Augment(flip=0.5, brightness=0.01)
    first, second = (gathered(opened(frame, augment), np.arange(24)).astype(int) for augment in (one, two))
    assert np.abs(first - second).max() <= 4  # all are flipped alike


def delivered(data, engine=None, state=None, stop=None, **settings):
    found = {}
    with data.batches(5, seed=3, engine=engine, **settings) as loader:
        if state is not None:
            loader.load_state_dict(state)
        for epoch in range(2):
            for count, batch in enumerate(loader, 1):
                for row, picture in zip(batch.rows.tolist(), batch.inputs["image"], strict=True):
                    found[batch.epoch, row] = picture.tobytes()
                if stop == (epoch, count):
                    return found, loader.state_dict()
            if state is not None:
                return found, None
    return found, None


def test_a_loader_gives_the_same_pictures_for_any_threads_and_after_resuming(frame):
    images = rl.Images("imgpath", size=SIZE, augment=FULL)
    data = rl.Dataset(frame, {"image": images}, rl.Column("y"))
    with rl.Engine(num_threads=1) as one, rl.Engine(num_threads=3) as three:
        expected, _ = delivered(data, one)
        assert len(expected) == 48
        assert delivered(data, three)[0] == expected
    early, state = delivered(data, stop=(0, 2))
    late, _ = delivered(data, state=state)
    assert {**early, **late} == {place: value for place, value in expected.items() if place[0] == 0}
    assert all(expected[0, row] != expected[1, row] for row in range(24))
    with data.batches(5, seed=3) as loader:  # the oracle
        assert loader.batch(2).inputs["image"].tobytes() == list(loader)[2].inputs["image"].tobytes()


def test_parts_of_a_dataset_draw_by_the_row_of_the_table(frame):
    data = rl.Dataset(frame, {"image": rl.Images("imgpath", size=SIZE, augment=FULL)}, rl.Column("y"))
    whole = data.gather(np.arange(24), (7, 0)).inputs["image"]
    part = data.select([20, 3]).gather(np.arange(2), (7, 0)).inputs["image"]
    assert (part == whole[[20, 3]]).all()


def test_loaders_that_do_not_shuffle_deliver_plain_pictures(frame):
    plain = rl.Dataset(frame, {"image": rl.Images("imgpath", size=SIZE)}, rl.Column("y"))
    data = rl.Dataset(frame, {"image": rl.Images("imgpath", size=SIZE, augment=FULL)}, rl.Column("y"))
    assert delivered(data, shuffle=False) == delivered(plain, shuffle=False)
    assert delivered(data, augment=False) == delivered(plain)
    assert delivered(data, shuffle=False, augment=True) != delivered(plain, shuffle=False)


def test_pictures_of_a_row_draw_alone_or_together(tmp_path):
    Image.fromarray(painted()).save(tmp_path / "a.png")
    frame = pd.DataFrame({"photos": [[str(tmp_path / "a.png")] * 6] * 3})
    for together in (False, True):
        augment = rl.Augment(crop=(0.3, 0.6), rotate=20, together=together)
        images = rl.Images("photos", size=SIZE, num_images=6, augment=augment)
        out = gathered(images.open(Table(frame), "image"), [0, 1, 2])
        assert [len({picture.tobytes() for picture in row}) for row in out] == [1 if together else 6] * 3
        assert len({row.tobytes() for row in out}) == 3


# what is drawn


def test_as_many_pictures_are_flipped_as_asked_for(frame):
    plain = gathered(opened(frame, None), [0, 1], None)
    mirrored = plain[:, :, ::-1]
    for share in (0.0, 0.3, 1.0):
        reader = opened(frame, rl.Augment(flip=share))
        outs = np.concatenate([gathered(reader, [0, 1], (1, epoch)) for epoch in range(500)])
        flipped = (outs == np.tile(mirrored, (500, 1, 1, 1))).all(axis=(1, 2, 3))
        assert (flipped | (outs == np.tile(plain, (500, 1, 1, 1))).all(axis=(1, 2, 3))).all()
        assert abs(flipped.mean() - share) <= 5 * np.sqrt(share * (1 - share) / 1000)


@given(
    st.sampled_from(FITS),
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(*[st.floats(0.05, 1)] * 2).map(sorted),
    st.tuples(*[st.floats(0.2, 5)] * 2).map(sorted),
    st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3),
)
def test_every_crop_lies_in_the_picture_and_has_the_area_drawn(fit, source, target, areas, ratios, at):
    crop = Crop(areas[0], *ratios, *at)
    plain, placed = place(fit, source, target), place(fit, source, target, crop)
    assert placed[4:] == plain[4:]
    top, left, height, width = placed[:4]
    assert top >= 0
    assert left >= 0
    assert 1 <= height <= source[0] - top
    assert 1 <= width <= source[1] - left
    area = areas[0] * plain.source_height * plain.source_width
    if min(height, width) > 1:  # no side may be less than one pixel, whatever the area
        assert abs(height * width - area) <= (height + width) / 2 + 1.25  # each side is rounded, by half a pixel


def test_areas_are_even_over_their_range_and_ratios_reach_both_sides():
    augment = rl.Augment(crop=(0.2, 0.7), ratio=(0.5, 2.0))
    boxes = [
        place("stretch", (3000, 4000), SIZE, crop_of(augment, PictureDraw(0, 0, "image", row))) for row in range(4000)
    ]
    areas = np.array([box.source_height * box.source_width for box in boxes]) / 12e6
    ratios = np.array([box.source_width / box.source_height for box in boxes]) / (4 / 3)
    assert areas.min() > 0.1995
    assert areas.max() < 0.7005
    assert np.abs(np.quantile(areas, [0.25, 0.5, 0.75]) - [0.325, 0.45, 0.575]).max() < 0.02
    assert 0.498 < ratios.min() < 0.55
    assert 1.8 < ratios.max() < 2.01
    assert abs(np.log(ratios).mean()) < 0.02
    tops = np.array([box.source_top / (3000 - box.source_height) for box in boxes if box.source_height < 2990])
    assert abs(tops.mean() - 0.5) < 0.02
    assert tops.min() >= 0
    assert tops.max() <= 1


def test_a_part_may_be_longer_than_what_is_delivered_plain_where_the_picture_has_room():
    assert place("crop", (1000, 100), (10, 10))[2:4] == (100, 100)
    assert place("crop", (1000, 100), (10, 10), Crop(0.5, 0.1, 0.1, 0, 0, 0))[2:4] == (224, 22)
    assert place("crop", (100, 1000), (10, 10), Crop(0.5, 10, 10, 0, 0, 0))[2:4] == (22, 224)
    assert place("stretch", (1000, 100), (10, 10), Crop(0.5, 0.1, 0.1, 0, 0, 0))[2:4] == (1000, 50)


def test_a_crop_is_taken_from_the_stored_picture_at_a_finer_scale(tmp_path):
    """Stripes as fine as the target's pixels after the crop: a crop of the shrunk picture would be one grey."""
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, 8::16] = stripes[:, 9::16] = stripes[:, 10::16] = stripes[:, 11::16] = 255
    stripes[:, 12::16] = stripes[:, 13::16] = stripes[:, 14::16] = stripes[:, 15::16] = 255
    path = tmp_path / "stripes.jpg"
    Image.fromarray(stripes).save(path, quality=95)
    data = path.read_bytes()
    crop = Crop(1 / 16, 1, 1, 0, 0.5, 0.5)
    assert decode(data, 3, 10**8, (100, 100), "stretch").shape == (100, 100, 3)
    assert decode(data, 3, 10**8, (100, 100), "stretch", crop).shape == (400, 400, 3)
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(stripes[:400]).save(path, exif=exif)
        pixels = decode(path.read_bytes(), 3, 10**8, (100, 100), "stretch", crop)
        assert pixels.shape == ((400, 800, 3) if orientation == 1 else (800, 400, 3))
    frame = pd.DataFrame({"imgpath": [str(path)]})
    out = gathered(opened(frame, rl.Augment(crop=(1 / 16, 1 / 16), ratio=(1, 1)), size=(100, 100)), [0])
    assert out.std() > 60


def test_a_crop_has_the_pixels_of_its_part(tmp_path):
    pixels = painted(300, 420)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    reader = opened(pd.DataFrame({"imgpath": [str(tmp_path / "a.png")]}), rl.Augment(crop=(0.2, 0.9)))
    for epoch in range(10):
        crop = crop_of(rl.Augment(crop=(0.2, 0.9)), PictureDraw(7, epoch, "image", 0))
        top, left, height, width = place("stretch", (300, 420), SIZE, crop)[:4]
        part = Image.fromarray(pixels).crop((left, top, left + width, top + height))
        expected = np.asarray(part.resize(SIZE[::-1], Image.Resampling.BILINEAR), int)
        assert np.abs(gathered(reader, [0], (7, epoch))[0] - expected).max() <= 3


# kernels


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 4, 1), (5, 7, 3), (8, 2, 3)])
def test_mirror_is_numpys(shape, rng):
    picture = rng.integers(0, 256, shape, np.uint8)
    expected = picture[:, ::-1].copy()
    mirror(picture)
    assert (picture == expected).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("reflect", [True, False])
def test_turns_and_shifts_by_whole_pixels_are_exact(channels, reflect, rng):
    source = rng.integers(0, 256, (9, 9, channels), np.uint8)
    for turns, (cosine, sine) in enumerate([(1, 0), (0, 1), (-1, 0), (0, -1)]):  # clockwise
        out = source.copy()
        warp(out, cosine << 16, sine << 16, 0, 0, reflect)
        assert (out == np.rot90(source, -turns)).all()
    out = source.copy()
    warp(out, 1 << 16, 0, 3 << 16, -2 << 16, reflect)
    wide = np.pad(source, ((9, 9), (9, 9), (0, 0)), "symmetric" if reflect else "constant")
    assert (out == wide[9 - 3 : 18 - 3, 9 + 2 : 18 + 2]).all()


def test_turned_pictures_are_close_to_pillows(rng):
    smooth = Image.fromarray(rng.integers(0, 256, (8, 10, 3), np.uint8)).resize((100, 80), Image.Resampling.BICUBIC)
    source = np.asarray(smooth)
    for degrees in (3, -17, 45):
        angle = np.radians(degrees)
        out = source.copy()
        warp(out, round(np.cos(angle) * 65536), round(np.sin(angle) * 65536), 0, 0, False)
        expected = np.asarray(smooth.rotate(-degrees, Image.Resampling.BILINEAR), int)
        away = Image.fromarray(np.pad(np.full((76, 96), 255, np.uint8), 2))  # from edges, where Pillow repeats pixels
        inside = np.asarray(away.rotate(-degrees, Image.Resampling.BILINEAR)) == 255
        assert inside.sum() > 3000
        assert np.abs(out - expected)[inside].max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
def test_reflected_borders_are_never_black_and_zero_ones_are(channels):
    out = np.full((40, 50, channels), 200, np.uint8)
    warp(out, 46341, 46341, 70 << 16, -90 << 16, True)
    assert (out == 200).all()
    warp(out, 46341, 46341, 10 << 16, 0, False)
    assert 0.1 < (out == 0).mean() < 0.6


@given(st.floats(0, 2), st.floats(0, 2), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_brightness_and_contrast_are_those_of_the_formula(brightness, contrast, channels, seed):
    picture = np.random.default_rng(seed).integers(0, 256, (6, 5, channels), np.uint8)
    grey = picture @ [0.299, 0.587, 0.114] if channels == 3 else picture.astype(float)
    mean = min(255.0, grey.mean() * brightness)
    expected = np.clip(mean + contrast * (np.minimum(picture * brightness, 255) - mean), 0, 255)
    adjust(picture.reshape(-1), channels, round(brightness * 65536), round(contrast * 65536))
    assert np.abs(picture - expected).max() <= 0.6


def test_factors_of_one_change_nothing(rng):
    picture = rng.integers(0, 256, (6, 5, 3), np.uint8)
    before = picture.copy()
    adjust(picture.reshape(-1), 3, 65536, 65536)
    assert (picture == before).all()
    warp(picture, 65536, 0, 0, 0, True)
    assert (picture == before).all()


def test_zeros_around_a_padded_picture_stay(tmp_path):
    Image.fromarray(np.full((20, 80, 3), 200, np.uint8)).save(tmp_path / "a.png")
    augment = rl.Augment(crop=(0.3, 0.6), rotate=40, translate=0.3, brightness=0.3, contrast=0.9)
    reader = opened(pd.DataFrame({"imgpath": [str(tmp_path / "a.png")]}), augment, resize="pad", size=(41, 40))
    for epoch in range(20):
        (out,) = gathered(reader, [0], (7, epoch))
        bars = np.ones((41, 40), bool)
        bars[15:25] = False
        assert not out[bars].any()
        assert (out[~bars] > 100).all()


# the user's function


def test_a_function_gets_the_picture_and_a_generator_of_its_own(frame):
    seen = []

    def noise(image, rng):
        seen.append((image.shape, image.dtype))
        return image ^ rng.integers(0, 256, image.shape, np.uint8)

    reader = opened(frame, rl.Augment(function=noise))
    out = gathered(reader, np.arange(24))
    assert set(seen) == {((30, 40, 3), np.dtype("uint8"))}
    noises = out ^ gathered(opened(frame, None), np.arange(24), None)
    assert len({one.tobytes() for one in noises}) == 24
    assert (gathered(reader, np.arange(24)[::-1])[::-1] == out).all()
    assert (gathered(reader, np.arange(24), (7, 1)) != out).mean() > 0.9
    key = [PictureDraw(7, 0, "image", 4).word(slot) for slot in (Slot.FUNCTION_LOW, Slot.FUNCTION_HIGH)]
    again = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
    assert (noises[4] == again.integers(0, 256, (30, 40, 3), np.uint8)).all()


def test_a_function_may_work_in_place_and_keep_what_it_was_given(frame):
    kept = []

    def darken(image, rng):
        image //= 2
        kept.append(image)
        return image

    out = gathered(opened(frame, rl.Augment(function=darken)), [0, 1])
    expected = gathered(opened(frame, None), [0, 1], None) // 2
    kept[0][...] = 0
    assert (out == expected).all()


def test_floats_are_scaled_after_the_function(frame):
    settings = {"dtype": "float32", "scale": 1 / 255}
    out = gathered(opened(frame, rl.Augment(function=lambda image, _: 255 - image), **settings), [3])
    plain = 255 - gathered(opened(frame, None), [3], None)
    assert (out == plain * np.float32(1 / 255)).all()


def failing(image, rng):
    raise ValueError(f"no good: {image[0, 0, 0] * 0}")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (failing, "the function of augment raised ValueError: no good: 0"),
        (lambda image, _: image[:-1], "returned uint8 of shape \\(29, 40, 3\\)"),
        (lambda image, _: image / 255, "returned float64 of shape"),
        (lambda *_: None, "returned a NoneType"),
    ],
)
def test_what_a_function_does_wrong_is_an_error_of_the_row(frame, function, words):
    reader = opened(frame, rl.Augment(function=function))
    with pytest.raises(RowError, match=words) as caught:
        gathered(reader, [5, 6])
    assert (caught.value.row, caught.value.stage, caught.value.path) == (5, "transform", frame["imgpath"][5])
    assert (gathered(reader, [5, 6], None) == gathered(opened(frame, None), [5, 6], None)).all()


def test_rows_that_a_function_refuses_are_masked_and_listed(frame):
    def picky(image, rng):
        if rng.random() < 0.5:
            raise ValueError("not today")
        return image

    images = rl.Images("imgpath", size=SIZE, augment=rl.Augment(function=picky))
    data = rl.Dataset(frame, {"image": images}, rl.Column("y"))
    with data.batches(8, seed=1, on_error="mask", max_bad=1.0) as loader:
        bad = [row for batch in loader for row in batch.rows[batch.sample_weight == 0].tolist()]
        assert 2 < len(bad) < 22
        assert sorted(entry.row for entry in loader.bad_rows) == sorted(bad)
        assert {entry.stage for entry in loader.bad_rows} == {"transform"}


# arguments and account


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flip", 1.5),
        ("flip", True),
        ("flip", "0.5"),
        ("rotate", -1),
        ("rotate", 181),
        ("translate", float("nan")),
        ("brightness", 1.01),
        ("contrast", None),
        ("crop", 0.5),
        ("crop", (0, 1)),
        ("crop", (0.6, 0.5)),
        ("crop", (0.5, 1.1)),
        ("crop", (0.5, 0.6, 0.7)),
        ("ratio", (1, float("inf"))),
        ("ratio", (-1, 1)),
        ("border", "wrap"),
        ("together", 1),
        ("function", "flip"),
    ],
)
def test_wrong_arguments_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"augment: {name} must be"):
        rl.Augment(**{name: value})


def test_images_take_an_augment_and_nothing_else():
    with pytest.raises(ConfigError, match=r"augment must be an rl\.Augment"):
        rl.Images("imgpath", size=SIZE, augment=True)


def test_the_repr_and_the_fingerprint_know_what_is_done(frame):
    assert repr(rl.Augment()) == "Augment()"
    assert repr(rl.Augment(flip=1, crop=[np.float32(0.5), 1], rotate=0)) == "Augment(flip=1.0, crop=(0.5, 1.0))"
    assert repr(rl.Augment(flip=0.5, function=failing)) == f"Augment(flip=0.5, function={__name__}.failing)"
    assert "augment=Augment(flip=0.5)" in repr(rl.Images("p", size=SIZE, augment=rl.Augment(flip=0.5)))
    augments = [None, rl.Augment(flip=0.5), rl.Augment(flip=0.4), rl.Augment(function=failing)]
    texts = [opened(frame, augment).fingerprint for augment in augments]
    assert len(set(texts)) == 4
    assert texts == [opened(frame, augment, name="other").fingerprint for augment in augments]


def test_the_time_of_augmenting_is_accounted_for(frame):
    def slow(image, rng):
        import time

        time.sleep(0.01)
        return image

    images = rl.Images("imgpath", size=SIZE, augment=rl.Augment(function=slow))
    with rl.Dataset(frame, {"image": images}).batches(6) as loader:
        list(loader)
        costs = loader.stats().inputs["image"]
    assert costs.transform_seconds >= 0.24
    assert costs.seconds == pytest.approx(sum(costs.stages.values()))
    assert "transform" in str(costs)
