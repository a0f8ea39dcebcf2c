"""Everything about this machine and installation, for people and for programs."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.filesize import decimal

from rowlock.machine.codecs import codec_facts
from rowlock.machine.packages import NEEDED, OPTIONAL, installed, version_warnings
from rowlock.machine.processor import processor_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SCHEMA", "machine_facts", "machine_lines"]

SCHEMA: Final = "rowlock-info-1"
_FEW_FILES: Final = 1024
_LITTLE_MEMORY: Final = 2 * 2**30


def machine_facts(version: str) -> dict[str, Any]:
    """Return what there is to know, as numbers and texts; `version` is Rowlock's."""
    processor = processor_facts()
    return {
        "schema": SCHEMA,
        "rowlock": version,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor,
        "packages": {name: installed(name) for name in (*NEEDED, *OPTIONAL)},
        "keras_backend": _keras_backend(),
        "codecs": codec_facts(),
        "warnings": [*version_warnings(), *_limits(processor)],
    }


def machine_lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts as pairs (label, text); warnings are not among them."""
    processor, packages = facts["processor"], facts["packages"]
    needed = [(name, packages[name] or "not installed") for name in NEEDED]
    optional = [(name, packages[name]) for name in OPTIONAL if packages[name]]
    absent = [name for name in OPTIONAL if not packages[name] and not packages.get(f"{name}-cpu")]
    return [
        ("rowlock", facts["rowlock"]),
        ("python", facts["python"]),
        ("system", facts["system"]),
        ("processor", _processor(processor)),
        ("instructions", "not known" if processor["instructions"] is None else " ".join(processor["instructions"])),
        ("memory", _memory(processor)),
        ("open files", "no limit" if processor["open_files_limit"] is None else f"{processor['open_files_limit']:,}"),
        *needed,
        *optional,
        ("not installed", ", ".join(absent) or "nothing of what is optional"),
        ("keras backend", facts["keras_backend"] or "Keras is not installed"),
        *((f"decodes {name}", version or "no") for name, version in facts["codecs"].items()),
    ]


def _processor(facts: Mapping[str, Any]) -> str:
    usable = f"{facts['num_usable']} of {facts['num_processors']} may be used"
    quota = "" if facts["cpu_quota"] is None else f", for {facts['cpu_quota']:.3g} processors' time"
    return f"{facts['name']}; {usable}{quota}"


def _memory(facts: Mapping[str, Any]) -> str:
    free = facts["available_bytes"]
    return f"{decimal(facts['memory_limit_bytes'])} may be used" + ("" if free is None else f", {decimal(free)} free")


def _limits(facts: Mapping[str, Any]) -> list[str]:
    found = []
    files, quota = facts["open_files_limit"], facts["cpu_quota"]
    if files is not None and 0 <= files < _FEW_FILES:
        found.append(f"a process may open only {files:,} files: stores of many shards need more (ulimit -n 4096)")
    if facts["memory_limit_bytes"] < _LITTLE_MEMORY:
        found.append(f"only {decimal(facts['memory_limit_bytes'])} of memory: give an rl.Engine(memory_budget=...)")
    if quota is not None and quota < facts["num_usable"]:
        found.append(
            f"the control group allows {quota:.3g} processors' time, less than the {facts['num_usable']} that are"
            f" seen: rl.Engine(num_threads={max(1, round(quota))}) avoids being throttled"
        )
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}:
        found.append("NUMBA_DISABLE_JIT is set: everything is a hundred times slower")
    return found


def _keras_backend() -> str | None:
    """Return what Keras will use, without importing it: the environment says so, else its file, else TensorFlow."""
    if installed("keras") is None:
        return None
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((home / "keras.json").read_text())["backend"])
    except (OSError, ValueError, KeyError):
        return "tensorflow"
