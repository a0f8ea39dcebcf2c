"""How a command behaves: its ``--help`` with examples, errors in one line, Ctrl-C, a pipe whose reader is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from rowlock.cli.terminal import MISUSE, PIPE_CLOSED, PROBLEM, STOPPED, errors, silence
from rowlock.cli.wording import in_options, speak_as
from rowlock.errors import (
    ConfigError,
    MissingDependencyError,
    RowlockError,
    SourceNotFoundError,
    StoreExistsError,
    StoreLockedError,
    StoreNotFoundError,
)
from rowlock.notes import showing_warnings

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Command", "Group", "epilog_of", "examples"]

_NOT_BEGUN: Final = (
    ConfigError,
    StoreNotFoundError,
    SourceNotFoundError,
    StoreExistsError,
    StoreLockedError,
    MissingDependencyError,
    NotADirectoryError,
)
"""What keeps a command from beginning: wrong options, what is named and not there, what is in the way."""

Function = TypeVar("Function", bound="Callable[..., Any]")


class Command(TyperCommand):
    """A command whose flags are shown as flags, and whose messages name its options."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read the command line."""
        speak_as(self)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters; ``--json`` takes no ``<bool>``."""
        return _as_flags(super().get_params(ctx))


class Group(TyperGroup):
    """The commands: what they raise becomes a message of a line and an exit code, never a traceback."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, as `Command` does."""
        return _as_flags(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            with showing_warnings(errors, in_options):
                return super().invoke(ctx)
        except BrokenPipeError:
            silence()
            raise typer.Exit(PIPE_CLOSED) from None
        except (RowlockError, OSError) as error:
            errors.print(f"[bold red]{type(error).__name__}[/]: {escape(in_options(str(error)))}")
            raise typer.Exit(MISUSE if isinstance(error, _NOT_BEGUN) else PROBLEM) from None
        except KeyboardInterrupt as stop:
            errors.print(escape(str(stop) or "stopped"), soft_wrap=True)
            raise typer.Exit(STOPPED) from None


def examples(*lines: str) -> Callable[[Function], Function]:
    """Decorate a command with what its ``--help`` shows as examples."""

    def add(function: Function) -> Function:
        function.examples = lines  # type: ignore[attr-defined]  # functions take attributes; their type does not say so
        return function

    return add


def epilog_of(function: Callable[..., Any]) -> str | None:
    """Return the end of a command's ``--help``."""
    lines = getattr(function, "examples", ())
    return "\n".join(["\b", "Examples:", *lines]) if lines else None


def _as_flags(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters
