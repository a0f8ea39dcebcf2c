"""The examples run as they stand: on generated pictures, and on real photographs where there are any."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PHOTOS = ROOT.parent / "shared" / "data" / "cats-dogs"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the frameworks' own
]


@pytest.fixture(scope="module")
def example():
    pytest.importorskip("keras")
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module("dogs_and_cats")
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def drawn(example, tmp_path_factory):
    return example.made_up.cats_and_dogs(tmp_path_factory.mktemp("drawn"), num_each=40)


def said_by(script, folder, *arguments):
    """What an example prints, run as a reader would run it."""
    command = [sys.executable, EXAMPLES / f"{script}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", ["dogs_and_cats", "house_prices", "jax_loop", "three_branches", "torch_loop"])
def test_an_example_is_one_short_script_that_says_what_it_prints(script):
    text = (EXAMPLES / f"{script}.py").read_text()
    assert len(text.splitlines()) < 80
    assert f"python examples/{script}.py" in text
    assert f"{script}.py" in (EXAMPLES / "README.md").read_text()


def test_house_prices_are_nearer_with_both_sources_than_with_one(tmp_path):
    said = said_by("house_prices", tmp_path, "--rows", "400", "--epochs", "12")
    off = {told: float(number) for told, number in re.findall(r"^(\w+)(?: alone)?: ([\d.]+) off", said, re.MULTILINE)}
    assert off["both"] < min(off["numbers"], off["photographs"])
    assert "mean of those present" in said


def test_three_branches_are_compared_and_drawn(tmp_path):
    said = said_by("three_branches", tmp_path, "--rows", "240", "--epochs", "3")
    rates = re.findall(r"([\d.]+) of the test rows right", said)
    assert len(rates) == 4
    assert all(0.3 <= float(rate) <= 1 for rate in rates)
    assert (tmp_path / "three_branches.png").stat().st_size > 10_000


@pytest.mark.parametrize("script", ["torch_loop", "jax_loop"])
def test_loops_of_one_s_own_learn(script, tmp_path):
    pytest.importorskip(script.removesuffix("_loop"))
    said = said_by(script, tmp_path, "--rows", "240", "--epochs", "3")
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+), accuracy [\d.]+", said)]
    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_predictions_are_joined_to_the_test_rows_by_key(example, drawn, tmp_path):
    accuracy = example.run(drawn, tmp_path / "out.csv", features="informative", epochs=2, size=48, seed=0)
    table = pd.read_csv(tmp_path / "out.csv")
    assert len(table) == 20
    assert table["object_id"].is_unique
    assert (table["imgpath"] == table["object_id"] + ".jpg").all()
    assert table["label"].value_counts().to_dict() == {"cat": 10, "dog": 10}
    assert table["label_dog"].between(0, 1).all()
    assert accuracy == np.mean((table["label_dog"] > 0.5) == (table["label"] == "dog"))


def test_the_store_of_growth_curves_is_in_another_order_than_the_table(example, tmp_path):
    df = example.made_up.animals(tmp_path, 60)
    with example.rl.FeatureStore.open(tmp_path / "growth.zarr") as store:
        in_place = (store.by_key(df["object_id"]) == store[:]).all(axis=1)
    assert in_place.mean() < 0.2


def test_it_runs_from_the_command_line_without_photographs(tmp_path):
    pytest.importorskip("keras")
    said = said_by("dogs_and_cats", tmp_path, "--features", "none", "--epochs", "1", "--size", "32")
    assert "test accuracy" in said
    assert len(pd.read_csv(tmp_path / "out.csv")) == 150


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="no photographs of dogs and cats at ../shared/data/cats-dogs")
def test_on_real_photographs_random_features_do_not_help_and_informative_ones_do(example, tmp_path):
    scores = {
        features: example.run(PHOTOS, tmp_path / f"{features}.csv", features=features, epochs=6, size=48, seed=0)
        for features in ("none", "random", "informative")
    }
    assert scores["random"] < scores["none"] + 0.08  # 500 test rows and two trainings: 3 points are chance
    assert scores["informative"] > max(scores["none"], scores["random"]) + 0.05
