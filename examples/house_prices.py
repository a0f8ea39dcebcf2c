"""Regression: two to four photographs a row through one convnet, and numbers that are in the table anyway.

    python examples/house_prices.py [--rows 800] [--epochs 15]

The photographs of a house are a list in one column; one small convnet sees each of them, and the mean over those that
are there is joined to area and rooms. It prints how far off the price is on the test rows, in thousands: by the numbers
alone, by the photographs alone, by both. (The houses are drawn; only photographs tell in what condition they are.)
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
from rowlock.keras import Branch, merge, summary


def error_of(used: tuple[str, ...], folder: Path, df: pd.DataFrame, epochs: int) -> float:
    """Train on the named inputs, and return the mean absolute error on the test rows."""
    inputs = {
        "photos": rl.Images("photos", size=(48, 48), root=folder, num_images=4),
        "shown": rl.ImagesMask("photos", num_images=4),
        "facts": rl.Columns(["area", "rooms"]),
    }
    data = rl.Dataset(df, {name: inputs[name] for name in used}, target=rl.Column("price"), key="house")
    train, test = data.split(0.8, 0.2, seed=1)

    keras.utils.set_random_seed(0)
    facts = layers.Normalization()
    facts.adapt(train.frame[["area", "rooms"]].to_numpy("float32"))  # by the training rows alone
    convnet = keras.Sequential(
        [
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    branches = {
        "photos": Branch(convnet, preprocess=layers.Rescaling(1 / 127.5, -1), per_item="mean", mask="shown"),
        "facts": facts,
    }
    head = keras.Sequential([layers.Dense(32, activation="relu"), layers.Dense(1), layers.Rescaling(100)])
    model = merge({name: branch for name, branch in branches.items() if name in used}, head, data=data)
    if len(used) == 3:
        summary(model)
    model.compile(keras.optimizers.Adam(5e-3), loss="mae")
    model.fit(train.batches(32, seed=1).to_keras(), epochs=epochs, verbose=0)
    return model.evaluate(test.batches(32, shuffle=False).to_keras(), verbose=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Predict prices of houses from photographs and numbers.")
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=15)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        df = made_up.houses(Path(scratch), args.rows)
        guess = (df["price"] - df["price"].median()).abs().mean()
        print(f"{len(df)} houses of {df['price'].median():.0f} thousand; guessing that is {guess:.1f} off")
        for told, used in {"numbers": ("facts",), "photographs": ("photos", "shown")}.items():
            print(f"{told} alone: {error_of(used, Path(scratch), df, args.epochs):.1f} off")
        print(f"both: {error_of(('photos', 'shown', 'facts'), Path(scratch), df, args.epochs):.1f} off")
