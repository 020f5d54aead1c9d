"""The dialects of field :86:, which SWIFT leaves free and every bank fills in its own way: one small module each.

A dialect offers ``NAME``, ``recognises(text)`` and ``fields(text)`` and knows nothing of the rest of the file. To add
one, write ``mt_dialect_<name>.py`` and put it into ``DIALECTS``, before those that would recognise its text too; the
setting ``dialect`` of a source forces one by name. A text that nobody recognises is free text.

Law: a dialect finds words, never amounts or signs of the entry, and cannot fail: what it does not understand is text.
``fields`` gives any of: ``text``, ``name``, ``account``, ``bic``, ``end_to_end``, ``uetr``, ``business_code``,
``return_reason``, ``original_amount``, ``charges``, ``exchange_rate`` and the names of ``OTHER_REFERENCES``. Lines of
the text are parted by line feeds; blank ones mean nothing.

>>> narrative_fields("FREE WORDS", None)
{'text': 'FREE WORDS'}
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from reconciliation.formats.swift_mt_parts import dialect_account_first as mt_dialect_account_first
from reconciliation.formats.swift_mt_parts import dialect_german as mt_dialect_german
from reconciliation.formats.swift_mt_parts import dialect_labels as mt_dialect_labels
from reconciliation.formats.swift_mt_parts import dialect_numbered_lines as mt_dialect_numbered_lines
from reconciliation.formats.swift_mt_parts import dialect_slash as mt_dialect_slash
from reconciliation.formats.swift_mt_parts import sepa_keywords as mt_sepa_keywords


class Dialect(Protocol):
    """What a dialect module offers."""

    NAME: str

    def recognises(self, text: str) -> bool:
        """Whether the text is of this dialect. Cheap: it is asked for every entry."""
        ...

    def fields(self, text: str) -> dict[str, str]:
        """What the text says."""
        ...


DIALECTS: Final[tuple[Dialect, ...]] = (
    mt_dialect_german,
    mt_dialect_slash,
    mt_sepa_keywords,
    mt_dialect_labels,
    mt_dialect_account_first,
    mt_dialect_numbered_lines,
)
FREE: Final = "free"
BY_NAME: Final[Mapping[str, Dialect | None]] = MappingProxyType(
    {**{dialect.NAME: dialect for dialect in DIALECTS}, FREE: None}
)
"""Dialects by the names that the setting ``dialect`` takes; ``free`` is none."""


def narrative_fields(text: str, forced: str | None) -> dict[str, str]:
    """What an :86: says, by the first dialect that recognises it, or by the one that the source's settings name."""
    if forced is not None:
        dialect = BY_NAME[forced]
        return free_text(text) if dialect is None or not dialect.recognises(text) else dialect.fields(text)
    for dialect in DIALECTS:
        if dialect.recognises(text):
            return dialect.fields(text)
    return free_text(text)


def free_text(text: str) -> dict[str, str]:
    """Words as they are, without the blanks that fill their lines."""
    words = "\n".join([stripped for line in text.split("\n") if (stripped := line.strip())])
    return {"text": words} if words else {}
