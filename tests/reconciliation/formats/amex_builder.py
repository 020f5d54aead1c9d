"""Builds small American Express files for tests: GRRCN fixed and delimited, EPTRN; shares nothing with the readers."""

from io import BytesIO
from typing import Any

from reconciliation.formats import amex_eptrn, amex_grrcn
from reconciliation.formats.canonical import ReadOptions, WholeDelivery, read_whole
from reconciliation.formats.card_numbers import KeyedCardTokens

OPTIONS = ReadOptions(card_tokens=KeyedCardTokens(bytes(range(32))))
CARD = "378282246310005"

# Columns of GRRCN in order, with widths; "+" is a column that version 1 lacks, "-" one that version 3 lacks.
_HEAD = "payee:15 account_type:3 number:10 date:8 currency:3 "
_DISPUTE = (
    _HEAD
    + "merchant:15 business:8 location:15 own:30 seller:20 card:19 industry:30 processed:8 invoice:15 subcurrency:3 "
    "case:30 reason:10 words:280 gross:16 discount:16 service:16 tax:16 net:16 rate1:7 rate2:7 batch:3 bill:3"
)
WIDTHS = {
    "HEADER": "created:8 time:6 file:10 id:10 name:20 version:4",
    "SUMMARY": _HEAD
    + "unique:18 net:16 gross:16 discount:16 service:16 adjustment:16 tax:16 opening:16 direct:17 "
    "bank:34 iban:34 bic:15 status:1",
    "SUBMISSION": _HEAD
    + "merchant:15 business:8 processed:8 invoice:15 subcurrency:3 +branch:15 fx:15 submitted:16 "
    "gross:16 discount:16 service:16 tax:16 net:16 rate1:7 rate2:7 count:7 tracking:11 installment:5 number2:9 "
    "original:8 accelerated:8 days:5 fee2:16 fee3:16 debit:16 credit:16",
    "TRANSACTN": _HEAD
    + "merchant:15 business:8 processed:8 invoice:15 subcurrency:3 location:15 own:30 seller:20 card:19 "
    "industry:30 subgross:16 amount:16 day:8 time:6 scheme:15 approval:6 terminal:10 mcc:4 member:30 -old:0 arn:23 "
    "quality:1 e1:4 e2:4 e3:4 e4:4 swiped:1 rejected:3 i1:16 i2:16 i3:5 i4:5 +vat:15 f1:16 f2:16",
    "TXNPRICING": _HEAD
    + "merchant:15 location:15 +filler:15 own:30 seller:20 card:19 amount:16 day:8 code:2 +filler2:7 "
    "fee:22 rate:7 discount:22 roundedfee:16 roundeddiscount:16",
    "CHARGEBACK": _DISPUTE + " original:15 market1:45 market2:45 arn:23",
    "ADJUSTMENT": _DISPUTE,
    "FEEREVENUE": "payee:15 number:10 date:8 currency:3 merchant:15 location:15 fee:16 words:80 asset:16 words2:65 "
    "tax:16 gross:1 batch:3 bill:3",
    "TAXRECORD": _HEAD + "type:2 words:64 base:24 day:8 rate:20 amount:24",
    "TRAILER": "file:10 records:10",
}
PAYMENT = {
    "payee": "9000000001",
    "account_type": "002",
    "number": "P261118",
    "date": "20261118",
    "currency": "USD",
}
CHARGED = {
    "merchant": "9000000001",
    "business": "20261114",
    "processed": "20261116",
    "invoice": "000054",
    "subcurrency": "USD",
}

Record = tuple[str, dict[str, Any]]


def amount(minor: int) -> str:
    """Sixteen characters: blank or minus, fifteen digits."""
    return f"{'-' if minor < 0 else ' '}{abs(minor):015}"


def rendered(records: list[Record], *, form: str = "fixed", version: str = "2.01", end: str = "\n") -> str:
    """Records as fixed text, or as quoted columns parted by the form."""
    lines = []
    for name, given in records:
        cells = [(name, 10)]
        left = dict(given)
        for column in WIDTHS[name].split():
            text, _, width = column.partition(":")
            key = text.lstrip("+-")
            value = left.pop(key, "")
            value = amount(value) if isinstance(value, int) else value
            lacking = (text[0] == "+" and version[0] == "1") or (text[0] == "-" and version[0] == "3")
            if form == "fixed" or not lacking:
                cells.append((value, int(width)))
        assert not left, left
        if form == "fixed":
            lines.append("".join(text.ljust(width)[:width] for text, width in cells))
        else:
            lines.append(form.join(f'"{text}"' for text, _ in cells))
    return "".join(line + end for line in lines)


def framed(*records: Record, version: str = "2.01", count: int | None = None) -> list[Record]:
    """Header and trailer around."""
    header = {
        "created": "20261117",
        "time": "020000",
        "file": "0000000026",
        "id": "GRRCN",
        "name": "SHOP",
        "version": version,
    }
    stated = len(records) + 2 if count is None else count
    return [("HEADER", header), *records, ("TRAILER", {"file": "0000000026", "records": f"{stated:010}"})]


def summary(
    *, gross: int, fees: int = 0, adjustment: int = 0, opening: int = 0, net: int | None = None, **more: Any
) -> Record:
    found = gross - fees + adjustment + opening if net is None else net
    amounts = {
        "gross": gross,
        "discount": fees,
        "service": 0,
        "tax": 0,
        "adjustment": adjustment,
        "opening": opening,
    }
    return "SUMMARY", PAYMENT | amounts | {"net": found} | more


def submission(*, gross: int, fees: int = 0, count: int = 0, net: int | None = None, **more: Any) -> Record:
    amounts = {"submitted": gross, "gross": gross, "discount": fees, "service": 0, "tax": 0}
    net = gross - fees if net is None else net
    return "SUBMISSION", PAYMENT | CHARGED | amounts | {"net": net, "count": f"{count:07}"} | more


def transaction(minor: int, **more: Any) -> Record:
    told = {
        "amount": minor,
        "own": "ORDER-1",
        "card": CARD,
        "approval": "123456",
        "arn": "A" * 23,
        "scheme": "T26",
    }
    return "TRANSACTN", PAYMENT | CHARGED | told | {"day": "20261113"} | more


def dispute(name: str, net: int, **more: Any) -> Record:
    told = {
        "gross": net,
        "discount": 0,
        "service": 0,
        "tax": 0,
        "net": net,
        "case": "CB77",
        "own": "ORDER-1",
        "card": CARD,
    }
    return name, PAYMENT | CHARGED | told | more


def read_grrcn(content: str | bytes, options: ReadOptions = OPTIONS) -> WholeDelivery:
    return read_whole(amex_grrcn, BytesIO(content.encode() if isinstance(content, str) else content), options)


def read_eptrn(content: str | bytes, options: ReadOptions = OPTIONS) -> WholeDelivery:
    return read_whole(amex_eptrn, BytesIO(content.encode() if isinstance(content, str) else content), options)


def punched(minor: int, width: int) -> str:
    """Digits, the sign in the last one."""
    digits = f"{abs(minor):0{width}}"
    return digits[:-1] + ("}JKLMNOPQR" if minor < 0 else "{ABCDEFGHI")[int(digits[-1])]


_KEY = "9000000001" + "9000000001" + " " * 10 + "2026" + "320A1000"


def eptrn(*records: str, count: int | None = None) -> str:
    """Header and trailer around records."""
    head, number = "111620260200000000" + "SHOP".ljust(20), len(records) + 2 if count is None else count
    lines = ["DFHDR" + head, *records, "DFTRL" + head + "KEY1".ljust(40) + f"{number:07}"]
    return "".join(line + "\n" for line in lines)


def eptrn_summary(net: int, opening: int = 0) -> str:
    return (
        _KEY + "100" + "2026322" + punched(net, 11) + punched(opening, 9) + "123456789" + "987654".ljust(17)
    )


def eptrn_submission(
    gross: int, discount: int = 0, fee: int = 0, net: int | None = None, count: int = 0
) -> str:
    net = gross - discount - fee if net is None else net
    money = punched(gross, 11) + punched(discount, 9) + punched(fee, 7) + punched(0, 7) + punched(net, 11)
    return (_KEY + "210" + "2026318" + "2026320" + "000054" + money).ljust(182) + punched(count, 7)


def eptrn_transaction(minor: int, card: str = CARD) -> str:
    start = (
        _KEY + "311" + "2026318" + "2026320" + "000054" + punched(0, 13) + punched(minor, 13) + card.ljust(15)
    )
    return (start + " " * 40 + "2026317" + "ORDER-1".ljust(30)).ljust(240)


def eptrn_chargeback(net: int) -> str:
    money = punched(0, 11) + punched(net, 9) + punched(0, 9) + punched(0, 7) + " " * 7 + punched(net, 9)
    return (_KEY + "220" + "2026318" + "2026320" + "000054" + money).ljust(143) + "NOT RECEIVED"


def eptrn_adjustment(net: int) -> str:
    money = punched(net, 9) + punched(0, 9) + punched(0, 7) + " " * 7 + punched(net, 9)
    return ((_KEY + "230" + "2026320" + "000077" + money).ljust(125) + CARD).ljust(142) + "CORRECTION"


def eptrn_other(fee: int) -> str:
    return (_KEY + "250" + "2026320").ljust(215) + punched(fee, 9) + "TERMINAL RENT"
