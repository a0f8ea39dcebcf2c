"""Every Python block of these pages runs, one after the other, on small data that is made first."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import rowlock as rl

DOCS = Path(__file__).parents[1] / "docs"
NUM_ROWS = 40

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]


def animals():
    """Files in the working directory, and the names that pages begin with."""
    rng = np.random.default_rng(0)
    for number in range(NUM_ROWS):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(f"{number}.jpg")
    np.save("features.npy", rng.normal(size=(NUM_ROWS, 12)).astype(np.float32))
    names = [f"{number}.jpg" for number in range(NUM_ROWS)]
    frame = {
        "object_id": [f"a{number}" for number in range(NUM_ROWS)],
        "imgpath": names,
        "label": ["cat", "dog"] * (NUM_ROWS // 2),
        "age": np.arange(NUM_ROWS),
        "words": [[1 + number % 9] * (number % 7) for number in range(NUM_ROWS)],
        "photos": [names[number : number + number % 4] for number in range(NUM_ROWS)],
    }
    return {"df": pd.DataFrame(frame)}


def animals_in_a_dataset():
    found = animals()
    df = found["df"]
    rl.FeatureStore.write("features.zarr", np.load("features.npy"), keys=df["object_id"])
    inputs = {
        "image": rl.Images("imgpath", size=(150, 150)),
        "features": rl.Features("features.zarr"),
        "facts": rl.Columns(["age"]),
    }
    return {**found, "data": rl.Dataset(df, inputs, target=rl.Labels("label"), key="object_id")}


def animals_in_a_file():
    """A table and a store as ``rowlock train`` takes them."""
    frame = animals()["df"].assign(weight=np.linspace(3, 30, NUM_ROWS)).drop(columns=["words", "photos"])
    frame.to_parquet("animals.parquet")
    rl.FeatureStore.write("growth.zarr", np.load("features.npy"), keys=frame["object_id"])
    return {}


PAGES = {
    "from-the-2017-generator.md": animals,
    "models.md": animals_in_a_dataset,
    "train-and-predict.md": animals_in_a_file,
}


def blocks_of(page):
    """Return the code of the blocks that are marked ``python``, each on the lines that it has in the page."""
    text = (DOCS / page).read_text()
    for found in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield "\n" * text[: found.start(1)].count("\n") + found[1]


@pytest.mark.parametrize("page", PAGES)
def test_the_python_blocks_of_a_page_run(page, tmp_path, monkeypatch, time_limit):
    pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    names = PAGES[page]()
    blocks = list(blocks_of(page))
    assert blocks
    with time_limit(240):
        for block in blocks:
            exec(compile(block, str(DOCS / page), "exec"), names)
