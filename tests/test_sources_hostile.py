"""Files of other formats that lie about their sizes, point elsewhere, or are damaged in ways their libraries miss."""

from __future__ import annotations

import struct
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

import rowlock as rl
from rowlock.errors import SourceError


@pytest.mark.parametrize("kind", ["int64", "float64", "uint8"])
@pytest.mark.parametrize("num_rows", [2**40, 2**33])
def test_an_arrow_file_that_claims_more_rows_than_it_has_is_an_error_and_no_crash(tmp_path, kind, num_rows):
    """The program lives on: reading beyond a mapped file would end it, so it is tried in one of its own."""
    count, path = 12_345, tmp_path / "claims.arrow"
    data = pa.table({"a": pa.array([None] + [1] * (count - 1), kind)})
    with pa.ipc.new_file(path, data.schema) as writer:
        writer.write_table(data)
    claimed, node = bytearray(path.read_bytes()), struct.pack("<qq", count, 1)
    assert claimed.count(node) == 1
    place = claimed.find(node)
    claimed[place : place + 16] = struct.pack("<qq", num_rows, -1)  # -1: to be counted
    path.write_bytes(claimed.replace(struct.pack("<q", count), struct.pack("<q", num_rows)))
    program = (
        "import sys, rowlock as rl\n"
        "try:\n"
        "    rl.pack(sys.argv[1], sys.argv[2])\n"
        "except rl.errors.RowlockError as error:\n"
        "    print(type(error).__name__)\n"
    )
    arguments = [sys.executable, "-c", program, str(path), str(tmp_path / "out.zarr")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.strip() in {"SourceError", "ConfigError"}
    assert not (tmp_path / "out.zarr").exists()
