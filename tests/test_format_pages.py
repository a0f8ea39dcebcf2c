"""The pages that say what is promised to the byte: their code is run beside Rowlock's own."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rowlock as rl

DOCS = Path(__file__).parents[1] / "docs"
NUM_ROWS = 60
SHARD_BYTES = 1500  # several files


def code_of(page):
    names = {}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        exec(compile(block, page, "exec"), names)
    return names


@pytest.fixture(scope="module")
def reader():
    return code_of("store-format.md")


def matrix_of(dtype):
    rng = np.random.default_rng(4)
    matrix = rng.integers(-3, 4, (NUM_ROWS, 21)).astype(dtype)
    matrix[:, 3:] *= rng.random((NUM_ROWS, 18)) < 0.2
    if np.dtype(dtype).kind == "f":
        matrix[1, 0], matrix[2, 20] = -0.0, np.nan
    matrix[7] = 0
    return matrix


KEYS = {
    "int": [number * 7919 - 200_000 for number in range(NUM_ROWS)],
    "text": ["", "a", "exactly8", "nine char", "Ünïcôdé", *(f"key {number:04d}" for number in range(5, NUM_ROWS))],
    None: None,
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("dtype", ["float32", "int8", "float64"])
@pytest.mark.parametrize("layout", ["raw", "csr", "packed"])
def test_the_reader_of_the_page_reads_every_layout(reader, tmp_path, layout, dtype, kind):
    matrix, keys = matrix_of(dtype), KEYS[kind]
    store = tmp_path / "store.zarr"
    with rl.FeatureStore.create(
        store, num_columns=21, dtype=dtype, keys=kind, layout=layout, shard_bytes=SHARD_BYTES
    ) as made:
        for first in range(0, NUM_ROWS, 20):  # several commits, several runs of the index
            rows = slice(first, first + 20)
            made.append(matrix[rows], **({} if keys is None else {"keys": keys[rows]}))
    for row in range(NUM_ROWS):
        values = reader["read"](store, row if keys is None else keys[row])
        assert values.tobytes() == matrix[row].tobytes(), row
    commit = reader["commit_of"](store)
    if keys is not None:
        assert len(commit["key_index"]) >= 1
        assert reader["row_of"](store, commit, 12345678 if kind == "int" else "no such key") is None


def test_the_check_of_the_page_finds_a_changed_value(reader, tmp_path):
    store = tmp_path / "store.zarr"
    rl.FeatureStore.write(store, matrix_of("float32"), keys=KEYS["int"], layout="raw")
    path = store / "matrix" / "c.0.0"
    data = bytearray(path.read_bytes())
    data[5 * 21 * 4] ^= 1
    path.write_bytes(data)
    with pytest.raises(AssertionError):
        reader["read"](store, KEYS["int"][5])
    reader["read"](store, KEYS["int"][6])


@pytest.fixture(scope="module")
def row_at():
    return code_of("shuffling.md")["row_at"]


@given(st.integers(1, 5000), st.integers(-5, 2**70), st.integers(0, 1000), st.data())
def test_the_order_of_the_page_is_the_plan_s(row_at, num_rows, seed, epoch, data):
    plan = rl.Plan(num_rows, batch_size=16, seed=seed)
    index = data.draw(st.integers(0, len(range(0, num_rows, 16)) - 1))
    rows = plan.rows(plan.first_step(epoch) + index)
    positions = range(index * 16, min(index * 16 + 16, num_rows))
    assert rows.tolist() == [row_at(position, seed, epoch, num_rows) for position in positions]
