"""What the scheme says a file adds up to must agree with itself and with the records it sums up."""

import pytest

from reconciliation.errors import RefusedFile
from tests.reconciliation.formats.mastercard_builder import (
    FILE_ID,
    USD,
    Built,
    administrative,
    as_type,
    file_of,
    logical_file,
    parsed,
    sale,
)

OTHER = "0022611160000002555500099"


def credit(amount_minor: int) -> str:
    return f"C{amount_minor:016d}"


def debit(amount_minor: int) -> str:
    return f"D{amount_minor:016d}"


RECORDS = [
    sale(10_000, de5=f"{9_000:012d}", de50=USD),
    sale(2_500, de5=f"{2_250:012d}", de50=USD),
    sale(700, de5=f"{630:012d}", de50=USD, processing_code="200000"),
    as_type(sale(10_000, de5=f"{9_000:012d}", de50=USD), "1442", de24="450"),
]
SUMMARY = {
    "p0300": FILE_ID,
    "p0380": debit(10_700),
    "p0381": credit(12_500),
    "p0384": credit(1_800),
    "p0400": "0000000002",
    "p0401": "0000000002",
    "p0402": "0000000004",
}
POSITION = {
    "p0300": FILE_ID,
    "p0372": "1240200",
    "p0374": "00",
    "p0378": "O",
    "p0380": debit(0),
    "p0381": credit(12_500),
    "p0384": credit(12_500),
    "p0390": debit(0),
    "p0391": credit(11_250),
    "p0392": "00" + "D" + f"{90:015d}" + "01" + "D" + f"{10:015d}",
    "p0394": credit(11_250),
    "p0395": "D" + f"{100:015d}",
    "p0396": credit(11_150),
    "p0402": "0000000002",
}
SETTLEMENT = {
    "p0300": FILE_ID,
    "p0390": debit(0),
    "p0391": credit(11_250),
    "p0395": "D" + f"{100:015d}",
    "p0396": credit(11_150),
}


def summary(**changes: str) -> Built:
    return administrative("680", **(SUMMARY | changes))


def position(**changes: str) -> Built:
    return administrative("685", settled_in=USD, **(POSITION | changes))


def settlement(**changes: str) -> Built:
    return administrative("688", settled_in=USD, **(SETTLEMENT | changes))


def with_positions(*positions: Built) -> bytes:
    return file_of(logical_file(*RECORDS, *positions))


def test_summaries_and_positions_that_agree_are_proofs() -> None:
    (statement,) = parsed(with_positions(summary(), position(), settlement())).statements
    assert statement.proofs[4:] == (
        "1 messages 1644/680 agree with the 4 records they sum up",
        "1 messages 1644/685 agree with the 2 records they sum up",
        "settlement of 11150 (1644/688) is the sum of 1 positions (1644/685)",
    )
    assert statement.flags == ()


def test_a_position_may_come_in_parts() -> None:
    part = {
        "p0378": "",
        "p0380": debit(0),
        "p0390": debit(0),
        "p0392": "",
        "p0395": "",
        "p0396": "",
        "p0402": "1",
    }
    first = position(
        **part, p0381=credit(10_000), p0384=credit(10_000), p0391=credit(9_000), p0394=credit(9_000)
    )
    second = position(
        **part, p0381=credit(2_500), p0384=credit(2_500), p0391=credit(2_250), p0394=credit(2_250)
    )
    (statement,) = parsed(with_positions(first, second)).statements
    assert statement.proofs[4] == "2 messages 1644/685 agree with the 2 records they sum up"
    with pytest.raises(
        RefusedFile, match="expected 2: that is what the records of 1240200, 00, 978, 840 come to"
    ):
        parsed(with_positions(first))


@pytest.mark.parametrize(
    ("message", "place", "found"),
    [
        (summary(p0402="0000000005", p0400="0000000003"), "number of records", "5"),
        (summary(p0402="0000000005"), "PDS 0402", "5"),
        (summary(p0381=credit(12_400), p0384=credit(1_700)), "amounts of transactions", "23100"),
        (summary(p0384=credit(1_700)), "PDS 0384", "1700"),
        (summary(p0384=debit(1_800)), "PDS 0384", "-1800"),
        (position(p0391=credit(11_251), p0394=credit(11_251), p0396=credit(11_151)), "of reconciliation", "11251"),
        (position(p0394=credit(11_251)), "PDS 0394", "11251"),
        (position(p0395="D" + f"{101:015d}", p0396=credit(11_149)), "PDS 0395", "-101"),
        (position(p0396=credit(11_151)), "PDS 0396", "11151"),
        (position(p0372="1240205"), "number of records", "2"),
        (position(p0374="20"), "number of records", "2"),
        (position(p0378="R"), "number of records", "2"),
    ],
)  # fmt: skip
def test_a_position_that_contradicts_itself_or_the_records_refuses_the_file(
    message: Built, place: str, found: str
) -> None:
    with pytest.raises(RefusedFile) as caught:
        parsed(with_positions(message))
    assert caught.value.code == "control_total"
    assert place in caught.value.place
    assert caught.value.found == found
    (statement,) = parsed(with_positions(message), waived=frozenset({"control_total"})).statements
    assert statement.flags
    assert all(flag.startswith("waived: control_total: record 6 (1644/68") for flag in statement.flags)


def test_a_settlement_position_must_be_the_sum_of_the_financial_ones() -> None:
    wrong = settlement(p0391=credit(11_300), p0396=credit(11_200))
    with pytest.raises(RefusedFile) as caught:
        parsed(with_positions(position(), wrong))
    assert (caught.value.code, caught.value.found) == ("control_total", "11200 in 1 messages")
    assert caught.value.expected == "11150, the sum of 1 messages 1644/685"


def test_positions_about_files_that_are_not_here_prove_themselves_only() -> None:
    delivery = parsed(with_positions(summary(p0300=OTHER), position(p0300=OTHER)))
    assert "2 positions of files that are not in this delivery: compared with themselves" in delivery.notes
    with pytest.raises(RefusedFile, match="PDS 0384"):
        parsed(with_positions(summary(p0300=OTHER, p0384=credit(1))))


def test_a_position_may_stand_in_a_later_file_of_the_same_delivery() -> None:
    messages = logical_file(*RECORDS) + logical_file(summary(), file_id=OTHER)
    (statement,) = parsed(file_of(messages)).statements
    assert statement.proofs[4] == "1 messages 1644/680 agree with the 4 records they sum up"


@pytest.mark.parametrize(
    "changes",
    [
        {"p0380": "X" + "0" * 16},
        {"p0380": "C1E3"},
        {"p0381": "C" + "9" * 200},
        {"p0381": "C"},
        {"p0400": "-1"},
        {"p0392": "00D1"},
        {"p0393": "00D" + "x" * 15},
    ],
)
def test_a_figure_that_is_none_refuses_the_file(changes: dict[str, str]) -> None:
    with pytest.raises(RefusedFile) as caught:
        parsed(with_positions(position(**changes)))
    assert caught.value.code == "amount"
    assert next(iter(changes))[1:] in caught.value.place


def test_what_the_scheme_rejected_of_ours_is_noted() -> None:
    exception = administrative("691", p0005="E1", p0138="5", p0280=OTHER)
    delivery = parsed(file_of(logical_file(sale(), exception, administrative("699", p0280=OTHER))))
    assert delivery.notes == (
        "1 administrative messages 1644/691: counted, not lines",
        "1 administrative messages 1644/699: counted, not lines",
        f"record 3: the scheme rejected a message that was sent to it (1644/691, file {OTHER}, message 5, error E1)",
        f"record 4: the scheme rejected a whole file that was sent to it (1644/699, file {OTHER})",
    )
