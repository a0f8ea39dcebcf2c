"""What a report computes and draws, compared with counting by hand; no framework."""

import io
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rowlock.reporting.charts import Chart, nice_range, short, ticks
from rowlock.reporting.courses import _whole
from rowlock.reporting.kept import best_epoch
from rowlock.reporting.markup import figure, section, table
from rowlock.reporting.mistakes import jpeg_of, link_of, without_secret
from rowlock.reporting.numbers import by_class, by_label, chance, reliability, resampled, wilson


def test_the_interval_of_a_share_is_wilsons():
    assert wilson(8, 10) == pytest.approx((0.4901, 0.9433), abs=1e-3)  # from his paper's formula, by hand
    low, high = wilson(0, 20)
    assert low == 0
    assert high == pytest.approx(0.1611, abs=1e-3)
    assert wilson(20, 20)[1] == 1
    assert wilson(0, 0) == (0, 1)
    assert chance(0.5, 200) == pytest.approx(0.1)


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for number in range(100):
        truth = rng.normal(size=(300, 1))
        predicted = truth + rng.normal(0, 1, (300, 1))
        low, high = resampled("quantity", truth, predicted, seed=number)["mae"]
        held += low <= math.sqrt(2 / math.pi) <= high
    assert 88 <= held <= 100


def test_classes_are_counted_one_by_one():
    first, second, never = by_class([[8, 2, 0], [1, 9, 0], [0, 0, 0]], ["a", "b", "c"])
    assert first[:3] == ("a", 10, 9)
    assert first.precision == pytest.approx(8 / 9)
    assert first.recall == 0.8
    assert second.f1 == pytest.approx(2 * 9 / (10 + 11))
    assert (never.precision, never.recall, never.f1) == (None, None, None)


def test_labels_are_counted_one_by_one():
    truth = np.array([[1, 0], [1, 1], [0, 1]])
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.6]])
    first, second = by_label(truth, said, ["x", "y"])
    assert (first.rows, first.said, first.precision, first.recall) == (2, 2, 0.5, 0.5)
    assert (second.precision, second.recall, second.auc) == (1, 1, 1)


def test_reliability_compares_how_sure_with_how_right():
    sure = np.array([0.95] * 10 + [0.55] * 10)
    right = np.array([True] * 9 + [False] + [True] * 5 + [False] * 5)
    told = reliability(sure, right)
    assert [(one.rows, one.right) for one in told.bins] == [(10, 0.5), (10, 0.9)]
    assert told.error == pytest.approx(0.05)
    assert reliability(np.array([1.0, 0.0]), np.array([True, False])).error == 0


def test_the_epoch_kept_is_that_of_the_lowest_validation_loss_or_the_last():
    rows = [
        {"epoch": 1.0, "val_data_loss": 2.0},
        {"epoch": 2.0, "val_data_loss": 1.0},
        {"epoch": 3.0, "val_data_loss": 1.0},
    ]
    assert best_epoch(rows) == 2
    assert best_epoch([{"epoch": 1.0}, {"epoch": 2.0}]) == 2
    assert best_epoch([]) is None


def test_axes_have_round_numbers():
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert ticks(-130, 420) == [0, 200, 400]
    assert ticks(3, 3) == [3]
    assert all(low <= tick <= high for low, high in [(0.013, 0.017), (1e6, 3e9)] for tick in ticks(low, high))
    assert [short(value) for value in (0, 0.25, 12000.0, 1e-7, 2.5e9, -3.0)] == [
        "0",
        "0.25",
        "12,000",
        "1e-07",
        "2.5e+09",
        "-3",
    ]
    assert _whole(9) == list(range(1, 10))
    assert _whole(40) == [1, 5, 10, 15, 20, 25, 30, 35, 40]
    assert nice_range([float("nan"), 2.0, 2.0]) == (1.8, 2.2)


def test_a_chart_keeps_everything_inside_and_escapes_what_it_says():
    chart = Chart((0, 10), (0, 1), x_label="<x>", y_label="y&", title='"t"')
    chart.line([0, 5, 50], [0.5, float("nan"), 9], "c0", marked=True)
    chart.dots([-5], [-1], "c1", titles=["<b>"])
    chart.bar(0, 2, 0.5, "c0")
    drawn = chart.svg()
    assert "<b>" not in drawn
    assert "&lt;x&gt;" in drawn
    assert "nan" not in drawn
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', drawn).groups())
    for x, y in re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)"', drawn):
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= height


def test_everything_from_data_is_escaped_also_what_no_encoding_has():
    assert "<i>" not in table(["<i>"], [["<i>"]]) + figure("", "<i>") + section("x", "<i>", "inside")
    assert "caf\\xe9" in table(["key"], [[os.fsdecode(b"caf\xe9")]])
    assert section("x", "empty") == ""


def test_a_picture_is_linked_where_a_browser_finds_it():
    assert link_of("a b.jpg", "/photos") == "file:///photos/a%20b.jpg"
    assert link_of("/x/é.jpg", "/photos") == "file:///x/%C3%A9.jpg"
    assert link_of("a.jpg", None) == (Path.cwd() / "a.jpg").as_uri()
    assert link_of(os.fsdecode(b"caf\xe9.jpg"), "/p") == "file:///p/caf%E9.jpg"
    assert link_of("a.jpg", "https://host/photos/") == "https://host/photos/a.jpg"
    assert link_of("s3://bucket/a.jpg", None) == ""
    assert link_of("javascript:alert(1)", "/p").startswith("file:///p/")
    assert link_of("javascript://x/%0aalert(1)", None) == ""


def test_a_signed_url_is_told_without_what_opens_it():
    signed = "https://host/a.jpg?size=5&X-Amz-Signature=abcd"
    assert without_secret(signed) == "https://host/a.jpg?..."
    assert link_of(signed, None) == ""
    assert without_secret("https://host/a.jpg?size=5") == "https://host/a.jpg?size=5"
    assert without_secret("a?key=b.jpg") == "a?key=b.jpg"


def test_borders_that_padding_added_are_cut():
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[5:15] = 200
    assert Image.open(io.BytesIO(jpeg_of(pixels))).size == (20, 10)
    assert Image.open(io.BytesIO(jpeg_of(pixels * 0))).size == (20, 20)
