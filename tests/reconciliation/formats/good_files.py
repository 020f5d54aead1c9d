"""One small good file of every format, with several lines and many fields, for tests that go over all formats."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet

from reconciliation.errors import RefusedFile
from reconciliation.formats import camt_052, camt_053, camt_054
from reconciliation.formats.canonical import Format, ReadOptions, WholeDelivery, read_whole
from reconciliation.formats.registry import FORMATS
from tests.reconciliation.formats import (
    aeb43_builder,
    amex_builder,
    bai2_builder,
    camt_builder,
    cfonb120_builder,
    coda_builder,
    fixed_width_builder,
    mapped_builder,
    mastercard_builder,
    mt_builder,
    nacha_builder,
    ofx_builder,
    paypal_builder,
    test_adyen_settlement,
    test_braintree_settlement,
    test_checkoutcom_settlement,
    test_stripe_api,
    test_stripe_balance,
    test_stripe_payout,
    visa_builder,
)

OPTIONS = camt_builder.OPTIONS
PROOFS = frozenset({"balance", "control_total", "sequence"})


@dataclass(frozen=True, slots=True)
class GoodFile:
    """A file that is read without a waiver, and what its reader has to know of its source."""

    content: bytes
    options: ReadOptions = OPTIONS


def outcome_of(reader: Format, content: bytes, options: ReadOptions) -> WholeDelivery | RefusedFile:
    """A delivery or a refusal; whatever else is raised is a defect of the reader."""
    try:
        return read_whole(reader, io.BytesIO(content), options)
    except RefusedFile as refusal:
        return refusal


def _camt(reader: Format) -> GoodFile:
    parties = (
        "<RltdPties><Dbtr><Pty><Nm>Ada Quill</Nm></Pty></Dbtr>"
        "<DbtrAcct><Id><IBAN>NL13TEST0123456789</IBAN></Id></DbtrAcct>"
        "</RltdPties><RltdAgts><DbtrAgt><FinInstnId><BICFI>TESTNL2A</BICFI></FinInstnId></DbtrAgt></RltdAgts>"
        "<RmtInf><Ustrd>Invoice 7</Ustrd></RmtInf>"
    )
    refs = "<EndToEndId>E2E-1</EndToEndId><MndtId>MNDT-1</MndtId><TxId>TX-1</TxId>"
    charge = "<AddtlNtryInf>Monthly charge</AddtlNtryInf>"
    content = camt_builder.document(
        camt_builder.statement(
            camt_builder.entry(
                details=f"<NtryDtls>{camt_builder.detail(refs=refs, more=parties)}</NtryDtls>"
            ),
            camt_builder.entry("3.50", "DBIT", ref="BANK2", code="ACMT/MDOP/CHRG", more=charge),
            camt_builder.entry("3.50", ref="BANK3"),
        )
    )
    return GoodFile(camt_builder.as_message(content, reader).replace("><", ">\n<").encode())


def _mt(kind: str) -> GoodFile:
    fields = (
        ":61:2611161116C25,00NTRFCUST-1//BANK-1\n/OCMT/EUR25,00/",
        ":86:INVOICE 7 ADA QUILL",
        ":61:2611161116D3,50NCHGNONREF//BANK-2",
        ":86:MONTHLY CHARGE",
        ":61:2611161116C3,50NTRFCUST-3//BANK-3",
    )
    if kind == "942":
        sums = ":90D:1EUR3,50\n:90C:2EUR28,50"
        return GoodFile(mt_builder.wrapped(mt_builder.interim(*fields, sums=sums), kind).encode())
    told = [field for field in fields if kind == "940" or not field.startswith(":86:")]
    return GoodFile(mt_builder.wrapped(mt_builder.message(*told), kind).encode())


def _mapped_csv() -> GoodFile:
    rules = mapped_builder.rules(mapped_builder.FOOTED_RULES)
    return GoodFile(mapped_builder.FOOTED.encode(), mapped_builder.options(rules))


_COLUMNS = {
    "columns": {
        "booking_date": "Day",
        "native_id": "Id",
        "ref_merchant": "Order",
        "text": "Words",
        "counterparty": "Name",
    }
}
ROWS = {
    "Day": ["2026-11-16", "2026-11-16", "2026-11-17"],
    "Amount": ["25.00", "-3.50", "3.50"],
    "Id": ["T-1", "T-2", "T-3"],
    "Order": ["ORD-1", "ORD-2", "ORD-3"],
    "Words": ["Invoice 7", "Monthly charge", "Charge back"],
    "Name": ["Ada Quill", "Bank", "Bank"],
}


def _mapped(content: bytes) -> GoodFile:
    return GoodFile(content, mapped_builder.options(mapped_builder.rules(_COLUMNS)))


def _mapped_json() -> GoodFile:
    rows = [dict(zip(ROWS, values, strict=True)) for values in zip(*ROWS.values(), strict=True)]
    return _mapped(json.dumps(rows, indent=1).encode())


def parquet_of(rows: Mapping[str, list[str]]) -> bytes:
    """Rows as a Parquet file."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(dict(rows)), sink)
    return sink.getvalue()


def workbook_of(rows: Mapping[str, list[str]]) -> bytes:
    """Rows as a workbook of texts."""
    told = [list(rows), *map(list, zip(*rows.values(), strict=True))]
    cells = [
        [
            mapped_builder.cell(f"{chr(65 + column)}{number}", value, kind="inlineStr")
            for column, value in enumerate(values)
        ]
        for number, values in enumerate(told, 1)
    ]
    return mapped_builder.workbook(mapped_builder.sheet(*cells))


def _amex() -> GoodFile:
    records = amex_builder.framed(
        amex_builder.summary(gross=3000, fees=90),
        amex_builder.submission(gross=3000, fees=90, count=2),
        amex_builder.transaction(4000),
        amex_builder.transaction(-1000, own="ORDER-2"),
    )
    return GoodFile(amex_builder.rendered(records).encode())


def _eptrn() -> GoodFile:
    records = (
        amex_builder.eptrn_summary(2910),
        amex_builder.eptrn_submission(3000, 90, count=2),
        amex_builder.eptrn_transaction(4000),
        amex_builder.eptrn_transaction(-1000),
    )
    return GoodFile(amex_builder.eptrn(*records).encode())


def _mastercard(codec: str = "latin-1") -> bytes:
    members = (mastercard_builder.sale(), mastercard_builder.sale(2_500, card=mastercard_builder.OTHER_CARD))
    return mastercard_builder.file_of(mastercard_builder.logical_file(*members), codec)


def _paypal_trr() -> GoodFile:
    rows = [row | {"Transactional Status": "S"} for row in paypal_builder.GOOD]
    return GoodFile(paypal_builder.text(paypal_builder.trr(rows)))


def _fixed(rows: list[str]) -> GoodFile:
    return GoodFile(fixed_width_builder.content_of(rows))


def _ofx() -> GoodFile:
    moved = (
        ofx_builder.transaction(),
        ofx_builder.transaction("-3.50", fitid="T2", TRNTYPE="DEBIT", MEMO="Monthly charge", CHECKNUM="17"),
        ofx_builder.transaction("3.50", fitid="T3"),
    )
    return GoodFile(ofx_builder.document(ofx_builder.bank(*moved)).encode())


GOOD_FILES: Mapping[str, GoodFile] = MappingProxyType(
    {
        "camt.052": _camt(camt_052),
        "camt.053": _camt(camt_053),
        "camt.054": _camt(camt_054),
        "mt940": _mt("940"),
        "mt942": _mt("942"),
        "mt950": _mt("950"),
        "stripe.payout_reconciliation": GoodFile(test_stripe_payout.report(test_stripe_payout.ROWS)),
        "stripe.balance_activity": GoodFile(test_stripe_balance.report(*test_stripe_balance.ROWS)),
        "stripe.api": GoodFile(json.dumps(test_stripe_api.OBJECTS, indent=1).encode()),
        "adyen.settlement_detail": GoodFile(test_adyen_settlement.report(test_adyen_settlement.ROWS)),
        "checkoutcom.settlement_breakdown": GoodFile(
            test_checkoutcom_settlement.report(test_checkoutcom_settlement.ROWS)
        ),
        "braintree.settlement": GoodFile(json.dumps(test_braintree_settlement.OBJECTS, indent=1).encode()),
        "mastercard.ipm": GoodFile(_mastercard()),
        "visa.base2": GoodFile(
            visa_builder.file_of(visa_builder.sale(), visa_builder.sale(card=visa_builder.OTHER_CARD))
        ),
        "bai2": GoodFile(bai2_builder.GOOD.encode()),
        "nacha": GoodFile(nacha_builder.GOOD.encode()),
        "coda": _fixed(coda_builder.good_file()),
        "cfonb120": _fixed(cfonb120_builder.good_file()),
        "aeb43": _fixed(aeb43_builder.good_file()),
        "paypal.stl": GoodFile(paypal_builder.text(paypal_builder.stl())),
        "paypal.trr": _paypal_trr(),
        "ofx": _ofx(),
        "mapped.csv": _mapped_csv(),
        "mapped.json": _mapped_json(),
        "mapped.parquet": _mapped(parquet_of(ROWS)),
        "mapped.xlsx": _mapped(workbook_of(ROWS)),
        "amex.grrcn": _amex(),
        "amex.eptrn": _eptrn(),
    }
)
EBCDIC_IPM = GoodFile(_mastercard("cp500"))
WAIVED: Mapping[str, GoodFile] = MappingProxyType(
    {name: replace(good, options=replace(good.options, waived=PROOFS)) for name, good in GOOD_FILES.items()}
)


def read_good(name: str, content: bytes | None = None) -> WholeDelivery:
    """The good file of a format, or another content, read as the good file is."""
    good = GOOD_FILES[name]
    return read_whole(FORMATS[name], io.BytesIO(good.content if content is None else content), good.options)
