"""The demo's data is honest, and its three models run from end to end."""

import io
import os
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

import rowlock as rl
from rowlock import backend
from rowlock.demo import run
from rowlock.demo.animals import HIDING_VIEWS, SIDE, draw
from rowlock.demo.data import BETWEEN_SHARE, HIDING_SHARE, NEITHER_SHARE, imagine, make
from rowlock.demo.growth import NUM_COLUMNS, WEIGHT_COLUMNS, hidden_among_noise, weights
from rowlock.errors import ConfigError, MissingDependencyError

FRAMEWORK = [
    pytest.mark.slow,
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the frameworks' own
]


def files_of(folder):
    """The pictures' bytes by name, and what the other two hold."""
    pictures = {path.name: path.read_bytes() for path in folder.glob("pictures/*/*.jpg")}
    with rl.FeatureStore.open(folder / "growth.zarr") as store:
        return pictures, pq.read_table(folder / "animals.parquet").to_pydict(), store[:]


def rng_of(*numbers):
    return np.random.default_rng(numbers)


def test_the_same_seed_writes_the_same_data_and_another_seed_other_data(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        make(tmp_path / name, num_rows=40, seed=seed)
    pictures, table, matrix = files_of(tmp_path / "a")
    again, other = files_of(tmp_path / "b"), files_of(tmp_path / "c")
    assert len(pictures) == 40
    assert (pictures, table) == again[:2]
    assert np.array_equal(matrix, again[2])
    assert not set(pictures.values()) & set(other[0].values())
    assert not np.array_equal(matrix, other[2])


@pytest.mark.parametrize("view", HIDING_VIEWS)
def test_a_picture_that_hides_the_animal_is_the_same_file_for_either(view):
    for number in range(5):
        assert draw("cat", view, rng_of(number)) == draw("fox", view, rng_of(number))


def test_a_face_shows_which_animal_it_is_and_is_a_picture():
    cat, fox = (draw(animal, "face", rng_of(7)) for animal in ("cat", "fox"))
    assert cat != fox
    assert Image.open(io.BytesIO(cat)).size == (SIDE, SIDE)


def test_a_curve_between_is_the_same_for_either_animal_and_a_typical_one_is_not():
    is_between = np.arange(50) < 25
    cats = weights(["cat"] * 50, is_between, rng_of(1))
    foxes = weights(["fox"] * 50, is_between, rng_of(1))
    assert np.array_equal(cats[:25], foxes[:25])
    assert (cats[25:] != foxes[25:]).any(axis=1).all()


def test_what_a_row_shows_does_not_follow_its_label():
    animals = imagine(20_000, seed=0)
    is_fox = np.asarray(animals.labels) == "fox"
    is_hidden = np.isin(animals.views, HIDING_VIEWS)
    assert is_fox.mean() == 0.5
    for silent in (is_hidden, animals.is_between, is_hidden & animals.is_between):
        assert abs(silent[is_fox].mean() - silent[~is_fox].mean()) < 0.03


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_either_source_alone_is_silent_about_more_than_a_third_of_the_rows_and_both_about_few(seed):
    animals = imagine(3000, seed=seed)
    is_hidden = np.isin(animals.views, HIDING_VIEWS)
    assert is_hidden.mean() == pytest.approx(HIDING_SHARE + NEITHER_SHARE, abs=0.001)
    assert animals.is_between.mean() == pytest.approx(BETWEEN_SHARE + NEITHER_SHARE, abs=0.001)
    assert (is_hidden & animals.is_between).mean() == pytest.approx(NEITHER_SHARE, abs=0.001)


def test_noise_columns_look_like_weights_but_do_not_follow_the_label():
    animals = imagine(2000, seed=5)
    matrix = hidden_among_noise(animals.curves, rng_of(5))
    is_fox = np.asarray(animals.labels) == "fox"
    gaps = np.abs(matrix[is_fox].mean(axis=0) - matrix[~is_fox].mean(axis=0)) / matrix.std(axis=0)
    noise = np.delete(np.arange(NUM_COLUMNS), WEIGHT_COLUMNS)
    assert np.array_equal(matrix[:, WEIGHT_COLUMNS], animals.curves)
    assert gaps[noise].max() < 0.25 < np.sort(gaps[list(WEIGHT_COLUMNS)])[4]
    means = matrix[:, WEIGHT_COLUMNS].mean(axis=0)
    assert (matrix[:, noise].mean(axis=0) > means.min() * 0.8).all()
    assert (matrix[:, noise].mean(axis=0) < means.max() * 1.2).all()


def test_the_store_has_an_order_of_its_own_and_keys_lead_back_to_each_row(tmp_path):
    made = make(tmp_path / "demo", num_rows=60, seed=1)
    animals = imagine(60, seed=1)
    table = pq.read_table(made.table).to_pydict()
    assert table["object_id"] == animals.keys
    assert not any(key.split("-")[1] in path for key, path in zip(animals.keys, table["imgpath"], strict=True))
    with rl.FeatureStore.open(made.store) as store:
        assert np.array_equal(store.by_key(animals.keys)[:, WEIGHT_COLUMNS], animals.curves)
        in_place = (store[:][:, WEIGHT_COLUMNS] == animals.curves).all(axis=1)
    assert in_place.mean() < 0.2


def test_a_second_run_uses_the_data_again_and_another_seed_replaces_it(tmp_path):
    folder = tmp_path / "demo"
    assert make(folder, num_rows=20, seed=0).was_made
    first = files_of(folder)
    assert not make(folder, num_rows=20, seed=0).was_made
    assert make(folder, num_rows=30, seed=1).was_made
    assert len(files_of(folder)[0]) == 30
    make(folder, num_rows=20, seed=0)
    assert files_of(folder)[:2] == first[:2]


def test_an_interrupted_run_is_begun_again(tmp_path):
    folder = tmp_path / "demo"
    make(folder, num_rows=20, seed=0)
    (folder / "made-by-rowlock-demo.json").write_text("{}")  # what a run leaves that was killed while it drew
    assert make(folder, num_rows=20, seed=0).was_made
    assert len(files_of(folder)[0]) == 20


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="not empty"):
        make(tmp_path, num_rows=20, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("wrong", [{"num_rows": 10}, {"epochs": 0}])
def test_too_few_rows_or_epochs_are_refused_before_anything_is_made(tmp_path, wrong):
    with pytest.raises(ConfigError, match="or more"):
        run(tmp_path / "demo", **wrong)
    assert not (tmp_path / "demo").exists()


def test_the_backend_is_the_one_that_keras_backend_names(monkeypatch):
    monkeypatch.setattr(backend, "find_spec", lambda name: name if name != "jax" else None)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert backend.choose() == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(MissingDependencyError, match=re.escape("rowlock[keras,jax]")):
        backend.choose()
    monkeypatch.setenv("KERAS_BACKEND", "abacus")
    with pytest.raises(ConfigError, match="abacus"):
        backend.choose()


def test_without_keras_backend_the_fastest_installed_backend_is_taken(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(backend, "find_spec", lambda name: name)
    assert backend.choose() == backend.BACKENDS[0]
    monkeypatch.setattr(backend, "find_spec", lambda name: name if name == backend.BACKENDS[2] else None)
    assert backend.choose() == backend.BACKENDS[2]
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        backend.choose()


class TestRun:
    pytestmark = FRAMEWORK

    def test_a_small_run_gives_three_scores_two_pictures_and_says_which_backend(self, tmp_path):
        keras = pytest.importorskip("keras")
        pytest.importorskip("matplotlib")
        out = io.StringIO()
        result = run(tmp_path / "demo", num_rows=200, epochs=2, console=Console(file=out, width=120))
        assert list(result.scores) == ["images only", "features only", "merged"]
        assert all(0 <= score <= 1 for score in result.scores.values())
        assert result.backend == keras.backend.backend()
        for model in result.models:
            assert len(model.valid_accuracy) == 2
            assert model.stats.num_rows == 2 * 140
            assert 0 <= model.stats.wait_share <= 1
        for path in (result.curves, result.rows):
            with Image.open(path) as picture:
                assert picture.format == "PNG"
                assert picture.width > 1000
                assert np.asarray(picture.convert("L")).std() > 10
        for said in (
            result.backend,
            "images only",
            "features only",
            "merged",
            "rows/s",
            "waited",
            os.fspath(result.rows),
        ):
            assert said in out.getvalue()

    def test_all_three_models_answer_about_the_same_test_rows(self, tmp_path):
        pytest.importorskip("keras")
        result = run(tmp_path / "demo", num_rows=100, epochs=1, console=Console(file=io.StringIO()))
        keys = [model.test.frame["object_id"].to_pylist() for model in result.models]
        assert keys[0] == keys[1] == keys[2]
        assert len(keys[0]) == 15

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_merged_wins_by_a_clear_margin(self, tmp_path, seed):
        pytest.importorskip("keras")
        result = run(tmp_path / "demo", num_rows=2000, epochs=6, seed=seed, console=Console(file=io.StringIO()))
        *alone, merged = result.scores.values()
        assert max(alone) < 0.88
        assert merged > max(alone) + 0.05
