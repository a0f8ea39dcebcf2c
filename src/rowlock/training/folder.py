"""The folder of a run: what it holds, whose it is, and that it is never mixed with another's."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import tomli_w

from rowlock.errors import ConfigError, RunExistsError
from rowlock.run_state import has_trained
from rowlock.store.disk.files import write_bytes, write_json
from rowlock.training.changes import changes_in_words
from rowlock.training.config import Config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.dataset import Dataset

__all__ = ["RunFolder", "read_config"]

RUN: Final = "run.toml"
SPEC: Final = "spec.json"
MODEL: Final = "model.keras"
HISTORY: Final = "history.csv"
SPLIT: Final = "split.parquet"
METRICS: Final = "metrics.json"
CURVES: Final = "curves.png"
STATE: Final = "checkpoint.state"
BAD_ROWS: Final = "bad-rows.jsonl"
VALID_BAD_ROWS: Final = ".bad-rows.valid.jsonl"
MEASURED_BAD_ROWS: Final = ".bad-rows.measured.jsonl"
"""Until the run is finished, and its list has them all; that of training is part of its checkpoint."""
ABLATION: Final = "ablation"
_LOCK: Final = ".lock"

_HEAD: Final = """\
# A run of Rowlock. To repeat it elsewhere:  rowlock train --config run.toml --out ANOTHER
# To go on after an interruption:            rowlock train --config run.toml
"""


class RunFolder:
    """Where one run keeps everything.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock: int | None = None

    def file(self, name: str) -> Path:
        """Return the path of a file in it."""
        return self.path / name

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end: the metrics are written last."""
        return self.file(METRICS).exists()

    @property
    def was_begun(self) -> bool:
        """Whether a run is in it."""
        return self.file(RUN).exists()

    def require_begun(self) -> None:
        """Refuse a folder without a run.

        Raises
        ------
        ConfigError
        """
        if not self.was_begun:
            raise ConfigError(f"there is no run in {self.path}: it has no {RUN}")

    @property
    def has_progress(self) -> bool:
        """Whether anything was trained in it: what only failed to begin may begin otherwise."""
        return self.file(HISTORY).exists() or self.file(METRICS).exists() or has_trained(self.file(STATE))

    def check(self, config: Config, *, overwrite: bool) -> None:
        """Refuse a folder that another run, or something else, is in; before any work.

        Raises
        ------
        RunExistsError
            Names what differs.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise RunExistsError(f"{self.path} is a file; a run needs a folder")
        if not self.was_begun:
            others = [entry.name for entry in self.path.iterdir() if entry.name != _LOCK]
            if others:
                raise RunExistsError(
                    f"{self.path} holds {len(others)} other file(s), such as {min(others)!r}, and no run: name a new"
                    " folder (--out). Nothing was touched."
                )
            return
        if overwrite or not self.has_progress:
            return
        earlier, _ = read_config(self.file(RUN))
        differing = config.differences(earlier)
        if differing:
            raise RunExistsError(
                f"{self.path} holds a run of another configuration: {'; '.join(differing)}. Nothing was touched. Name"
                " another folder (--out), or --overwrite to remove that run."
            )

    def begin(self, config: Config, facts: Mapping[str, Any], data: Dataset, *, overwrite: bool) -> str:
        """Take the folder, and write down what is run in it; or see that the run in it is this one.

        Returns
        -------
        str
            What is to be said: that another run had failed in it before anything was trained; mostly nothing.

        Raises
        ------
        RunExistsError
            Another process trains in it, or the data are not those of the run that was begun.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._take()
        except OSError as error:
            if isinstance(error, RunExistsError):
                raise
            raise ConfigError(f"a run cannot be kept in {self.path}: {error.strerror or error}") from error
        self.check(config, overwrite=overwrite)
        if overwrite or not self.has_progress:
            said = "" if overwrite else self._failed_before(config)
            self._empty()  # also the state from before the first step, which would be another model's
            self._write_run({**facts, "options": config.to_dict(), "data": dict(data.fingerprints)})
            return said
        _, content = read_config(self.file(RUN))
        changes = changes_in_words(data, content.get("data", {}), config)
        if changes:
            raise RunExistsError(
                f"the data are not those that {self.path} was begun with: {'; '.join(changes)}. Nothing was touched."
                " Name another folder (--out), or --overwrite to begin anew."
            )
        if content["options"] != config.to_dict():
            self._write_run({**content, "options": config.to_dict()})
        return ""

    def _failed_before(self, config: Config) -> str:
        """Return what is otherwise than in the run that failed here before anything was trained."""
        try:
            differing = config.differences(read_config(self.file(RUN))[0])
        except ConfigError:  # none, or one that was cut off
            return ""
        told = f"{self.path} held a run that ended before anything was trained; this one takes its place"
        return f"{told} ({'; '.join(differing)})" if differing else ""

    def _write_run(self, content: dict[str, Any]) -> None:
        write_bytes(self.file(RUN), (_HEAD + tomli_w.dumps(content)).encode())

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a whole file, by a rename."""
        write_json(self.file(name), content)

    def release(self) -> None:
        """Let others train in it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self) -> None:
        descriptor = os.open(self.file(_LOCK), os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            import fcntl  # noqa: PLC0415 - POSIX only

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RunExistsError(
                f"another process trains in {self.path}: wait for it, stop it, or name another folder (--out)"
            ) from None
        except (ImportError, OSError):  # a system, or a network mount, without locks
            pass
        self._lock = descriptor

    def _empty(self) -> None:
        """Remove what a run writes, and nothing else; what says that it is a run stays until it is replaced."""
        bad_rows = (BAD_ROWS, VALID_BAD_ROWS, MEASURED_BAD_ROWS)
        for name in (METRICS, MODEL, HISTORY, SPLIT, SPEC, CURVES, STATE, *bad_rows):
            self.file(name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.file(ABLATION))


def read_config(path: Path) -> tuple[Config, dict[str, Any]]:
    """Return the configuration in a ``run.toml``, and all that the file says.

    Raises
    ------
    ConfigError
        There is none, or it is not one.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no {path}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(content.get("options"), dict):
        raise ConfigError(f"{path} has no [options]: it is no run.toml")
    try:
        return Config.from_dict(content["options"]), content
    except TypeError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_metrics(path: Path) -> dict[str, Any]:
    """Return what ``metrics.json`` says."""
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return content
