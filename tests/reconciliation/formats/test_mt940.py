"""What an MT940 and an MT950 mean, field by field, on invented files."""

from datetime import date

import pytest

from reconciliation.errors import SourcesError
from reconciliation.formats import mt940, mt950
from reconciliation.formats.registry import recognise
from tests.reconciliation.formats.mt_builder import (
    ACCOUNT,
    entry,
    line,
    message,
    read,
    statements,
    wrapped,
)

CREDIT = ":61:2611171116C25,00NTRFE2E-1//BANK-1"


def test_an_entry_with_all_its_subfields() -> None:
    found = entry("2611171116C25,00NTRFE2E-1//BANK-1\nsupplementary words", "Thanks for the fish")
    assert found["booking_date"] == date(2026, 11, 16)
    assert found["value_date"] == date(2026, 11, 17)
    assert (found["amount_minor"], found["asset"], found["status"]) == (2500, "EUR", "booked")
    assert (found["ref_end_to_end"], found["ref_servicer"]) == ("E2E-1", "BANK-1")
    assert (found["type_code"], found["kind"], found["reversal"]) == ("NTRF", "transfer", False)
    assert found["text"] == "Thanks for the fish\nsupplementary words"
    assert (found["fee_minor"], found["native_id"], found["detail_no"]) == (0, None, None)


def test_the_statement_has_its_number_account_days_balances_and_proof() -> None:
    (told,) = statements(message(CREDIT))
    assert (told.statement_ref, told.sequence_no, told.account, told.asset) == ("2026/7", 7, ACCOUNT, "EUR")
    assert (told.from_date, told.to_date) == (date(2026, 11, 15), date(2026, 11, 16))
    assert (told.opening_minor, told.closing_minor) == (10_000, 12_500)
    assert (told.movement_minor, told.line_count, told.pending_count) == (2500, 1, 0)
    assert told.proofs == ("opening 100.00 EUR + 1 entries of 25.00 EUR = closing 125.00 EUR",)
    assert (told.flags, told.interim) == ((), False)


@pytest.mark.parametrize(
    ("mark", "minor", "reversal"),
    [
        ("C", 2500, False),
        ("D", -2500, False),
        ("RC", -2500, True),
        ("RD", 2500, True),
        ("CR", 2500, False),  # funds code R of EUR, no reversal
        ("DR", -2500, False),
        ("RCR", -2500, True),
        ("RDR", 2500, True),
        ("c", 2500, False),
        ("rd", 2500, True),
    ],
)
def test_the_sign_comes_of_the_mark_and_the_funds_code_is_no_reversal(
    mark: str, minor: int, reversal: bool
) -> None:
    found = entry(f"2611171116{mark}25,00NTRFE1", minor=minor)
    assert (found["amount_minor"], found["reversal"]) == (minor, reversal)


@pytest.mark.parametrize("written", ["25,00", "25,", "25", "25.00", "000000000025,00", "25,0", "25,000"])
def test_amounts_as_banks_write_them(written: str) -> None:
    assert entry(f"2611171116C{written}NTRFE1")["amount_minor"] == 2500


def test_an_amount_may_begin_with_its_comma() -> None:
    assert entry("2611171116C,50NTRFE1", minor=50)["amount_minor"] == 50


@pytest.mark.parametrize(
    ("asset", "written", "minor"), [("JPY", "25,", 25), ("JPY", "25,00", 25), ("KWD", "0,025", 25)]
)
def test_each_currency_has_its_own_decimals(asset: str, written: str, minor: int) -> None:
    file = message(
        f":61:261116C{written}NTRFE1",
        opening=f":60F:C261115{asset}0,",
        closing=f":62F:C261116{asset}{written}",
    )
    assert line(file)["amount_minor"] == minor


@pytest.mark.parametrize(
    ("value", "booked", "expected"),
    [
        ("261231", "0102", date(2027, 1, 2)),
        ("270102", "1231", date(2026, 12, 31)),
        ("261116", "", date(2026, 11, 16)),
        ("280229", "0229", date(2028, 2, 29)),
        ("270228", "0301", date(2027, 3, 1)),
    ],
)
def test_the_entry_date_takes_the_year_nearest_to_the_value_date(
    value: str, booked: str, expected: date
) -> None:
    assert entry(f"{value}{booked}C25,00NTRFE1")["booking_date"] == expected


def test_a_value_date_of_30_february_is_the_last_of_the_month_and_noted() -> None:
    delivery = read(message(":61:2702300301C25,00NTRFE1"))
    assert delivery.lines["value_date"].to_pylist() == [date(2027, 2, 28)]
    assert delivery.lines["booking_date"].to_pylist() == [date(2027, 3, 1)]
    assert "30 February" in delivery.parsed.notes[0]


@pytest.mark.parametrize(
    ("first", "type_code", "end_to_end", "servicer"),
    [
        ("NTRFE1//B1", "NTRF", "E1", "B1"),
        ("NTRFNONREF//B1", "NTRF", None, "B1"),
        ("NTRFNONREF", "NTRF", None, None),
        ("NONREF", None, None, None),
        ("", None, None, None),
        ("//B1", None, None, "B1"),
        ("N062NONREF", "N062", None, None),
        ("NOV NONREF", "NOV", None, None),
        ("S103E1//B1", "S103", "E1", "B1"),
        (" NTRFE1", "NTRF", "E1", None),
        ("NTRFKREF+//B1", "NTRF", None, "B1"),
        ("NTRFE1/2//B1", "NTRF", "E1/2", "B1"),
    ],
)
def test_types_and_references(
    first: str, type_code: str | None, end_to_end: str | None, servicer: str | None
) -> None:
    found = entry(f"2611171116C25,00{first}")
    assert (found["type_code"], found["ref_end_to_end"], found["ref_servicer"]) == (
        type_code,
        end_to_end,
        servicer,
    )


def test_a_bank_reference_may_stand_in_the_next_line() -> None:
    assert entry("2611171116C25,00NTRFVERYLONGREFERENC\n//BANK-9")["ref_servicer"] == "BANK-9"


def test_a_reference_that_was_cut_names_nothing_exactly() -> None:
    found = entry("2611171116C25,00NTRFEndToEndIdentif+")
    assert (found["ref_end_to_end"], found["other_refs"]) == (None, '{"customer":"EndToEndIdentif+"}')


def test_a_cheque_is_known_by_its_number() -> None:
    found = entry("2611171116D25,00NCHK4711", minor=-2500)
    assert (found["ref_end_to_end"], found["other_refs"]) == ("4711", '{"check":"4711"}')


def test_an_account_in_the_place_of_the_reference_is_the_other_side() -> None:
    found = entry("2611171116C25,00NOVBNL47TEST0123456789\nj doe", "NL47TEST0123456789 j doe\nrent")
    assert (found["counterparty_account"], found["ref_end_to_end"]) == ("NL47TEST0123456789", None)
    assert (found["counterparty"], found["type_code"]) == ("j doe", "NOVB")


def test_a_name_in_columns_behind_the_reference_is_the_counterparty() -> None:
    found = entry("261117C000000000025,00N0440123456789      J DOE AND SONS", "REFUND")
    assert (found["ref_end_to_end"], found["counterparty"]) == ("0123456789", "J DOE AND SONS")


@pytest.mark.parametrize(
    ("type_code", "minor", "kind"),
    [
        ("NTRF", 2500, "transfer"),
        ("NCHG", -2500, "fee"),
        ("NINT", 2500, "interest"),
        ("NRTI", -2500, "chargeback"),
        ("NRTI", 2500, "refund"),
    ],
)
def test_the_type_names_the_kind(type_code: str, minor: int, kind: str) -> None:
    mark = "C" if minor > 0 else "D"
    assert entry(f"2611171116{mark}25,00{type_code}E1", minor=minor)["kind"] == kind


def test_an_amount_before_conversion_and_its_rate_are_kept_where_they_give_the_entry() -> None:
    found = entry("2611171116C25,00NTRFE1\n/OCMT/USD27,50//EXCH/1,1/")
    assert (found["original_amount_minor"], found["original_asset"]) == (2750, "USD")
    assert (found["fx_rate"], found["fx_numerator"], found["fx_denominator"]) == ("1.1", 10, 11)


def test_a_rate_that_does_not_give_the_entry_has_no_direction() -> None:
    found = entry("2611171116C25,00NTRFE1\n/OCMT/USD99,00//EXCH/1,1/")
    assert (found["fx_rate"], found["fx_numerator"]) == ("1.1", None)


def test_a_returned_direct_debit_with_the_charge_inside() -> None:
    found = entry(
        "2611171116D53,00NRTIE1",
        "109?00RUECKLASTSCHRIFT?20EREF+E1?21OAMT+50,00?22COAM+3,00?32J DOE?34912",
        minor=-5300,
    )
    assert (found["amount_minor"], found["fee_minor"]) == (-5300, 300)
    assert found["fees"] == '[{"amount_minor":300,"asset":"EUR","included":true,"type":"charge"}]'
    assert (found["kind"], found["reason_code"]) == ("chargeback", "912")


def test_the_raw_entry_is_found_by_its_bytes() -> None:
    file = wrapped(message(CREDIT, ":86:one\ntwo", ":61:2611171116D0,00NCHGX")).replace("\n", "\r\n").encode()
    first, second = read(file).lines.select(["byte_offset", "byte_length"]).to_pylist()
    raw = [file[at["byte_offset"] :][: at["byte_length"]].decode().strip() for at in (first, second)]
    assert raw == [CREDIT + "\r\n:86:one\r\ntwo", ":61:2611171116D0,00NCHGX"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_any_line_ends_and_a_byte_order_mark_are_read_alike(end: str, mark: bytes) -> None:
    file = wrapped(message(CREDIT, ":86:166?00CREDIT?20EREF+E1?21SVWZ+Mül\nler?32J DOE"))
    expected = read(file).lines.drop_columns(["byte_offset", "byte_length"])
    found = read(mark + file.replace("\n", end).encode()).lines.drop_columns(["byte_offset", "byte_length"])
    assert found.equals(expected)
    assert found["text"].to_pylist() == ["Müller\nCREDIT"]


def test_lines_that_fints_joins_by_two_at_signs() -> None:
    assert line("@@" + message(CREDIT, ":86:one\ntwo").replace("\n", "@@") + "-")["text"] == "one\ntwo"


def test_windows_1252_is_read_where_a_text_is_no_utf_8() -> None:
    assert line(message(CREDIT, ":86:Gebühr für €").encode("cp1252"))["text"] == "Gebühr für €"


def test_another_encoding_may_be_said() -> None:
    file = message(CREDIT, ":86:Átutalás").encode("cp852")
    assert line(file, encoding="ibm852")["text"] == "Átutalás"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("", "-\n"),
        (":940:\n", ""),
        ("TESTNL2A\n940\nTESTNL2A\n", "-\n"),
        ("0000 01TESTNL2AXXXX00001\n0000 01TESTNL2AXXXX00001\n940 00\n", "-XXX\n"),
        ("\n\n", "\n\n-\n\n"),
        ("\x01\n", "-\x03\n"),
        ("HIRMS:3:2:3+0020::Done.'HIKAZ:4:7:3+@160@\n", "-'HITAN:5:6:4+4++noref'\n"),
    ],
)
def test_what_banks_put_around_messages_changes_nothing(before: str, after: str) -> None:
    file = before + message(CREDIT, ":86:words") + after
    assert line(file)["text"] == "words"
    twice = file + before + message(opening=":60F:C261116EUR125,00", number="8/1") + after
    assert [told.sequence_no for told in statements(twice)] == [7, 8]


def test_a_training_message_is_a_test() -> None:
    assert read(wrapped(message(CREDIT), trailer="{5:{CHK:123456789ABC}{TNG:}}")).parsed.test_mode
    assert not read(wrapped(message(CREDIT))).parsed.test_mode


def test_a_possible_repeat_is_noted() -> None:
    notes = read(wrapped(message(CREDIT), trailer="{5:{CHK:123456789ABC}{PDE:}}")).parsed.notes
    assert "repeats" in notes[0]


def test_words_that_look_like_a_field_or_an_end_stay_words() -> None:
    text = ":86:at 2026-11-16T16\n:26:37 in town\n-ID:?27 and\n:20:33 again\n-\nmore"
    found = line(message(CREDIT, text))
    assert found["text"] == text.removeprefix(":86:")


def test_several_narratives_of_one_entry_are_one_text() -> None:
    assert line(message(CREDIT, ":86:one", ":86:two"))["text"] == "one\ntwo"


def test_the_banks_words_after_the_balance_belong_to_no_entry() -> None:
    delivery = read(message(CREDIT, ":86:words") + ":64:C261116EUR125,00\n:86:/SUM/0/1/0,00/25,00/\n-\n")
    assert delivery.lines["text"].to_pylist() == ["words"]
    assert "the bank's own counts" in delivery.parsed.statements[0].proofs[1]


def test_pages_are_joined_and_proved_as_one_statement() -> None:
    first = message(CREDIT, closing=":62M:C261116EUR125,00", number="7/1")
    second = message(
        ":61:2611171116D5,00NTRFE2",
        opening=":60M:C261116EUR125,00",
        closing=":62F:C261116EUR120,00",
        number="7/2",
    )
    delivery = read(wrapped(first) + wrapped(second))
    (told,) = delivery.parsed.statements
    assert (told.opening_minor, told.closing_minor, told.line_count) == (10_000, 12_000, 2)
    assert told.proofs == ("opening 100.00 EUR + 2 entries of 20.00 EUR = closing 120.00 EUR, 2 pages",)
    assert (told.statement_ref, told.sequence_no) == ("2026/7", 7)
    assert delivery.lines["statement_no"].to_pylist() == [0, 0]


def test_pages_that_all_have_one_number_are_joined_by_their_balances() -> None:
    first = message(CREDIT, closing=":62M:C261116EUR125,00")
    second = message(opening=":60M:C261116EUR125,00")
    delivery = read(first + second)
    assert len(delivery.parsed.statements) == 1
    assert "one number" in delivery.parsed.notes[0]


def test_pages_that_a_bank_closes_one_by_one_are_statements_of_their_own() -> None:
    second = message(opening=":60F:C261116EUR125,00", number="7/2")
    told = statements(message(CREDIT) + second)
    assert [(one.statement_ref, one.sequence_no) for one in told] == [("2026/7", 7), ("2026/7#2", None)]


def test_a_file_that_ends_between_two_pages_tells_a_page() -> None:
    (told,) = statements(message(CREDIT, closing=":62M:C261116EUR125,00"))
    assert (told.statement_ref, told.sequence_no, told.closing_minor) == ("2026/7/page 1", None, 12_500)


def test_a_file_that_begins_with_a_later_page_tells_that_page() -> None:
    (told,) = statements(message(CREDIT, opening=":60M:C261115EUR100,00", number="7/2"))
    assert (told.statement_ref, told.sequence_no, told.opening_minor) == ("2026/7/page 2", None, 10_000)


def test_statements_of_several_accounts_in_one_file() -> None:
    file = message(CREDIT) + "-\n" + message(CREDIT, account="NL99TEST0000000001")
    assert [told.account for told in statements(file)] == [ACCOUNT, "NL99TEST0000000001"]
    assert read(file).lines["statement_no"].to_pylist() == [0, 1]


@pytest.mark.parametrize(
    ("number", "reference", "sequence_no"),
    [("7/1", "2026/7", 7), ("00007", "2026/7", 7), ("0", "REF1", None), ("00000/001", "REF1", None)],
)
def test_banks_that_do_not_number_are_known_by_their_reference(
    number: str, reference: str, sequence_no: int | None
) -> None:
    (told,) = statements(message(CREDIT, number=number))
    assert (told.statement_ref, told.sequence_no) == (reference, sequence_no)


def test_two_unnumbered_statements_of_a_day_are_told_apart_by_their_order() -> None:
    second = message(opening=":60F:C261116EUR125,00", number="0")
    assert [told.statement_ref for told in statements(message(CREDIT, number="0") + second)] == [
        "REF1",
        "REF1#2",
    ]


def test_a_statement_without_entries_is_proved_too() -> None:
    (told,) = statements(message(closing=":62F:C261116EUR100,00"))
    assert (told.line_count, told.proofs != ()) == (0, True)


def test_an_account_keeps_its_form_without_the_currency_behind_it() -> None:
    assert statements(message(CREDIT, account=f"{ACCOUNT}EUR"))[0].account == ACCOUNT
    assert statements(message(CREDIT, account="12345678/1020304050"))[0].account == "12345678/1020304050"


def test_card_numbers_are_masked_wherever_they_stand() -> None:
    found = entry("2611171116C25,00NTRF4111111111111111//4111111111111111", "paid with 4111 1111 1111 1111")
    assert found["text"] == "paid with 4111 11** **** 1111"
    assert found["ref_end_to_end"] == found["ref_servicer"] == "411111******1111"


def test_no_field_keeps_a_full_card_number() -> None:
    card = "4111111111111111"
    keys = ("IBAN", "BIC", "NAME", "REMI", "EREF", "MARF", "RTRN", "UETR", "OCMT")
    words = "".join(f"/{key}/{card}" for key in keys)
    file = message(
        f":61:2611171116C25,00NTRF{card}//{card}\n{card}\n/OCMT/{card}/EXCH/{card}/",
        f":86:{words}",
        account=card,
        reference=card,
    )
    delivery = read(file)
    assert card not in repr(delivery.lines.to_pylist())
    assert card not in repr(delivery.parsed)
    assert statements(file)[0].account == "411111******1111"


def test_a_card_number_that_sub_fields_part_is_masked_where_it_is_put_together() -> None:
    found = entry("2611171116C25,00NTRFX", "106?00CARD?20SVWZ+Nr. 41111111?211111\n1111")
    assert found["text"] == "Nr. 411111******1111\nCARD"


def test_mt950_is_read_by_the_same_rules() -> None:
    file = wrapped(message(CREDIT), "950")
    assert mt950.sniff(file.encode())
    assert not mt940.sniff(file.encode())
    assert line(file, mt950)["amount_minor"] == 2500


def test_formats_recognise_their_own_files() -> None:
    assert recognise(message(CREDIT).encode()) == "mt940"
    assert recognise(wrapped(message(CREDIT)).encode()) == "mt940"
    assert recognise(wrapped(message(CREDIT), "950").encode()) == "mt950"
    assert recognise(b"HIRMG:2:2:+3060::Dialogue'HNHBS:5:1+2'") is None


def test_settings_that_are_not_known_are_an_error_of_the_sources() -> None:
    with pytest.raises(SourcesError, match="did you mean dialect"):
        read(message(CREDIT), dialct="german")
    with pytest.raises(SourcesError, match="dialect must be one of"):
        read(message(CREDIT), dialect="bavarian")
