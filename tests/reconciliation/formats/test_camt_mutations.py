"""A good camt file that is damaged in one place is refused with code and place; no bytes at all break a reader."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile
from reconciliation.formats import camt_052, camt_053, camt_054
from reconciliation.formats.canonical import Format
from tests.reconciliation.formats.camt_builder import (
    OPTIONS,
    REPORTS,
    as_message,
    column,
    detail,
    document,
    entry,
    read,
    refusal,
    statement,
)

RICH = (
    '<AmtDtls><InstdAmt><Amt Ccy="USD">31.25</Amt></InstdAmt><TxAmt><Amt Ccy="EUR">25.00</Amt><CcyXchg><SrcCcy>USD'
    "</SrcCcy><UnitCcy>USD</UnitCcy><XchgRate>0.8</XchgRate></CcyXchg></TxAmt></AmtDtls>"
    '<Chrgs><Rcrd><Amt Ccy="EUR">1.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><ChrgInclInd>true</ChrgInclInd></Rcrd></Chrgs>'
    "<RltdPties><Dbtr><Pty><Nm>Payer</Nm></Pty></Dbtr><DbtrAcct><Id><Othr><Id>4111111111111111</Id></Othr></Id></DbtrAcct>"
    "</RltdPties><RmtInf><Ustrd>one</Ustrd><Strd><CdtrRefInf><Ref>RF18</Ref></CdtrRefInf></Strd></RmtInf>"
    "<RltdDts><TxDtTm>2026-11-15T23:30:00Z</TxDtTm></RltdDts><RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"
    "<CardTx><Card><PlainCardData><PAN>4111111111111111</PAN></PlainCardData></Card></CardTx>"
)
BATCH = (
    "<NtryDtls><Btch><PmtInfId>B</PmtInfId><NbOfTxs>2</NbOfTxs>"
    f'<TtlAmt Ccy="EUR">10.00</TtlAmt></Btch>{detail("4.00")}{detail("6.00")}</NtryDtls>'
)
SUMMARY = (
    "<TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries><Sum>35.00</Sum></TtlNtries>"
    "<TtlDbtNtries><NbOfNtries>1</NbOfNtries><Sum>10.00</Sum></TtlDbtNtries></TxsSummry>"
)
ENTRIES = (
    entry(ref="A", details=f"<NtryDtls>{detail('25.00', refs='<UETR>u</UETR>', more=RICH)}</NtryDtls>"),
    entry("10.00", "DBIT", ref="B", details=BATCH),
)
TAGS = """
Ntry NtryDtls TxDtls Btch Amt Sts Bal Ntfctn GrpHdr Acct Id Chrgs Rcrd Strd CardTx RmtInf Refs AmtDtls TxAmt CcyXchg
TxsSummry Rpt Stmt Document
"""
PAGE = "<StmtPgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>"


def good(reader: Format, *entries: str) -> str:
    return as_message(
        document(statement(*(entries or ENTRIES), closing="115.00", more=PAGE + SUMMARY)), reader
    )


@pytest.mark.parametrize("reader", REPORTS)
def test_the_good_file_is_good(reader: Format) -> None:
    assert column(read(good(reader), reader=reader), "amount_minor") == [2500, -400, -600]


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        (ENTRIES[0], "", "balance", "Bal CLBD"),
        (ENTRIES[1], "", "balance", "Bal CLBD"),
        (ENTRIES[1], ENTRIES[1] * 2, "balance", "Bal CLBD"),
        ('<Ntry><Amt Ccy="EUR">25.00<', '<Ntry><Amt Ccy="EUR">25.01<', "balance", "Bal CLBD"),
        ("<CdtDbtInd>DBIT</CdtDbtInd><Sts>", "<CdtDbtInd>CRDT</CdtDbtInd><Sts>", "balance", "Bal CLBD"),
        ('<Ntry><Amt Ccy="EUR">10.00<', '<Ntry><Amt Ccy="USD">10.00<', "currency", "Acct/Ccy"),
        ('<Ntry><Amt Ccy="EUR">10.00<', '<Ntry><Amt Ccy="eur">10.00<', "currency", "entry 2 (B), Amt"),
        ("<Sum>35.00<", "<Sum>35.10<", "control_total", "TxsSummry/TtlNtries"),
        ("<NbOfNtries>1<", "<NbOfNtries>0<", "control_total", "TxsSummry/TtlDbtNtries"),
        ("<NbOfTxs>2<", "<NbOfTxs>3<", "control_total", "entry 2 (B), NtryDtls/Btch/NbOfTxs"),
        ('"EUR">10.00</TtlAmt>', '"EUR">9.99</TtlAmt>', "control_total", "entry 2 (B), NtryDtls/Btch/TtlAmt"),
        ('<Ntry><Amt Ccy="EUR">25.00<', '<Ntry><Amt Ccy="EUR">1E3<', "amount", "entry 1 (A), Amt"),
        ('<Ntry><Amt Ccy="EUR">25.00<', f'<Ntry><Amt Ccy="EUR">{"9" * 19000}<', "amount", "entry 1 (A), Amt"),
        (
            '<Ntry><Amt Ccy="EUR">25.00<',
            f'<Ntry><Amt Ccy="EUR">{"9" * 200_000}<',
            "limit",
            "statement 1, entry 1, Amt",
        ),
        ("<Amt Ccy=\"EUR\">4.00<", '<Amt Ccy="EUR">-4.00<', "amount", "entry 2 (B), TxDtls/Amt"),
        ("<Dt>2026-11-16</Dt></BookgDt>", "<Dt>2026-11-31</Dt></BookgDt>", "date", "entry 1 (A), BookgDt"),
        ("<PgNb>1<", "<PgNb>one<", "structure", "StmtPgntn/PgNb"),
        ("<ElctrncSeqNb>7<", "<ElctrncSeqNb>7a<", "structure", "ElctrncSeqNb"),
        ("<UETR>u</UETR>", "<UETR><x/></UETR>", "structure", "entry 1, Refs/UETR"),
        ("<ChrgInclInd>true</ChrgInclInd>", "<CdtDbtInd>DBIT</CdtDbtInd>", "structure", "Chrgs/Rcrd/CdtDbtInd"),
    ],
)  # fmt: skip
def test_one_change_is_refused_where_it_is(old: str, new: str, code: str, place: str) -> None:
    content = good(camt_053)
    assert old in content
    wrong = refusal(content.replace(old, new, 1))
    assert (wrong.code, wrong.place.endswith(place)) == (code, True), wrong.place
    assert len(str(wrong)) < 500


@pytest.mark.parametrize("reader", REPORTS)
def test_a_file_cut_after_any_element_is_refused(reader: Format) -> None:
    content = good(reader)
    for end in [place for place, character in enumerate(content) if character == ">"][:-1]:
        assert refusal(content[: end + 1], reader=reader).code == "truncated"


@pytest.mark.parametrize("ends", ["\r", "\n", "\r\n"])
def test_line_ends_change_nothing_but_the_places(ends: str) -> None:
    places = ["byte_offset", "byte_length"]
    spaced = read(good(camt_053).replace("><", f">{ends}<").encode())
    assert spaced.lines.drop_columns(places).equals(read(good(camt_053)).lines.drop_columns(places))


@pytest.mark.parametrize("damage", ["\0", "\x1f", "&nbsp;", "&#0;", "]]>", "<", "\ud800"])
def test_what_no_document_may_hold_is_refused(damage: str) -> None:
    content = good(camt_053).replace("one", f"o{damage}e").encode("utf-8", "surrogatepass")
    assert refusal(content).code == "structure"


def test_a_declared_encoding_that_is_not_that_of_the_bytes_is_refused() -> None:
    umlaut = good(camt_053).replace("Payer", "Zahlungspflichtige für")
    assert refusal(f"<?xml version='1.0' encoding='UTF-8'?>{umlaut}".encode("latin-1")).code == "structure"
    assert refusal(f"<?xml version='1.0' encoding='UTF-16'?>{umlaut}".encode()).code == "unsafe"


@pytest.mark.parametrize("reader", REPORTS)
@given(data=st.data())
def test_random_edits_give_a_delivery_or_a_refusal(reader: Format, data: st.DataObject) -> None:
    content = bytearray(good(reader).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 40))
        content[place : place + length] = data.draw(st.binary(max_size=8))
    with contextlib.suppress(RefusedFile):
        read(bytes(content), reader=reader)


@given(data=st.data())
def test_elements_in_any_place_give_a_delivery_or_a_refusal(data: st.DataObject) -> None:
    content = good(camt_054)
    tags = st.sampled_from(TAGS.split())
    for _ in range(data.draw(st.integers(1, 3))):
        tag, place = data.draw(tags), data.draw(st.integers(0, content.count("<") - 1))
        position = [index for index, character in enumerate(content) if character == "<"][place]
        inner = data.draw(
            st.sampled_from(("", "1", "25.00", "<Cd>x</Cd>", "<Amt>1</Amt>", "<TxDtls/>", "<Id/>"))
        )
        content = f"{content[:position]}<{tag}>{inner}</{tag}>{content[position:]}"
    with contextlib.suppress(RefusedFile):
        read(content, reader=camt_054)


@pytest.mark.parametrize("reader", REPORTS)
@given(content=st.binary(max_size=300))
def test_arbitrary_bytes_never_break_a_reader(reader: Format, content: bytes) -> None:
    for attempt in (content, good(reader).encode()[:400] + content, b"<?xml version='1.0'?>" + content):
        with pytest.raises(RefusedFile):
            read(attempt, OPTIONS, reader)


@given(st.permutations(ENTRIES))
def test_the_order_of_entries_changes_nothing_but_their_numbers(entries: list[str]) -> None:
    shuffled, plain = read(good(camt_052, *entries), reader=camt_052), read(good(camt_052), reader=camt_052)
    assert shuffled.parsed.statements == plain.parsed.statements
    columns = ["record_no", "byte_offset"]
    told = [sorted(map(str, whole.lines.drop_columns(columns).to_pylist())) for whole in (shuffled, plain)]
    assert told[0] == told[1]
