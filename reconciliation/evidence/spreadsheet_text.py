"""Text that a spreadsheet shows as text: the one rule about formulas, for every file that leaves the house. Pure.

Laws: no text of ours is run as a formula, whatever opens the file; numbers are never touched; the mark can be taken
off again without doubt, so that a digest over the plain text can be computed from the marked file. A text is marked,
with an apostrophe in front, when after blanks and quotes it begins with a sign that starts a formula. Because an
apostrophe is such a quote, a marked text is risky too: what begins with one and is risky behind it was marked.

    =1+1    is written as   '=1+1
    '=1+1   is written as   ''=1+1
    's-Hertogenbosch stays as it is, and -5 in a column of numbers stays a number
"""

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

MARK: Final = "'"
# ASCII, full-width and small forms of = + - @; and what a spreadsheet drops before it looks at the cell.
STARTS: Final = "=+-@\t\r\n＝＋－＠﹦﹢﹣﹫"
SKIPPED: Final = (
    " \v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
    + "".join(map(chr, range(0x2000, 0x2010)))
    + "'\"`´‘’‚‛“”„‟«»‹›＇＂"
)
_STARTS: Final = frozenset(STARTS)


def _character_class(characters: str) -> str:
    return "[" + "".join(f"\\x{{{ord(character):x}}}" for character in characters) + "]"


_RISKY: Final = f"^{_character_class(SKIPPED)}*{_character_class(STARTS)}"
# What no sheet can hold: control characters but tab and line feed, and two that XML has no place for.
_UNSHOWABLE: Final = "[\\x00-\\x08\\x0b-\\x1f\\x7f\\x{fffe}\\x{ffff}]"
_SHOWN: Final = {
    **{code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"},
    0x7F: "\u2421",
    0xFFFE: "\ufffd",
    0xFFFF: "\ufffd",
}
_RICH: Final = ("<r>", "</r>")


def is_risky(text: str) -> bool:
    """Whether a spreadsheet might run the text."""
    return text.lstrip(SKIPPED)[:1] in _STARTS


def marked(text: str) -> str:
    """The text with an apostrophe in front, if it is risky."""
    return MARK + text if is_risky(text) else text


def unmarked(text: str) -> str:
    """The text as it was before ``marked``."""
    return text[1:] if text[:1] == MARK and is_risky(text[1:]) else text


def shown(text: str) -> str:
    """The text as a sheet can hold it: control characters as their pictures; tab and line feed stay, breaks are one.

    A text that the writer of workbooks would take for markup of its own gets a blank behind it.
    """
    text = text.replace("\r\n", "\n").translate(_SHOWN)
    return text + " " if text.startswith(_RICH[0]) and text.endswith(_RICH[1]) else text


def marked_column(column: Any) -> Any:
    """``marked`` for a column of text; null stays null."""
    risky = kernel.fill_null(kernel.match_substring_regex(column, _RISKY), False)
    if not kernel.any(risky).as_py():
        return column
    return kernel.if_else(risky, kernel.binary_join_element_wise(MARK, column, ""), column)


def shown_column(column: Any) -> Any:
    """``shown`` for a column of text; null stays null."""
    unfit = kernel.or_(
        kernel.match_substring_regex(column, _UNSHOWABLE),
        kernel.and_(kernel.starts_with(column, _RICH[0]), kernel.ends_with(column, _RICH[1])),
    )
    if not kernel.any(unfit).as_py():
        return column
    texts = [None if text is None else shown(text) for text in column.to_pylist()]
    return pa.array(texts, pa.string())


def marked_table(table: pa.Table) -> pa.Table:
    """The table with its columns of text marked; numbers stay numbers."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(place, field, marked_column(table.column(place)))
    return table
