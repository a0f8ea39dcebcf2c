"""What notebooks show: the facts, escaped, in well-formed HTML; and never an error."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import rowlock as rl


def well_formed(html):
    """Return the text of HTML whose every tag is closed in order."""
    opened, texts = [], []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

        def handle_data(self, data):
            texts.append(data)

    Parser().feed(html)
    assert opened == []
    return " ".join(texts)


@pytest.fixture
def data(frame, tmp_path):
    store = rl.FeatureStore.write(
        tmp_path / "<g>.zarr",
        np.arange(110.0).reshape(10, 11),
        keys=frame["object_id"],
        columns=[f"<{i}>" for i in range(11)],
    )
    inputs = {"<i>": rl.Columns(["age", "price"]), "g": rl.Features(store)}
    return rl.Dataset(frame, inputs, rl.Labels("label"), key="object_id")


def test_a_dataset_shows_its_inputs_and_what_a_row_takes(data):
    html = data._repr_html_()
    text = well_formed(html)
    assert "<i>" not in html
    for word in ("10 rows", "key 'object_id'", "<i>", "float32", "target", "Labels('label'", "11"):
        assert word in text


def test_a_dataset_shows_what_was_left_out(frame, tmp_path):
    rl.FeatureStore.write(tmp_path / "g.zarr", np.ones((8, 2)), keys=frame["object_id"][:8])
    left = rl.Dataset(frame, {"g": rl.Features(str(tmp_path / "g.zarr"))}, key="object_id", missing="drop")
    assert "2 rows of the table left out" in well_formed(left._repr_html_())


def test_a_loader_shows_its_order_and_once_it_ran_its_cost(data):
    loader = data.batches(4, seed=5)
    text = well_formed(loader._repr_html_())
    assert "seed 5" in text
    assert "rate" not in text
    assert sum(len(batch) for batch in loader) == 10
    text = well_formed(loader._repr_html_())
    for word in ("10 rows in 3 batches", "rows/s", "gather", "advice"):
        assert word in text
    assert "that of the dataset" in well_formed(data.batches(4, shuffle=False)._repr_html_())
    assert "1 of 2" in well_formed(data.batches(4, last="drop", shard=(1, 2))._repr_html_())


def test_a_store_shows_its_first_columns(tmp_path, data):
    store = rl.FeatureStore.open(tmp_path / "<g>.zarr")
    html = store._repr_html_()
    text = well_formed(html)
    for word in ("10 rows x 11 columns", "text, called", "<0>", "and 3 more columns"):
        assert word in text
    assert "<0>" not in html
    store.close()
    assert "closed" in well_formed(store._repr_html_())


def test_a_store_without_columns_that_are_known_is_shown(tmp_path):
    store = rl.FeatureStore.create(tmp_path / "s.zarr", num_columns=3)
    assert "0 rows" in well_formed(store._repr_html_())


def test_frames_of_other_libraries_are_shown_alike():
    data = rl.Dataset(pd.DataFrame({"x": [1.0, 2.0]}), {"x": rl.Columns(["x"])})
    assert "2 rows" in well_formed(data._repr_html_())
