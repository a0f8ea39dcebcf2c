"""Loaders with threads or processes of their own: measured over whole passes, one after the other, round by round.

All give uint8 batches of 16 in the order of the table. Each is made once; a tf.data dataset that is made anew for each
pass would be traced again, and a DataLoader would start its processes again.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import simplejpeg
from PIL import Image

import rowlock as rl

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

BATCH_ROWS = 16
LOADER = "rowlock, the loader"


def by_rowlock(paths: list[str], size: int, num_threads: int, stack: ExitStack) -> Callable:
    """Return the whole loader: plan, threads ahead, memory budget, proof of alignment."""
    data = rl.Dataset(
        pa.table({"path": paths}),
        inputs={"image": rl.Images("path", size=(size, size))},
    )
    engine = stack.enter_context(rl.Engine(num_threads=num_threads))

    def one_pass():
        with data.batches(BATCH_ROWS, shuffle=False, engine=engine) as loader:  # ends what it makes of the next epoch
            for batch in loader:
                yield batch.inputs["image"]

    return one_pass


def by_tf_data(paths: list[str], size: int, num_threads: int, *, antialias: bool) -> Callable:
    import tensorflow as tf

    def load(path):
        image = tf.image.decode_jpeg(tf.io.read_file(path), channels=3)
        resized = tf.image.resize(image, (size, size), antialias=antialias)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    data = tf.data.Dataset.from_tensor_slices(paths).map(load, num_parallel_calls=num_threads)
    data = data.batch(BATCH_ROWS).prefetch(2)
    options = tf.data.Options()
    options.threading.private_threadpool_size = num_threads
    options.threading.max_intra_op_parallelism = 1
    data = data.with_options(options)
    return data.as_numpy_iterator


class Pictures:
    """A map-style dataset for `torch.utils.data.DataLoader`."""

    def __init__(self, paths: list[str], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int):
        with Image.open(self.paths[place]) as image:
            small = image.convert("RGB").resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.array(small)


class QuickPictures(Pictures):
    """The same with a DCT scale: what somebody who knows simplejpeg would write."""

    def __getitem__(self, place: int):
        data = Path(self.paths[place]).read_bytes()
        pixels = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=True, fastupsample=True, min_height=self.size, min_width=self.size
        )
        return np.array(Image.fromarray(pixels).resize((self.size, self.size), Image.Resampling.BILINEAR))


def by_data_loader(pictures: Pictures, num_workers: int) -> Callable:
    import torch

    loader = torch.utils.data.DataLoader(
        pictures,
        batch_size=BATCH_ROWS,
        num_workers=num_workers,
        persistent_workers=True,
        multiprocessing_context="forkserver",  # TensorFlow's threads do not survive a fork
    )

    def one_pass():
        return (batch.numpy() for batch in loader)

    return one_pass


def loaders(paths: list[str], size: int, num_threads: int, stack: ExitStack) -> dict[str, Callable]:
    """Return ``{name: one_pass()}``, which gives the batches of all pictures; `stack` ends threads."""
    found = {LOADER: by_rowlock(paths, size, num_threads, stack)}
    if importlib.util.find_spec("tensorflow"):
        found["tf.data (not antialiased)"] = by_tf_data(paths, size, num_threads, antialias=False)
        found["tf.data, antialias=True"] = by_tf_data(paths, size, num_threads, antialias=True)
    if importlib.util.find_spec("torch"):
        found["DataLoader, Pillow"] = by_data_loader(Pictures(paths, size), num_threads)
        found["DataLoader, simplejpeg+Pillow"] = by_data_loader(QuickPictures(paths, size), num_threads)
    return found
