"""What messages advise, in the words of the command line.

The library writes each message once, for Python. Where a command prints one, what it says of Python's arguments becomes
the option of that command that means the same; where the command has none, it stays as it is.
"""

from __future__ import annotations

import ast
import contextlib
import re
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from rowlock.checking import Report
    from rowlock.checking.report import Finding

__all__ = ["WORDS", "as_options", "in_options", "report_in_options", "speak_as"]

WORDS: Final = (
    ("rows out of the frame, or pass missing='drop'", "rows out of the table, or say --missing drop"),
    ("leave these rows out of the frame, or pass missing='drop'", "or leave these rows out of the table"),
    ("unknown='zeros'", "--unknown zeros"),
    ('or train with on_error="mask"', "or rowlock train --on-error mask"),
    ("max_bad=<share>", "--max-bad <share>"),
    ("raise max_bad", "raise --max-bad"),
    ("loader.bad_rows lists them. Mend the files, leave the rows out with data.without(loader.bad_rows)",
     "bad-rows.jsonl in the run's folder lists them. Mend the files, leave the rows out of the table"),
    ("rl.Dataset(..., key=<column>)", "--key <column>"),
    ("rl.Features(<store>, key=<column>)", "--join NAME=<column>"),
    ('Read the table with dtype={"object_id": str} (the name of its key column)',
     "Read a CSV file with --key-type text, or write the column as text"),
    ("types={<column>: <kind>}", "--type <column>=<kind>"),
    ("types= says", "--type says"),
    ("remote=rl.Remote(<servers>)", "--remote <servers>"),
    ("rl.Remote(<servers>)", "--remote <servers>"),
    ("root=<folder>", "--root <folder>"),
    ("leave root= out", "leave --root out"),
    ("hash it again (rl.hash_pictures) if the change was meant",
     "make the table anew with rowlock table FOLDER OUT --hash if the change was meant (a run then begins anew)"),
    ("or hash them again (rl.hash_pictures) if the change was meant",
     "or make the table anew with rowlock table FOLDER OUT --hash if the change was meant"),
    ("rl.hash_pictures(paths) makes such a column", "rowlock table FOLDER OUT --hash makes such a column"),
    ("as rl.hash_pictures(paths) writes them", "as rowlock table FOLDER OUT --hash writes them"),
    ("keep decoded pictures, Images(cache=...)", "keep decoded pictures with --cache DIR"),
    ("keep decoded pictures, Images(cache=...)", "keep decoded pictures with rowlock train --cache DIR"),
    ("rowlock.FeatureStore.write makes one", "rowlock pack makes one"),
    ("cache=, or the environment variable ROWLOCK_CACHE", "with the environment variable ROWLOCK_CACHE"),
    ("class_weights='balanced' and sampling='balanced'", "--class-weights balanced and --sampling balanced"),
    ('batches(..., sampling="balanced") or class weights help',
     "rowlock train --sampling balanced or --class-weights balanced helps"),
    ("max_categories=<count>", "the <count> that a column may have"),
    ("Leave it out, or join rare values to one; or name the categories, or a larger max_categories",
     "Leave it out of --columns, or join rare values to one in the table; or encode them as numbers, also in a store"),
    ("leave them out with columns=", "leave them out: rowlock pack --columns"),
)  # fmt: skip
"""As Python says it, and as an option; the same ``<word>`` stands for a value on both sides."""

_options: ContextVar[frozenset[str]] = ContextVar("options", default=frozenset())

_VALUE: Final = r"'[^']*'|\"[^\"]*\"|[^\s,;:()]+"
_SEVERAL: Final = f"(?:{_VALUE})(?:, (?:{_VALUE}))*"
_BOTH: Final = (
    (re.compile(r"\b[a-z_]+=(?:'[^']*'|\"[^\"]*\"|\w*) \((--[a-z][^()]*)\)"), r"\1"),  # overwrite=True (--overwrite)
    (re.compile(r"\b[a-z_]+=(?:'[^']*'|\"[^\"]*\"|\w*) / (?=--[a-z])"), ""),  # group= / --group
    (re.compile(r"(--[a-z-]+) / [a-z_]+=(?!\S)"), r"\1"),  # --size / size=
)
_ARGUMENT: Final = re.compile(r"^([a-z]+(?:_[a-z]+)*)(?= (?:must|is|has|names|compares)\b)")


def speak_as(command: Any) -> None:
    """From now on, say things in the options of this command."""
    _options.set(frozenset(option for parameter in command.params for option in parameter.opts))


def in_options(text: str) -> str:
    """Return a message as the command that is running says it."""
    return as_options(text, _options.get())


def as_options(text: str, options: Collection[str]) -> str:
    """Return a message as a command with these options says it."""
    for written, said in _BOTH:
        text = written.sub(said, text)
    for python, said in WORDS:
        option = None if "rowlock " in said else re.search(r"--[a-z-]+", said)
        if option is None or option.group() in options:
            text = _pattern(python).sub(partial(_filled, said), text)
    return _ARGUMENT.sub(lambda found: _named(found.group(), options), text)


def report_in_options(report: Report) -> Report:
    """Return what a check found, as the command that is running says it."""
    findings = tuple(_found_in_options(one) for one in report.findings)
    estimate = report.estimate
    told = None if estimate is None else replace(estimate, advice=in_options(estimate.advice))
    return replace(report, findings=findings, estimate=told)


def _found_in_options(found: Finding) -> Finding:
    examples = tuple(replace(one, detail=in_options(one.detail)) for one in found.examples)
    return replace(found, message=in_options(found.message), advice=in_options(found.advice), examples=examples)


def _pattern(python: str) -> re.Pattern[str]:
    parts = re.split(r"<(\w+)>", python)
    values = (f"(?P<{part}>{_SEVERAL if part == 'servers' else _VALUE})" if place % 2 else re.escape(part)
              for place, part in enumerate(parts))  # fmt: skip
    return re.compile(r"(?<![\w./'\"])" + "".join(values))


def _filled(said: str, found: re.Match[str]) -> str:
    values = found.groupdict()
    if "servers" in values:
        return " ".join(said.replace("<servers>", quote(_plain(one))) for one in values["servers"].split(", "))
    for name, value in values.items():
        said = said.replace(f"<{name}>", quote(_plain(value)))
    return said


def _plain(value: str) -> str:
    """Return what a value is that stands in quotes, as Python writes it."""
    with contextlib.suppress(ValueError, SyntaxError):
        return str(ast.literal_eval(value))
    return value


def _named(argument: str, options: Collection[str]) -> str:
    option = f"--{argument.replace('_', '-')}"
    return option if option in options else argument
