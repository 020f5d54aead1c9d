"""What every reader of a processor's report does around its reading: look at the header, check settings, mask refusals.

Law: a setting that is not known is an error of the configuration, which names the nearest known one.

>>> checked_settings({"timezone": "UTC"}, ("time_zone",))
['timezone is not known; did you mean time_zone?']
"""

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, tzinfo
from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.canonical import CardTokens
from reconciliation.formats.values import refused


def header_names(head: bytes) -> set[str]:
    """Names in the first line of a CSV file."""
    first_line = head.removeprefix(codecs.BOM_UTF8).partition(b"\n")[0].partition(b"\r")[0]
    return {name.strip().strip('"') for name in first_line.decode("utf-8", "replace").split(",")}


def zone_named(settings: Mapping[str, str], name: str, problems: list[str]) -> tzinfo:
    """The time zone that a setting names, UTC if it names none."""
    text = settings.get(name) or "UTC"
    try:
        return UTC if text == "UTC" else ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems.append(f"{name} {text!r} is not a time zone")
        return UTC


def checked_settings(settings: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """A problem for each setting that a format does not have."""
    names = tuple(known)
    problems = []
    for name in sorted(settings.keys() - set(names)):
        near = get_close_matches(name, names, n=1)
        problems.append(f"{name} is not known" + (f"; did you mean {near[0]}?" if near else ""))
    return problems


def raise_problems(problems: Sequence[str], format_name: str) -> None:
    """``SourcesError`` if there are any."""
    if problems:
        raise SourcesError(tuple(f"settings of {format_name}: {problem}" for problem in problems))


@contextmanager
def masked_refusals(card_tokens: CardTokens) -> Iterator[None]:
    """Refusals of the block show no card number in what they found and where."""
    try:
        yield
    except RefusedFile as refusal:
        place, expected, found = map(card_tokens.masked, (refusal.place, refusal.expected, refusal.found))
        raise refused(refusal.code, place, expected, found, refusal.remedy) from None
