"""Reads American Express' reconciliation file GRRCN, versions 1.01 to 3.01, fixed, comma or tab delimited.

No public guide exists. What is read rests on open descriptions that agree (Finance-AMEX-Transaction; a processor's
record structures), at every level of detail: payments, submissions, transactions. TO CONFIRM with the member's own
guide: all positions (``amex_parts/grrcn_positions.csv``; the source's table ``positions`` corrects them), above all
those of version 3, the layout of TXNPRICING, and the sign of FEEREVENUE. One ``Statement`` for each payment (SUMMARY),
proved by its parts and its payout. Law: read whole or refused whole; the trailer counts the records. Settings: none.

>>> from io import BytesIO
>>> from reconciliation.formats.canonical import read_whole
>>> from reconciliation.formats.card_numbers import KeyedCardTokens
>>> import reconciliation.formats.amex_grrcn as amex_grrcn
>>> amount = '" 000000000002500"'
>>> file = '"HEADER","20261116","020000","0000000026","GRRCN","SHOP","2.01"' + chr(10)
>>> file += f'"SUMMARY","9","002","P1","20261118","EUR","",{amount},{amount},"","","","","","","","",""' + chr(10)
>>> file += '"TRAILER","0000000026","0000000003"' + chr(10)
>>> whole = read_whole(amex_grrcn, BytesIO(file.encode()), ReadOptions(card_tokens=KeyedCardTokens(bytes(32))))
>>> whole.lines["kind"].to_pylist(), whole.lines["amount_minor"].to_pylist()
(['charge', 'payout'], [2500, -2500])
"""

from typing import BinaryIO, Final

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.amex_parts.grrcn_fields import FIELDS, POSITIONS
from reconciliation.formats.amex_parts.grrcn_payments import Payments
from reconciliation.formats.amex_parts.grrcn_submissions import Submissions
from reconciliation.formats.amex_parts.payment import PaymentLines, Where, check_count, told_statement
from reconciliation.formats.amex_parts.records import DAMAGED, Form, Layout, Pick, cells_of, record_lines
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.card_numbers import masked_text
from reconciliation.formats.notes import Notes
from reconciliation.formats.values import refused, shown

NAME: Final = "amex.grrcn"


def sniff(head: bytes) -> bool:
    """Whether the first line is a header record of a GRRCN file."""
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:200].replace(b"\r", b"\n").partition(b"\n")[0]
    return first.startswith((b"HEADER", b'"HEADER"')) and b"GRRCN" in first


def read(stream: BinaryIO, options: ReadOptions, emit: Emit) -> ParsedDelivery:
    """Read and prove one file or raise ``RefusedFile``; ``SourcesError`` for settings and tables that are not known.

    ``record_no`` is the line. Lines are booked on the day of their payment, ``value_date`` is the day of processing,
    ``batch_ref`` the payment; the payout has ``ref_payout``. Transactions are gross, with the fees of their submission
    in a line beside them, as fees are exact there only.
    """
    if options.settings:
        names = sorted(options.settings)
        raise SourcesError(tuple(f"settings of {NAME}: {name} is not known; it takes none" for name in names))
    reader = _Reader(options, emit)
    try:
        for line_no, offset, length, text in record_lines(stream, options.bytes_max):
            reader.record((line_no, offset, length), text)
        return reader.delivery()
    except RefusedFile as refusal:
        raise RefusedFile(
            code=refusal.code,
            place=masked_text(reader.placed(refusal.place)),
            expected=refusal.expected,
            found=masked_text(refusal.found),
            remedy=refusal.remedy,
        ) from None


class _Reader:
    """State between records; ``_line_no`` and ``_name`` name the one in hand, 0 is none."""

    def __init__(self, options: ReadOptions, emit: Emit) -> None:
        self._line_no = 0
        self._name = ""
        self._options = options
        self._layout = Layout(POSITIONS, options.tables)
        self._lines = PaymentLines(emit)
        self._notes = Notes()
        self._form: Form | None = None
        self._picks: dict[str, Pick] = {}
        self._payments = Payments(options, self._lines, self._notes)
        self._submissions = Submissions(options, self._lines, self._notes)
        self._header: list[str] = []
        self._flags: list[str] = []
        self._records = 0
        self._ended = False

    def placed(self, place: str) -> str:
        """A place within the record in hand, unless it names its own line."""
        if not self._line_no or place.startswith("line "):
            return place
        return ", ".join(filter(None, (f"line {self._line_no}", self._name, place)))

    def record(self, where: Where, text: str) -> None:
        """Take one record of the file."""
        self._line_no, self._name = where[0], ""
        if self._form is None:
            self._begin(text)
        name = self._name_of(text)
        pick = self._picks.get(name)
        if pick is None:
            raise refused(
                "structure", "record type", f"one of {', '.join(FIELDS)}", shown(name[:10]), DAMAGED
            )
        self._records += 1
        if self._ended:
            raise refused("structure", name, "the end of the file behind the trailer", "a record", DAMAGED)
        self._name = name
        fields = pick(text)
        if name == "TXNPRICING":
            self._submissions.price(fields)
        elif name == "TRANSACTN":
            self._submissions.transaction(where, fields)
        elif name == "SUBMISSION":
            self._submissions.begin(self._payments.named(fields[0], fields[1]), where, fields)
        elif name == "HEADER":
            self._read_header(where, fields)
        elif not self._header:
            raise refused("structure", "record type", "the header before it", "none", DAMAGED)
        elif name == "TRAILER":
            self._read_trailer(where, fields)
        else:
            self._submissions.close()
            self._payments.take(name, where, fields)

    def _begin(self, text: str) -> None:
        if not text.startswith(("HEADER", '"HEADER"')):
            raise _not_this_format(text)
        quoted = text.startswith('"')
        rest = text[8:] if quoted else text[6:]
        mark = rest[:1] if rest[:1] in {",", "\t", "|", ";"} else None
        version = self._layout.picker("HEADER", FIELDS["HEADER"], Form(mark=mark))(text)[3]
        self._form = Form(mark=mark, has_fillers=version[:2] != "1.", has_old=version[:2] in {"1.", "2."})
        self._picks = {name: self._layout.picker(name, names, self._form) for name, names in FIELDS.items()}

    def _name_of(self, text: str) -> str:
        if self._form is None or self._form.mark is None:
            return text[:10].strip()
        if text.startswith('"'):
            return text[1 : text.find('"', 1)].strip()
        return cells_of(text[:20], self._form.mark)[0].strip()

    def _read_header(self, where: Where, fields: list[str]) -> None:
        """File number, name and version."""
        if self._header:
            raise refused("structure", "record type", "one header in a file", "two", DAMAGED)
        if fields[1] != "GRRCN":
            raise _not_this_format(fields[1])
        if fields[3][:2] not in {"1.", "2.", "3."}:
            self._notes.add("a version that was not known when this was written", f"line {where[0]}")
        self._header = fields

    def _read_trailer(self, where: Where, fields: list[str]) -> None:
        """The end: number of the file and of its records."""
        number, count = fields
        if not self._header or number != self._header[0]:
            raise refused("structure", "file_number", "the number of the header", shown(number), DAMAGED)
        if not (count.isascii() and count.isdecimal() and len(count) <= 10):
            raise refused("structure", "record_count", "a number of records", shown(count), DAMAGED)
        self._submissions.close()
        place = f"line {where[0]}, TRAILER, record_count"
        self._flags = check_count(
            self._options, place, "records with header and trailer", int(count), self._records
        )
        self._ended = True

    def delivery(self) -> ParsedDelivery:
        """Prove every payment, write the payouts and tell everything."""
        self._line_no = 0
        if self._form is None:
            raise _not_this_format("")
        if not self._ended:
            raise refused("truncated", "the end of the file", "a TRAILER record", "none", DAMAGED)
        for payment in self._payments.told():
            self._payments.close(payment)
        self._lines.flush()
        return ParsedDelivery(
            format_name=NAME,
            format_version=self._header[3] or "unknown",
            file_reference=f"{self._header[2]}:{self._header[0]}",
            test_mode=False,
            statements=tuple(told_statement(payment, self._flags) for payment in self._payments.told()),
            notes=self._notes.texts(),
        )


def _not_this_format(text: str) -> RefusedFile:
    remedy = "Deliver the file to its source."
    if "CBNOT" in text[:200]:
        remedy = (
            "Dispute notifications (CBNOT) move no money and are not read; GRRCN has the chargebacks that do."
        )
    return refused("not_this_format", "line 1", "a HEADER record of a GRRCN file", shown(text[:40]), remedy)
