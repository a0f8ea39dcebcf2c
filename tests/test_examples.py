"""The examples run as they stand: on generated pictures, and on real photographs where there are any."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "dogs_and_cats.py"
PHOTOS = ROOT.parent / "shared" / "data" / "cats-dogs"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the frameworks' own
]


@pytest.fixture(scope="module")
def example():
    pytest.importorskip("keras")
    spec = importlib.util.spec_from_file_location("dogs_and_cats", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawn(example, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    example.draw_pictures(folder, num_each=40)
    return folder


def test_predictions_are_joined_to_the_test_rows_by_key(example, drawn, tmp_path):
    accuracy = example.run(drawn, tmp_path / "out.csv", features="informative", epochs=2, size=48)
    table = pd.read_csv(tmp_path / "out.csv")
    assert len(table) == 20
    assert table["object_id"].is_unique
    assert (table["imgpath"] == table["object_id"] + ".jpg").all()
    assert table["label"].value_counts().to_dict() == {"cat": 10, "dog": 10}
    assert table["probability_dog"].between(0, 1).all()
    assert accuracy == np.mean((table["probability_dog"] > 0.5) == (table["label"] == "dog"))


def test_the_store_is_in_another_order_than_the_table(example, drawn, tmp_path):
    df = example.table_of(drawn)
    example.write_features(tmp_path / "facts.zarr", df, informative=False, seed=0)
    with example.rl.FeatureStore.open(tmp_path / "facts.zarr") as store:
        assert store.shape == (80, 1000)
        in_place = (store.by_key(df["object_id"]) == store[:]).all(axis=1)
    assert in_place.mean() < 0.2


def test_it_runs_from_the_command_line_without_photographs(tmp_path):
    pytest.importorskip("keras")
    out = tmp_path / "out.csv"
    command = [sys.executable, EXAMPLE, "--features", "none", "--epochs", "1", "--size", "32", "--out", out]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    assert "test accuracy" in said
    assert len(pd.read_csv(out)) == 150


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="no photographs of dogs and cats at ../shared/data/cats-dogs")
def test_on_real_photographs_random_features_do_not_help_and_informative_ones_do(example, tmp_path):
    scores = {
        features: example.run(PHOTOS, tmp_path / f"{features}.csv", features=features, epochs=6, size=48)
        for features in ("none", "random", "informative")
    }
    assert scores["random"] < scores["none"] + 0.08  # 500 test rows and two trainings: 3 points are chance
    assert scores["informative"] > max(scores["none"], scores["random"]) + 0.05
