import subprocess
import sys

import numpy as np
import pytest

import rowlock
from rowlock import selftest
from rowlock.errors import ConfigError

NUM_ROWS = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return selftest.make_dataset(tmp_path_factory.mktemp("selftest"), NUM_ROWS)


def epoch_of(data, change=lambda arrays: arrays):
    batches = data.batches(7, seed=3)
    return (
        change([batch.inputs["image"], batch.inputs["features"], batch.inputs["facts"], batch.target])
        for batch in batches
    )


def test_a_right_epoch_is_proved_from_the_values_alone(data):
    result = selftest.check_epoch("e", epoch_of(data), NUM_ROWS)
    assert result.is_right
    assert result.num_rows == NUM_ROWS


@pytest.mark.parametrize("place", range(4))
def test_any_input_that_slips_by_one_row_is_found(data, place):
    def slipped(arrays):
        arrays[place] = np.roll(arrays[place], 1, axis=0)
        return arrays

    result = selftest.check_epoch("e", epoch_of(data, slipped), NUM_ROWS)
    assert result.num_misaligned > NUM_ROWS * 0.9
    assert not result.is_right
    assert "holds the picture of row" in result.examples[0]


def test_a_value_that_is_not_the_row_s_is_found(data):
    def damaged(arrays):
        arrays[1][0, 5] += 1
        return arrays

    assert selftest.check_epoch("e", epoch_of(data, damaged), NUM_ROWS).num_misaligned == 9  # one a batch


def test_repeated_and_missing_rows_are_counted(data):
    def cut(arrays):
        return [np.concatenate([array[:3], array[:3]]) for array in arrays]

    result = selftest.check_epoch("e", epoch_of(data, cut), NUM_ROWS)
    assert result.num_misaligned == 0
    assert result.num_repeated == 27
    assert result.num_missing == NUM_ROWS - 27


def test_rows_that_float32_cannot_tell_apart_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="numbers 1 to 16,777,216 rows, not 20,000,000"):
        selftest.make_dataset(tmp_path, 20_000_000)


def run(*arguments, **options):
    command = [sys.executable, "-m", "rowlock", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, **options)


@pytest.mark.slow
def test_the_command_prints_what_it_checked_and_ends_with_zero(tmp_path):
    done = run("selftest", "--rows", "100", "--folder", str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr
    assert "misaligned" in done.stdout
    assert "all right" in done.stdout
    assert list((tmp_path / "new").iterdir()) == []


def test_misuse_ends_with_two_and_without_a_traceback(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for arguments in (["selftest", "--folder", str(tmp_path)], ["selftest", "--rows", "0"], ["selftest", "--row", "9"]):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert "Traceback" not in done.stderr + done.stdout
        assert done.stderr.strip()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_help_and_versions_are_there():
    assert "selftest" in run("--help").stdout
    found = run("info")
    assert found.returncode == 0
    assert rowlock.__version__ in found.stdout
