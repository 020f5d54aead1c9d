"""A group whose commands are imported when they are asked for.

Law: a command pays for what it uses: `tieout ingest` needs neither Dagster nor its 100 MB and two seconds. The names
are known without any import, so that a typing mistake and the list of commands cost nothing.
"""

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """``commands_by_place`` maps a command's name to where it is, as ``module:attribute``."""

    def __init__(self, *args: Any, commands_by_place: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = dict(commands_by_place or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *self._places})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported at the first call."""
        if cmd_name in self._places and cmd_name not in self.commands:
            module, _, attribute = self._places[cmd_name].partition(":")
            self.add_command(getattr(importlib.import_module(module), attribute), cmd_name)
        return super().get_command(ctx, cmd_name)
