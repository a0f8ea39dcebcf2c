"""What one would write without Rowlock, measured in a child process: ``python -m rowlock.benching.reference``."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from rowlock.benching.report import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["references"]

_START_SECONDS: Final = 90.0
"""What importing a framework may take on a busy machine."""

_NAMES: Final = {"keras": "Keras load_img, one thread", "torch": "PyTorch DataLoader, Pillow"}


def references(
    paths: Sequence[bytes], size: tuple[int, int], batch_size: int, num_workers: int, seconds: float
) -> list[Reference]:
    """Measure the plain loop of each framework that is installed, over the pictures alone, for about that long."""
    found = []
    for module, name in _NAMES.items():
        if importlib.util.find_spec(module) is None:
            found.append(Reference(name, None, f"{module} is not installed"))
        else:
            job = {
                "module": module, "paths": [os.fsdecode(path) for path in paths], "size": size,
                "batch_size": batch_size, "num_workers": num_workers, "seconds": seconds,
            }  # fmt: skip
            found.append(_measured(name, job, seconds + _START_SECONDS))
    return found


def _measured(name: str, job: dict[str, Any], most_seconds: float) -> Reference:
    # the parent's import path goes along, so that the child finds the same Rowlock
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rowlock.benching.reference"],
            input=json.dumps(job), capture_output=True, text=True, timeout=most_seconds, check=False, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Reference(name, None, f"it took more than {most_seconds:.0f} s to start")
    try:
        rate = float(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Reference(name, None, f"it failed: {reason}")
    return Reference(name, rate, "the pictures alone, from a warm page cache")


def _main() -> None:
    job = json.loads(sys.stdin.read())
    batches = _MAKERS[job["module"]](job)
    next(batches)  # starting is not counted
    started, num_rows = time.perf_counter(), 0
    while True:
        num_rows += next(batches)
        elapsed = time.perf_counter() - started
        if elapsed >= job["seconds"]:
            break
    print(num_rows / elapsed)  # noqa: T201 - what the parent reads
    sys.stdout.flush()
    os._exit(0)  # workers of a loader that is not at its end may take their time


def _keras(job: dict[str, Any]) -> Iterator[int]:
    import numpy as np  # noqa: PLC0415 - loaded in the process that is measured alone
    from keras.utils import img_to_array, load_img  # noqa: PLC0415 - loaded in the process that is measured alone

    paths, count = job["paths"], job["batch_size"]
    while True:
        for start in range(0, len(paths), count):
            part = paths[start : start + count]
            batch = np.stack([img_to_array(load_img(path, target_size=tuple(job["size"]))) for path in part])
            yield len(batch)


def _torch(job: dict[str, Any]) -> Iterator[int]:
    from torch.utils.data import DataLoader  # noqa: PLC0415 - loaded in the process that is measured alone

    loader = DataLoader(
        _Pictures(job["paths"], tuple(job["size"])), batch_size=job["batch_size"], num_workers=job["num_workers"],
        persistent_workers=job["num_workers"] > 0,
    )  # fmt: skip
    while True:
        for batch in loader:
            yield len(batch)


class _Pictures:
    """A map-style dataset as its tutorial shows it."""

    def __init__(self, paths: Sequence[str], size: tuple[int, int]) -> None:
        self._paths = paths
        self._size = size

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, place: int) -> Any:
        import numpy as np  # noqa: PLC0415 - loaded in the process that is measured alone
        import torch  # noqa: PLC0415 - loaded in the process that is measured alone
        from PIL import Image  # noqa: PLC0415 - loaded in the process that is measured alone

        with Image.open(self._paths[place]) as image:
            return torch.from_numpy(np.array(image.convert("RGB").resize(self._size[::-1])))


_MAKERS: Final[dict[str, Callable[[dict[str, Any]], Iterator[int]]]] = {"keras": _keras, "torch": _torch}

if __name__ == "__main__":
    _main()
