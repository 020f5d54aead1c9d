"""`tieout card-key`: the keys under which card numbers become tokens. No command ever prints a key."""

from collections.abc import Sequence

import click

from dagster_project.cli.output import Context, json_option, pass_context, say, say_rows
from reconciliation.formats.card_numbers import key_id_of


@click.group("card-key")
def card_key() -> None:
    """The keys of the card tokens: the newest one makes tokens, by the older ones old tokens are recognised."""


@card_key.command("list")
@json_option
@pass_context
def list_keys(context: Context, as_json: bool) -> None:
    """Print the id of every key, newest first: a token reads v1:<key id>:<rest>.

    Example: tieout card-key list
    """
    ids = _ids(context.settings.card_keys())
    rows = [{"key_id": key_id, "makes_tokens": place == 0} for place, key_id in enumerate(ids)]
    say_rows(rows, ("key_id", "makes_tokens"), as_json=as_json, empty="no key")


@card_key.command()
@json_option
@pass_context
def rotate(context: Context, as_json: bool) -> None:
    """Add a new key, which makes the tokens from the next file on. The old keys stay; keep a copy of the file.

    Services that run keep the key they started with: `tieout down`, then `tieout up`.

    Example: tieout card-key rotate
    """
    ids = _ids(context.settings.rotated_card_keys())
    stay = "1 older key stays" if len(ids) == 2 else f"{len(ids) - 1} older keys stay"
    sentence = f"Tokens are made under card key {ids[0]} from now on; {stay}."
    say({"key_id": ids[0], "older": ids[1:]}, sentence, as_json=as_json)


def _ids(keys: Sequence[bytes]) -> list[str]:
    return [key_id_of(key) for key in keys]
