"""What happens along the way: a line of history an epoch, and a stop that loses nothing."""

from __future__ import annotations

import csv
import io
import math
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

import keras
from typing_extensions import override

from rowlock.errors import TrainingError
from rowlock.store.disk.files import write_bytes
from rowlock.training.listener import EpochFacts
from rowlock.training.models import DATA_LOSS

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from rowlock.keras import Resume
    from rowlock.loader import Loader
    from rowlock.training.listener import Listener

__all__ = ["History", "InterruptStop"]

_SOON: Final = 1e-9
_JUDGED: Final = f"val_{DATA_LOSS}"


class History(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Writes ``history.csv`` anew after every epoch, by a rename, and tells the listener.

    It remembers its rows with the checkpoint, so the file of a resumed run is that of one run. The training numbers of
    the epoch in which a run was interrupted are of what came after; those of validation are of the whole part.

    Parameters
    ----------
    path : Path
    listener : Listener
    loader : Loader
        Of the training rows.
    epochs : int
    unit : float, optional
        Deviation of the target: mean absolute errors are told in its units.
    """

    def __init__(self, path: Path, listener: Listener, loader: Loader, epochs: int, unit: float | None) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self._path = path
        self._listener = listener
        self._loader = loader
        self._epochs = epochs
        self._unit = unit
        self._epoch = 0
        self._started = time.perf_counter()
        self._stats = loader.stats()

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far, for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the rows of a checkpoint."""
        self.rows = list(state["rows"])

    @override
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._started, self._stats = epoch, time.perf_counter(), self._loader.stats()

    @override
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._listener.step(self._epoch + 1, self._epochs, batch + 1, len(self._loader))

    @override
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        values = {name: self._in_units(name, float(value)) for name, value in (logs or {}).items()}
        lost = [name for name, value in values.items() if not math.isfinite(value)]
        if lost:
            raise TrainingError(
                f"{lost[0]} became {values[lost[0]]} in epoch {epoch + 1}: training went astray. Try a lower"
                " --learning-rate, look for infinite numbers (rowlock check), or leave --mixed-precision out. The"
                " checkpoint of the epoch before is kept."
            )
        stats = self._loader.stats() - self._stats
        values |= {"learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
                   "seconds": round(time.perf_counter() - self._started, 3),
                   "wait_share": round(stats.wait_share, 4)}  # fmt: skip
        before = [row[_JUDGED] for row in self.rows if _JUDGED in row]
        is_best = _JUDGED in values and all(values[_JUDGED] < loss for loss in before)
        self.rows.append({"epoch": epoch + 1, **values})
        write_bytes(self._path, _csv(self.rows))
        self._listener.epoch(EpochFacts(epoch + 1, self._epochs, values, is_best))

    def _in_units(self, name: str, value: float) -> float:
        return value * self._unit if self._unit is not None and name.endswith("mae") else value


class InterruptStop(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Ctrl-C: the step under way is finished and saved, then `KeyboardInterrupt`; a second Ctrl-C ends at once.

    Parameters
    ----------
    resume : Resume
    listener : Listener
    """

    def __init__(self, resume: Resume, listener: Listener) -> None:
        super().__init__()
        self._resume = resume
        self._listener = listener
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: there is nothing to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""

    @override
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._stop()

    @override
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._stop()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._resume.every_seconds = _SOON  # so that the step under way is saved
        signal.signal(number, self._before)
        self._listener.note("stopping after this step, or after the validation under way; Ctrl-C again stops at once")
        del frame

    def _stop(self) -> None:
        if self._asked:
            raise KeyboardInterrupt


def _csv(rows: list[dict[str, float]]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
