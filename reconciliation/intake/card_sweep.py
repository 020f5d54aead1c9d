"""The last look before the store: no full card number in any column, whatever a merchant or a bank wrote where.

Law: readers tokenise card fields and mask free text; what senders put into references, ids and codes is swept here,
for every format alike. A number counts if its digits stand alone, in one run or grouped as cards print them, with a
prefix and length of the great schemes and a good Luhn digit: the criterion of the database (``holds_card_number``) and
the grouped writings besides, so that other references are left alone. Of a hit, the first six and last four digits
stay. Where a text names something (``IDENTITIES``), a short keyed token follows, so that two numbers never become one
name; references get none, because a token would only hide that they are worthless for matching. The same text always
becomes the same text, so the order of rows and files decides nothing. Sensitive authentication data refuses the file.

Not taken for card numbers: digits in a digest, a UUID or an id with other digits and letters, and an account that is a
valid IBAN.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import CardTokens, ParsedDelivery, Statement
from reconciliation.formats.card_numbers import holds_track_data, luhn_valid, masked_text
from reconciliation.vocabulary import REFERENCE_COLUMNS

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

IDENTITIES: Final = frozenset({"native_id", "statement_ref", "file_reference"})
SWEPT_COLUMNS: Final = (
    "native_id",
    *REFERENCE_COLUMNS,
    "other_refs",
    "batch_ref",
    "counterparty_account",
    "counterparty_bic",
    "type_code",
    "reason_code",
    "fx_rate",
)
"""Columns of a line that hold a sender's text; ``text`` and ``counterparty`` are masked by readers and refused else."""

TOKEN_LENGTH: Final = 12  # of base32: 60 bits keep the ids of one source apart

_RUN: Final = re.compile(r"(?<![0-9])[2-6][0-9]{12,18}(?![0-9])")
_MARKS: Final = " \u00a0\u202f\\-\u2010\u2011\u2012\u2013"
_GROUPS: Final = re.compile(rf"[0-9]{{4}}[{_MARKS}][0-9]{{4}}")
_GROUPED: Final = tuple(
    re.compile(rf"(?<![0-9])(?=({first}([{_MARKS}])[0-9]{{{second}}}(?:\2[0-9]{{4}}){rest})(?![0-9]))")
    for first, second, rest in (
        ("[2-6][0-9]{3}", "4", "{2}"),  # 4-4-4-4
        ("[2-6][0-9]{3}", "4", r"{2}\2[0-9]{1,3}"),  # 4-4-4-4-3
        ("3[0-9]{3}", "6", "[0-9]?"),  # 4-6-5, 4-6-4
    )
)
_ISSUED: Final = re.compile(
    r"4[0-9]{12}|4[0-9]{15,18}|5[1-5][0-9]{14}|(?:222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}|3[689][0-9]{12,17}|35(?:2[89]|[3-8][0-9])[0-9]{12}|50[0-9]{11,17}|(?:5[6-9]|6[0-9])[0-9]{11,17}"
)
_DIGEST: Final = re.compile(
    r"(?<![0-9a-z])(?=[0-9-]*[a-f])(?:[0-9a-f]{32,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-z])",
    re.IGNORECASE,
)
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}", re.ASCII)
_FRACTION: Final = re.compile(r"[.,][0-9]*")

_LABEL: Final = r"(?i:cvv2?|cvc2|cav2|cvn2|card verification (?:code|number|value))[\s:=#.-]{1,3}[0-9]{3}"
# What RE2 finds quickly, in one text or in all of a column written one below the other; the exact test follows.
_SUSPECT: Final = (
    rf"(?:^|[^0-9]|\\u00[01][0-9a-f])(?:{_ISSUED.pattern}|[2-6][0-9]{{3}}"
    r"(?:(?:[^0-9A-Za-z][0-9]{4}){3}(?:[^0-9A-Za-z][0-9]{1,3})?|[^0-9A-Za-z][0-9]{6}[^0-9A-Za-z][0-9]{4,5}))(?:[^0-9]|$)"
    rf"|{_LABEL}"
)
_FOREIGN_DIGITS: Final = r"\p{Nd}(?:[^0-9A-Za-z]?\p{Nd}){12}"  # other scripts have digits, too
_LENGTH_MIN: Final = len("CVV 123")
_LABEL_BY_RE: Final = re.compile(_LABEL)
_ESCAPED: Final = re.compile(
    r"\\u00[01][0-9a-f]"
)  # a control character in JSON, whose digits are none of the text's
# A card acceptor's id (ISO 8583, element 42) has fifteen places; of the cards, only those of American Express have.
_MERCHANT: Final = '"merchant_id":"'
_MERCHANT_LENGTH: Final = 15
_NO_CARD: Final = f'{_MERCHANT}[0124-9][0-9]{{14}}"'

Token = Callable[[str], str]


class CardSweep:
    """Sweeps what one delivery tells, and counts what it hit; ``note`` says it, never with a number.

    >>> from reconciliation.formats.card_numbers import KeyedCardTokens
    >>> CardSweep(KeyedCardTokens(bytes(32))).swept("order 4111111111111111", "ref_merchant")
    'order 411111******1111'
    """

    __slots__ = ("_hits", "_token")

    def __init__(self, tokens: CardTokens) -> None:
        self._token: Token = tokens.token
        self._hits: Counter[str] = Counter()

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence where something was hit, none else."""
        if not self._hits:
            return ()
        told = ", ".join(f"{count} in {name}" for name, count in sorted(self._hits.items()))
        return (f"card numbers stood where none belongs and were truncated: {told}",)

    def lines(self, lines: pa.Table) -> pa.Table:
        """The lines without card numbers in ``SWEPT_COLUMNS``.

        Raises:
            RefusedFile: a column holds track data or a card verification code (code ``sensitive_data``).
        """
        for name in SWEPT_COLUMNS:
            place = lines.schema.get_field_index(name)
            column = lines.column(place)
            if column.null_count == len(column):
                continue
            texts: Any = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
            suspects = _suspects(texts, name)
            changed = {}
            for at in suspects:
                text = texts[at].as_py()
                if not text:
                    continue
                try:
                    clean = self.swept(text, name)
                except RefusedFile as refusal:
                    raise _at_record(refusal, lines.column("record_no")[at].as_py()) from None
                if clean != text:
                    changed[at] = clean
            if changed:
                found = texts.to_pylist()
                for at, clean in changed.items():
                    found[at] = clean
                lines = lines.set_column(place, lines.schema.field(place), pa.array(found, type=pa.string()))
        return lines

    def delivery(self, parsed: ParsedDelivery) -> ParsedDelivery:
        """What a file tells beside its lines, with ``notes``; accounts excepted, which are looked up first."""
        return replace(
            parsed,
            format_version=self.swept(parsed.format_version, "format_version"),
            file_reference=self._optional(parsed.file_reference, "file_reference"),
            statements=tuple(map(self._statement, parsed.statements)),
            notes=(*map(masked_text, parsed.notes), *self.notes),
        )

    def swept(self, text: str, name: str) -> str:
        """One text, of the column or attribute of that name.

        Raises:
            RefusedFile: it holds track data or a card verification code (code ``sensitive_data``).
        """
        if name == "fx_rate" and _FRACTION.search(text):
            return text  # digits behind the mark are no card number
        clean = without_cards(text, self._short if name in IDENTITIES else None)
        if clean == text and _LABEL_BY_RE.search(text) is None:
            return text
        sensitive = holds_track_data(text)
        if sensitive is not None:
            raise _sensitive(sensitive, name)
        if name == "counterparty_account" and _is_iban(text):
            return text
        self._hits[name] += clean != text
        return clean

    def _optional(self, text: str | None, name: str) -> str | None:
        return None if text is None else self.swept(text, name)

    def _statement(self, statement: Statement) -> Statement:
        number = statement.sequence_no
        if number is not None and without_cards(str(number)) != str(number):
            self._hits["sequence_no"] += 1
            number = None
        return replace(
            statement,
            statement_ref=self.swept(statement.statement_ref, "statement_ref"),
            sequence_no=number,
            proofs=tuple(map(masked_text, statement.proofs)),
            flags=tuple(map(masked_text, statement.flags)),
        )

    def _short(self, card_number: str) -> str:
        return self._token(card_number).rpartition(":")[2][:TOKEN_LENGTH]


def account_without_cards(account: str | None) -> str | None:
    """A statement's account as it may be stored, once its ledger account is known; an IBAN as it is."""
    return account if account is None or _is_iban(account) else without_cards(account)


def _suspects(texts: pa.StringArray, name: str) -> list[int]:
    """Places of the texts that need the exact test: none, nearly always, which one look at all of them tells."""
    if kernel.max(kernel.binary_length(texts)).as_py() < _LENGTH_MIN:
        return []
    below = pa.ListArray.from_arrays(pa.array([0, len(texts)], type=pa.int32()), kernel.fill_null(texts, ""))
    written = kernel.binary_join(below, "\n")
    pattern = _SUSPECT if kernel.string_is_ascii(written)[0].as_py() else f"{_SUSPECT}|{_FOREIGN_DIGITS}"
    if not _matches(written, pattern)[0].as_py():
        return []
    if name == "other_refs":
        if not _matches(_without_merchants(written), pattern)[0].as_py():
            return []
        texts = _without_merchants(texts)
    found: list[int] = kernel.indices_nonzero(kernel.fill_null(_matches(texts, pattern), False)).to_pylist()
    return found


def _matches(texts: pa.StringArray, pattern: str) -> Any:
    return kernel.match_substring_regex(texts, pattern=pattern)


def _without_merchants(texts: pa.StringArray) -> pa.StringArray:
    fewer: pa.StringArray = kernel.replace_substring_regex(texts, pattern=_NO_CARD, replacement="")
    return fewer


def without_cards(text: str, named: Token | None = None) -> str:
    """The text with every card number truncated, each followed by what ``named`` makes of its digits.

    >>> without_cards("4111-1111-1111-1111/7")
    '4111-11**-****-1111/7'
    """
    plain = text if text.isascii() else "".join(map(_plain, text))
    if "\\u0" in plain:
        plain = _ESCAPED.sub("      ", plain)
    hits = _hits(plain)
    if not hits:
        return text
    characters = list(text)
    for start, end in hits:
        places = [at for at in range(start, end) if plain[at].isdecimal()]
        for at in places[6:-4]:
            characters[at] = "*"
    if named is not None:
        for start, end in hits:
            digits = "".join(filter(str.isdecimal, plain[start:end]))
            characters[end - 1] += f"~{named(digits)}"
    return "".join(characters)


def _hits(text: str) -> list[tuple[int, int]]:
    """Where card numbers stand in a text whose digits are ASCII; spans may overlap."""
    spans = [match.span() for match in _RUN.finditer(text)]
    if _GROUPS.search(text) is not None:
        spans += [match.span(1) for pattern in _GROUPED for match in pattern.finditer(text)]
    found = [(start, end) for start, end in spans if _reads_as_card(text[start:end])]
    if not found:
        return []
    none = [match.span() for match in _DIGEST.finditer(text)]
    return [
        (start, end)
        for start, end in found
        if not any(low <= start and end <= high for low, high in none)
        and not _is_merchant(text, start, end)
        and not _inside_an_id(text, start, end)
    ]


def _inside_an_id(text: str, start: int, end: int) -> bool:
    """Whether digits are a stretch of an id of letters and digits, as one processor's id in a thousand has them."""
    first, last = start, end
    while first and text[first - 1].isalnum():
        first -= 1
    while last < len(text) and text[last].isalnum():
        last += 1
    beside = text[first:start] + text[end:last]
    return any(map(str.isdecimal, beside)) and any(map(str.isalpha, beside))


def _is_merchant(text: str, start: int, end: int) -> bool:
    return end - start == _MERCHANT_LENGTH and text.endswith(_MERCHANT, 0, start) and text[start] != "3"


def _reads_as_card(written: str) -> bool:
    digits = "".join(filter(str.isdecimal, written))
    return _ISSUED.fullmatch(digits) is not None and luhn_valid(digits)


def _plain(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


def _is_iban(text: str) -> bool:
    compact = text.replace(" ", "")
    if _IBAN.fullmatch(compact) is None:
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def _sensitive(found: str, place: str) -> RefusedFile:
    return RefusedFile(
        code="sensitive_data",
        place=place,
        expected="no sensitive authentication data",
        found=found,
        remedy="Destroy this copy of the file and tell whoever sent it; a file without such data can be taken in.",
    )


def _at_record(refusal: RefusedFile, record_no: int) -> RefusedFile:
    return RefusedFile(
        code=refusal.code,
        place=f"record {record_no}, {refusal.place}",
        expected=refusal.expected,
        found=refusal.found,
        remedy=refusal.remedy,
    )
