"""Pictures through a convnet, words through an LSTM, a growth curve from a feature store: none is enough alone.

    python examples/three_branches.py [--rows 900] [--epochs 12]

The words of a note are a column of lists of numbers (`rl.Tokens`), the growth curve comes from a store by key, as
twelve steps of one number for a second recurrent branch. It prints the test accuracy of each branch alone and of all
three, and draws the merged model. (Cats and foxes are drawn; each source leaves a third of the rows open.)
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # any of the three will do

import keras
import made_up
import pandas as pd
from keras import layers

import rowlock as rl
from rowlock.keras import Branch, draw, merge


def inputs_in(folder: Path) -> dict[str, rl.Input]:
    """Return all there is; a store's rows are joined by key, whatever order they have."""
    return {
        "image": rl.Images("imgpath", size=(48, 48), root=folder),
        "note": rl.Tokens("words", 10),
        "growth": rl.Features(folder / "growth.zarr", shape=(12, 1), standardize=True),
    }


def branch_of(name: str) -> Branch | keras.Layer:
    """Return a new branch for the input of this name."""
    if name == "image":
        convolutions = [layers.Conv2D(n, 5, strides=2, padding="same", activation="relu") for n in (16, 32, 48)]
        end = [layers.Flatten(), layers.Dropout(0.3), layers.Dense(16, activation="relu")]
        return Branch(keras.Sequential([*convolutions, *end]), preprocess=layers.Rescaling(1 / 127.5, -1))
    if name == "note":
        return keras.Sequential([layers.Embedding(made_up.NUM_WORDS, 8, mask_zero=True), layers.LSTM(16)])
    return layers.GRU(16)


def accuracy_of(names: list[str], folder: Path, df: pd.DataFrame, epochs: int) -> float:
    """Train on the named inputs and return the accuracy on the test rows."""
    chosen = {name: what for name, what in inputs_in(folder).items() if name in names}
    data = rl.Dataset(df, chosen, target=rl.Labels("label"), key="object_id")
    train, test = data.split(0.75, 0.25, stratify="label", seed=0)
    if "growth" in names:
        train, test = train.fit_statistics(test)
    keras.utils.set_random_seed(0)
    head = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(2, activation="softmax")])
    model = merge({name: branch_of(name) for name in names}, head, data=train)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train.batches(32, seed=0).to_keras(), epochs=epochs, verbose=0)
    if len(names) == 3:
        print("the merged model is drawn in", draw(model, "three_branches.png"))
    return model.evaluate(test.batches(32, shuffle=False).to_keras(), verbose=0)[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Pictures, words and a growth curve, alone and merged.")
    parser.add_argument("--rows", type=int, default=900)
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        df = made_up.animals(Path(scratch), args.rows)
        for names in (["image"], ["note"], ["growth"], ["image", "note", "growth"]):
            accuracy = accuracy_of(names, Path(scratch), df, args.epochs)
            print(f"{' + '.join(names):<24} {accuracy:.3f} of the test rows right")
