"""A loop of your own in JAX: two branches as plain functions, one jitted step, batches as device arrays.

    python examples/jax_loop.py [--rows 900] [--epochs 8]

All batches have one shape (``last="pad"``: rows that fill the last one up weigh nothing), so the step is compiled once.
It prints loss and accuracy on the validation rows for each epoch.
"""

import argparse
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import made_up
import numpy as np

import rowlock as rl


def parameters(key: jax.Array) -> dict[str, jax.Array]:
    """Return weights for two convolutions, a dense layer a branch, and a head."""
    shapes = {"c1": (5, 5, 3, 16), "c2": (5, 5, 16, 32), "image": (4608, 16), "growth": (12, 16), "head": (32, 2)}
    draw = jax.nn.initializers.he_normal()
    return {name: draw(jax.random.fold_in(key, place), shapes[name]) for place, name in enumerate(shapes)}


def logits(weights: dict[str, jax.Array], inputs: dict[str, jax.Array]) -> jax.Array:
    """Join the columns of both branches; pictures come as bytes and are scaled here, on the device."""
    pixels = inputs["image"].astype(jnp.float32) / 127.5 - 1
    for name in ("c1", "c2"):
        pixels = jax.lax.conv_general_dilated(
            pixels, weights[name], (2, 2), "SAME", None, None, ("NHWC", "HWIO", "NHWC")
        )
        pixels = jax.nn.relu(pixels)
    image = jax.nn.relu(pixels.reshape(len(pixels), -1) @ weights["image"])
    growth = jax.nn.relu(inputs["growth"] @ weights["growth"])
    return jnp.concatenate([image, growth], axis=1) @ weights["head"]


def loss_of(weights: dict, inputs: dict, target: jax.Array, sample_weight: jax.Array) -> jax.Array:
    """Return the mean cross-entropy of the rows that count."""
    likelihood = jnp.take_along_axis(jax.nn.log_softmax(logits(weights, inputs)), target[:, None], axis=1)[:, 0]
    return -(likelihood * sample_weight).sum() / sample_weight.sum()


@jax.jit
def step(weights: dict, momentum: dict, batch: tuple) -> tuple[dict, dict, jax.Array]:
    """Go one step down, with momentum."""
    loss, slope = jax.value_and_grad(loss_of)(weights, *batch)
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, slope)
    return jax.tree.map(lambda w, m: w - 0.003 * m, weights, momentum), momentum, loss


def main(rows: int, epochs: int, folder: Path) -> None:
    """Train, and validate after each epoch."""
    growth = rl.Features(folder / "growth.zarr", standardize=True)
    inputs = {"image": rl.Images("imgpath", size=(48, 48), root=folder), "growth": growth}
    data = rl.Dataset(made_up.animals(folder, rows), inputs, target=rl.Labels("label"), key="object_id")
    train, valid = data.split(0.75, 0.25, stratify="label", seed=0)
    train, valid = train.fit_statistics(valid)
    momentum = jax.tree.map(jnp.zeros_like, weights := parameters(jax.random.key(0)))
    loader, classify = train.batches(32, seed=7, last="pad"), jax.jit(lambda w, x: logits(w, x).argmax(axis=1))
    for epoch in range(epochs):
        losses = []
        for batch in loader.to_jax():  # each pass is the next epoch
            weights, momentum, loss = step(weights, momentum, (batch.inputs, batch.target, batch.sample_weight))
            losses.append(loss)  # not yet a number: JAX goes on while it is computed
        right = [np.asarray(classify(weights, b.inputs) == b.target) for b in valid.batches(32, shuffle=False).to_jax()]
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}, accuracy {np.concatenate(right).mean():.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train two branches in a loop of JAX.")
    parser.add_argument("--rows", type=int, default=900)
    parser.add_argument("--epochs", type=int, default=8)
    with tempfile.TemporaryDirectory() as scratch:
        main(**vars(parser.parse_args()), folder=Path(scratch))
