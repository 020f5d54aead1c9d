"""BAI2's two layers below the meaning: physical lines to logical records, and a record's text to its fields.

Law: every 88 belongs to the record before it; what it continues is decided by where that record's fields stood, not by
how the bank ended the line ('/', ',/', nothing). A slash or comma inside text is text.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.text_lines import text_lines
from reconciliation.formats.values import implied_minor, refused, shown

Record = tuple[str, list[str], int, int, int, int]
"""Code, contents of its physical lines, first line number, byte offset, byte length, number of physical lines."""

Summary = tuple[str, int | None, str]
"""Type code, amount as written with its sign or None, item count as written."""

_LINE_BYTES_MAX: Final = (
    1 << 15
)  # the standard's physical records are shorter than 1,000; some banks write long text
_LINES_MAX: Final = 4_000  # physical lines of one logical record
_FIELDS_MAX: Final = 20_000
_CODES: Final = frozenset({"01", "02", "03", "16", "49", "98", "99"})
_BLANK: Final = " \t\x1a"  # 0x1A ended files of older systems
_SIMPLE_FUNDS: Final = frozenset({"", "0", "1", "2", "Z"})
_FIELDS_BEFORE_TEXT: Final = 5


def logical_records(stream: BinaryIO, *, bytes_max: int, record_length_max: int) -> Iterator[Record]:
    """Records with their continuations, in order. Codes ``structure``, ``limit``, and those of ``text_lines``."""
    code, parts, first_line_no, start, end, length = "", [""], 0, 0, 0, 0
    line_no = 0
    for offset, size, line in text_lines(stream, bytes_max=bytes_max, line_bytes_max=_LINE_BYTES_MAX):
        line_no += 1
        next_code = line[:2]
        if not line.strip(_BLANK):
            continue
        content = line[3:].rstrip(_BLANK)
        if content[-1:] == "/":
            content = content[:-1]
        mark = line[2:3]
        if mark != "," and (line[2:].rstrip(_BLANK) not in {"", "/"} or next_code not in _CODES | {"88"}):
            raise _not_a_record(line_no, line, first=not code)
        if next_code == "88":
            length += len(content)
            if not code or length > record_length_max or len(parts) >= _LINES_MAX:
                raise _bad_continuation(line_no, code, record_length_max)
            parts.append(content)
        else:
            if next_code not in _CODES:
                raise _not_a_record(line_no, line, first=not code)
            if code:
                yield code, parts, first_line_no, start, end - start, len(parts)
            code, parts, first_line_no, start, length = next_code, [content], line_no, offset, len(content)
            if length > record_length_max:
                raise _bad_continuation(line_no, code, record_length_max)
        end = offset + size
    if code:
        yield code, parts, first_line_no, start, end - start, len(parts)


def _not_a_record(line_no: int, line: str, *, first: bool) -> RefusedFile:
    if first:
        return refused("not_this_format", f"line {line_no}", "a BAI2 file header '01,'", shown(line))
    return refused(
        "structure",
        f"line {line_no}, record code",
        "01, 02, 03, 16, 49, 88, 98 or 99 and a comma",
        shown(line),
    )


def _bad_continuation(line_no: int, code: str, record_length_max: int) -> RefusedFile:
    if not code:
        return refused("not_this_format", f"line {line_no}", "a BAI2 file header '01,'", "an 88")
    expected = f"at most {_LINES_MAX} lines and {record_length_max} characters in one record"
    return refused("limit", f"line {line_no} (record {code})", expected, "more")


def plain_fields(parts: Sequence[str]) -> list[str]:
    """Fields of a record without text, blanks around them removed."""
    return [field.strip() for field in ",".join(parts).split(",")]


def signed(text: str, place: str) -> int:
    """An amount as written: digits, before them a sign or none. Code ``amount``."""
    negative = text[:1] == "-"
    digits = text[1:] if text[:1] in {"-", "+"} else text
    number = implied_minor(digits, place, decimals=0, exponent=0)
    return -number if negative else number


def summaries(parts: Sequence[str], place: str) -> tuple[str, str, list[list[Summary]]]:
    """Account number, currency, and the balances and summaries of an 03 with its continuations, in one or two readings.

    A line that ends in a comma before its slash may mean one more empty field or only a break. Where both readings give
    a record, the control total of the account decides which one it is.
    """
    shortened = [part.rstrip().removesuffix(",") for part in parts[:-1]]
    if shortened == list(parts[:-1]):
        account, currency, found = _summaries(plain_fields(parts), place)
        return account, currency, [found]
    readings = []
    first_refusal: RefusedFile | None = None
    for lines in (parts, [*shortened, parts[-1]]):
        try:
            account, currency, found = _summaries(plain_fields(lines), place)
        except RefusedFile as refusal:
            first_refusal = first_refusal or refusal
        else:
            readings.append(found)
    if not readings and first_refusal is not None:
        raise first_refusal
    return account, currency, readings


def _summaries(fields: list[str], place: str) -> tuple[str, str, list[Summary]]:
    if len(fields) > _FIELDS_MAX:
        raise refused("limit", place, f"at most {_FIELDS_MAX} fields", f"{len(fields)}")
    account, currency = fields[0], fields[1] if len(fields) > 1 else ""
    found: list[Summary] = []
    position = 2
    while position < len(fields):
        code = fields[position]
        if not code:  # an empty field before a code: the end of a line, or a summary that is not given
            position += 1
            continue
        if len(code) != 3 or not (code.isascii() and code.isdecimal()):
            raise refused("structure", f"{place}, type code", "three digits", shown(code))
        amount_text = _at(fields, position + 1)
        amount = signed(amount_text, f"{place}, amount of {code}") if amount_text else None
        count = _at(fields, position + 2)
        if count and not (count.isascii() and count.isdecimal() and len(count) <= 9):
            raise refused("structure", f"{place}, item count of {code}", "digits or nothing", shown(count))
        found.append((code, amount, count))
        position += 4 + _fields_of_funds(fields, position + 3, f"{place}, funds type of {code}")
    return account, currency, found


def _at(fields: Sequence[str], position: int) -> str:
    return fields[position] if position < len(fields) else ""


def _fields_of_funds(fields: Sequence[str], position: int, place: str) -> int:
    """How many fields follow the funds type at ``position`` and belong to it. Code ``structure``."""
    funds = _at(fields, position)
    if funds in _SIMPLE_FUNDS:
        return 0
    if funds == "V":
        return 2
    if funds == "S":
        return 3
    if funds != "D":
        raise refused("structure", place, "0, 1, 2, S, V, D, Z or nothing", shown(funds))
    count = _at(fields, position + 1)
    if not (count.isascii() and count.isdecimal() and len(count) <= 2):
        raise refused("structure", f"{place}, number of distributions", "one or two digits", shown(count))
    return 1 + 2 * int(count)


def movement_fields(parts: list[str], place: str) -> tuple[list[str], list[str], list[str]]:
    """Fields of a 16: type, amount, funds type, bank and customer reference; the funds type's own; lines of text."""
    if len(parts) == 1:
        fields = parts[0].split(",", _FIELDS_BEFORE_TEXT)
        if len(fields) > _FIELDS_BEFORE_TEXT and fields[2] in _SIMPLE_FUNDS:
            return fields, [], [fields[5]] if fields[5] else []
    fields, text = _taken(parts, _FIELDS_BEFORE_TEXT)
    extra = _fields_of_funds([field.strip() for field in fields], 2, f"{place}, funds type")
    if extra:
        fields, text = _taken(parts, _FIELDS_BEFORE_TEXT + extra)
    fields = [field.strip() for field in fields]
    return fields[:3] + fields[3 + extra :], fields[3 : 3 + extra], text


def _taken(parts: Sequence[str], count: int) -> tuple[list[str], list[str]]:
    """The first so many fields, empty ones where the record ends early; and the lines of text after them."""
    fields: list[str] = []
    for index, part in enumerate(parts):
        missing = count - len(fields)
        pieces = part.split(",", missing)
        if len(pieces) > missing:
            return fields + pieces[:missing], [
                line for line in (pieces[missing], *parts[index + 1 :]) if line
            ]
        fields += pieces
        if len(fields) == count:
            return fields, [line for line in parts[index + 1 :] if line]
    return fields + [""] * (count - len(fields)), []
