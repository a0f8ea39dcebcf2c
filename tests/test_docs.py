"""Every Python block of the manual runs, page by page, one block after the other, on small data that is made first."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import rowlock as rl

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NUM_ROWS = 40
NUM_COLUMNS = 1000  # as the pages say

pytestmark = [
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
        "object_id": [f"a{number:02d}" for number in range(NUM_ROWS)],
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


def growth():
    """A table in a file, and a matrix of its rows."""
    names = animals()
    frame = names["df"].drop(columns=["words", "photos"])
    frame.to_parquet("animals.parquet")
    matrix = np.random.default_rng(1).normal(size=(NUM_ROWS, NUM_COLUMNS)).astype(np.float32)
    return {"df": frame, "rl": rl, "matrix": matrix}


def growth_in_a_store():
    names = growth()
    rl.FeatureStore.write("growth.zarr", names["matrix"], keys=names["df"]["object_id"])
    return names


def a_model():
    """A merged model, compiled, of the three inputs that the pages have."""
    import keras
    from keras import layers

    from rowlock.keras import merge

    names = growth_in_a_store()
    image = keras.Sequential([keras.Input((150, 150, 3)), layers.AveragePooling2D(30), layers.Flatten()])
    numbers = keras.Sequential([keras.Input((NUM_COLUMNS,)), layers.Dense(2)])
    inputs = {"image": image, "growth": numbers, "facts": keras.Sequential([keras.Input((1,)), layers.Dense(2)])}
    model = merge(inputs, layers.Dense(2, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    return {**names, "model": model}


def a_model_of_two():
    """The same without the facts, and the rows that it takes."""
    import keras
    from keras import layers

    from rowlock.keras import merge

    names = growth_in_a_store()
    image = keras.Sequential([keras.Input((150, 150, 3)), layers.AveragePooling2D(30), layers.Flatten()])
    numbers = keras.Sequential([keras.Input((NUM_COLUMNS,)), layers.Dense(2)])
    model = merge({"image": image, "growth": numbers}, layers.Dense(2, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    frame = names["df"].assign(weight=1.0 + np.arange(NUM_ROWS) % 3)
    inputs = {"image": rl.Images("imgpath", size=(150, 150)), "growth": rl.Features("growth.zarr")}
    data = rl.Dataset(frame, inputs, target=rl.Labels("label"), key="object_id")
    train, valid, test = data.split(0.8, 0.1, 0.1, seed=0)
    return {
        **names,
        "df": frame,
        "model": model,
        "train": train,
        "valid": valid,
        "test": test,
        "loader": train.batches(64),
    }


def a_net():
    """As `a_model_of_two`, and a net of PyTorch."""
    import torch

    def net(image, numbers):
        return torch.stack([image.float().mean(dim=(1, 2, 3)), numbers.mean(dim=1)], dim=1)

    names = a_model_of_two()
    enough = names["train"].select(np.arange(80) % 32)  # rows for a whole batch
    return {**names, "train": enough, "net": net, "criterion": torch.nn.CrossEntropyLoss()}


def a_store_and_changes():
    names = growth()
    frame, matrix = names["df"], names["matrix"]
    frame["object_id"] = ["a17", "b02", *frame["object_id"].str.replace("a", "c")[2:]]
    return {**names, "block": matrix, "keys": frame["object_id"], "new_rows": matrix[:2] + 1}


def files_of_other_formats():
    import h5py

    names = growth()
    keys = names["df"]["object_id"]
    frame = pd.DataFrame({"object_id": keys, "height": np.arange(NUM_ROWS), "weight": 0.5})
    frame.to_parquet("features.parquet")
    with h5py.File("file.h5", "w") as file:
        file["group/features"] = names["matrix"]
    return {**names, "frame": frame}


def ads():
    names = growth_in_a_store()
    Path("growth.zarr").rename("embeddings.zarr")
    names["df"].assign(year=2000 + np.arange(NUM_ROWS)).to_parquet("ads.parquet")
    pd.DataFrame({"house_id": ["007", "008"], "price": [1.5, 2.5]}).to_csv("houses.csv", index=False)
    return {"rl": rl}


def pictures():
    return {"df": animals()["df"], "rl": rl}


def photographs():
    """What `rowlock table` made on the page."""
    labels = ["cat", "dog"] * (NUM_ROWS // 2)
    pd.DataFrame({"key": [f"{label}.{n}" for n, label in enumerate(labels)], "label": labels}).to_parquet(
        "animals.parquet"
    )
    return {}


PAGES = {
    "damage.md": pictures,
    "packing.md": files_of_other_formats,
    "pictures.md": pictures,
    "remote-pictures.md": pictures,
    "store.md": a_store_and_changes,
    "tables.md": ads,
    "tutorial.md": photographs,
}
PAGES_OF_KERAS = {
    "../README.md": a_model,
    "from-the-2017-generator.md": animals,
    "models.md": animals_in_a_dataset,
    "start.md": growth,
    "train-and-predict.md": animals_in_a_file,
    "training.md": a_model_of_two,
}
SLOW_PAGES = {"from-the-2017-generator.md", "start.md", "train-and-predict.md"}  # many models to compile
PAGES_OF_FRAMEWORKS = {"frameworks.md": a_net}
PAGES_ELSEWHERE = {"shuffling.md", "store-format.md"}  # test_format_pages.py


def text_blocks(page, language):
    """Return the blocks that are marked so, each on the lines that it has in the page."""
    text = (DOCS / page).read_text()
    for found in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield "\n" * text[: found.start(1)].count("\n") + found[1]


@pytest.fixture
def run(tmp_path, monkeypatch, time_limit):
    """Run the blocks of a page in a folder of its own; what they name is returned."""

    def run_page(page, names):
        blocks = list(text_blocks(page, "python"))
        assert blocks
        for block in blocks:
            exec(compile(block, str(DOCS / page), "exec"), names)
        return names

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    with time_limit(600):
        yield run_page


def test_every_page_with_python_is_run():
    pages = {path.name for path in DOCS.glob("*.md") if list(text_blocks(path.name, "python"))} | {"../README.md"}
    assert pages == {*PAGES, *PAGES_OF_KERAS, *PAGES_OF_FRAMEWORKS, *PAGES_ELSEWHERE}


@pytest.mark.parametrize("page", PAGES)
def test_the_python_blocks_of_a_page_run(run, page):
    run(page, PAGES[page]())


@pytest.mark.framework
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW_PAGES)) for page in PAGES_OF_KERAS]
)
def test_the_python_blocks_of_a_page_with_keras_run(run, page):
    pytest.importorskip("keras")
    run(page, PAGES_OF_KERAS[page]())


@pytest.mark.adapter
@pytest.mark.parametrize("page", PAGES_OF_FRAMEWORKS)
def test_the_python_blocks_of_a_page_with_other_frameworks_run(run, page):
    for framework in ("torch", "jax", "tensorflow"):
        pytest.importorskip(framework)
    run(page, PAGES_OF_FRAMEWORKS[page]())
