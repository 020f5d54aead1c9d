"""What the banks' dialects of :86: say, on invented texts."""

import pytest

from reconciliation.formats.swift_mt_parts.dialects import DIALECTS, narrative_fields
from tests.reconciliation.formats.mt_builder import entry, line, message

FIRST = "2611171116C25,00NTRFNONREF"


def test_german_sub_fields() -> None:
    found = entry(
        "2611171116C25,00NMSCNONREF//B1",
        "166?00GUTSCHRIFT?109310?20EREF+E2E-1?21KREF+K-1?22MREF+M-1?23CRED+DE98ZZZ099999\n99999?24SVWZ+Invoice 4711 "
        "of?25 November?30TESTDEFFXXX?31DE89370400440532013000?32JANE DOE AND?33 SONS?34000",
    )
    assert found["ref_end_to_end"] == "E2E-1"
    assert found["other_refs"] == '{"creditor_id":"DE98ZZZ09999999999","customer":"K-1","mandate":"M-1"}'
    assert found["text"] == "Invoice 4711 of November\nGUTSCHRIFT"
    assert (found["counterparty"], found["counterparty_bic"]) == ("JANE DOE AND SONS", "TESTDEFFXXX")
    assert found["counterparty_account"] == "DE89370400440532013000"
    assert (found["type_code"], found["kind"]) == ("NMSC+166", "transfer")


def test_a_german_returned_debit_says_why() -> None:
    found = entry("2611171116D25,00NRTINONREF", "109?00RUECKLASTSCHRIFT?20EREF+E1?34914", minor=-2500)
    assert (found["kind"], found["reason_code"]) == ("chargeback", "914")


def test_a_german_fee_is_known_by_its_business_code() -> None:
    assert entry("2611171116D25,00NMSCNONREF", "808?00GEBUEHR?20Q4", minor=-2500)["kind"] == "fee"


def test_german_separators_inside_a_text_and_repeated_sub_fields() -> None:
    assert entry(FIRST, "166?00CREDIT?20what? now?20 more")["text"] == "what? now more\nCREDIT"


def test_german_without_keywords_and_with_a_national_bank_code() -> None:
    found = entry(FIRST, "051?00CREDIT?20Rent?21 November?3010020030?311234567?32J DOE")
    assert (found["text"], found["counterparty_account"], found["counterparty_bic"]) == (
        "Rent November\nCREDIT",
        "1234567",
        None,
    )


@pytest.mark.parametrize("separator", [">", "<"])
def test_german_with_other_separators(separator: str) -> None:
    found = entry(FIRST, "000>20Rent\n>21 November>310123456789".replace(">", separator))
    assert (found["text"], found["counterparty_account"]) == ("Rent November", "0123456789")


def test_older_german_keywords_with_colons() -> None:
    found = entry(
        FIRST, "117?00DEBIT?20Trip EREF: E1 MREF: M1 CRED:?21 DE98ZZZ1 IBAN: DE89370400440532013000"
    )
    assert (found["ref_end_to_end"], found["counterparty_account"]) == ("E1", "DE89370400440532013000")
    assert found["other_refs"] == '{"creditor_id":"DE98ZZZ1","mandate":"M1"}'


def test_sepa_keywords_without_sub_fields() -> None:
    found = entry(FIRST, "EREF+E1\nKREF+NONREF\nSVWZ+Rent\nABWA+MRS DOE")
    assert (found["ref_end_to_end"], found["other_refs"]) == ("E1", None)
    assert found["text"] == "Rent\nABWA MRS DOE"


def test_abn_amro_code_words_that_wrap() -> None:
    found = entry(
        FIRST,
        "/TRTP/SEPA OVERBOEKING/IBAN/FR7612345678901234567890123/BIC/TESTFRPP\n"
        "/NAME/J DOE/REMI/These are the words of the remittance, long enou\ngh to wrap/EREF/E2E-1",
    )
    assert found["ref_end_to_end"] == "E2E-1"
    assert (found["counterparty"], found["counterparty_bic"]) == ("J DOE", "TESTFRPP")
    assert found["counterparty_account"] == "FR7612345678901234567890123"
    assert found["text"] == "These are the words of the remittance, long enough to wrap\nSEPA OVERBOEKING"


def test_a_full_line_wraps_inside_a_word() -> None:
    full = "/REMI/" + "x" * 54 + " wrap"
    assert entry(FIRST, f"{full}\nping/EREF/E1")["text"] == "x" * 54 + " wrapping"


def test_a_return_in_code_words() -> None:
    found = entry(
        "2611171116D25,00N245NONREF",
        "/RTYP/SEPA Incasso Terugboeking/MARF/M1/RTRN/AC01/IBAN/NL13TEST0123456789/NAME/J DOE/REMI/May/EREF/E1",
        minor=-2500,
    )
    assert (found["kind"], found["reason_code"]) == ("chargeback", "AC01")


def test_ing_counterparty_and_remittance() -> None:
    found = entry(
        "2611171116C25,00NTRFEREF//26321000000001\n/TRCD/00100/",
        "/EREF/E2E-1//CNTP/NL13TEST0123456789/TESTNL2A/J DOE///REMI/USTD//Invoice 1/",
    )
    assert (found["ref_end_to_end"], found["ref_servicer"]) == ("E2E-1", "26321000000001")
    assert (found["counterparty_account"], found["counterparty_bic"]) == ("NL13TEST0123456789", "TESTNL2A")
    assert (found["counterparty"], found["text"]) == ("J DOE", "Invoice 1")


def test_ing_structured_creditor_reference() -> None:
    found = entry(FIRST, "/CNTP/NL13TEST0123456789/TESTNL2A/J DOE///REMI/STRD/CUR/9000000012345/")
    assert found["other_refs"] == '{"creditor_reference":"9000000012345"}'


def test_rabobank_parties() -> None:
    found = entry(
        "261117C000000000025,00N541EREF\nNL13TEST0123456789",
        "/EREF/E1/ORDP//NAME/J DOE/ADDR/Street 1/REMI/Ref 2026/ISDT/2026-11-16",
    )
    assert (found["counterparty"], found["counterparty_account"]) == ("J DOE", "NL13TEST0123456789")
    assert (found["text"], found["ref_end_to_end"]) == ("Ref 2026", "E1")


def test_rabobank_account_with_bank() -> None:
    found = entry(FIRST, "/ACCW/NL13TEST0123456789,TESTNL2A/ORDP//NAME/J DOE/REMI/X")
    assert (found["counterparty_account"], found["counterparty_bic"]) == ("NL13TEST0123456789", "TESTNL2A")


def test_code_words_without_the_first_slash() -> None:
    found = entry(FIRST, "IREF/I1/EREF/E1/UETR/00000000-0000-4000-8000-000000000001")
    assert (found["ref_end_to_end"], found["other_refs"]) == ("E1", '{"instruction":"I1"}')
    assert found["ref_uetr"] == "00000000-0000-4000-8000-000000000001"


def test_a_party_with_account_and_name_in_one_value() -> None:
    found = entry(FIRST, "/ORDP/300000000460\n/J DOE TRADING\n/Invoice 747")
    assert (found["counterparty_account"], found["counterparty"]) == ("300000000460", "J DOE TRADING")


def test_abn_amro_labels() -> None:
    found = entry(
        FIRST,
        "SEPA OVERBOEKING                 IBAN: NL13TEST0123456789\n"
        "BIC: TESTNL2A                    NAAM: J DOE\nOMSCHRIJVING: Invoice 1\nKENMERK: E2E-1",
    )
    assert (found["counterparty"], found["counterparty_account"]) == ("J DOE", "NL13TEST0123456789")
    assert (found["ref_end_to_end"], found["text"]) == ("E2E-1", "Invoice 1\nSEPA OVERBOEKING")


def test_knab_account_and_name_in_their_own_line() -> None:
    found = entry(FIRST, "INVOICE 201403110\nREK: NL13TEST0123456789/NAAM: J DOE")
    assert (found["counterparty"], found["counterparty_account"]) == ("J DOE", "NL13TEST0123456789")
    assert found["text"] == "INVOICE 201403110"


def test_asn_account_first_and_padded_lines() -> None:
    found = entry(FIRST, "NL13TEST0123456789 j doe\n" + " " * 65 + "\n" + "Rent November".ljust(65) + "\n")
    assert (found["counterparty"], found["text"]) == ("j doe", "Rent November")


def test_numbered_lines_in_place_of_a_narrative() -> None:
    file = message(":61:2611171116C25,00S   X", ":NS:01Invoice 1\n02of November\n15J DOE\n17TRANSFER")
    found = line(file)
    assert (found["text"], found["counterparty"]) == ("Invoice 1\nof November\nTRANSFER", "J DOE")


def test_free_text_keeps_its_lines_without_their_padding() -> None:
    assert entry(FIRST, " BEA   NR:XXX1234   \nTOWN,PAS999")["text"] == "BEA   NR:XXX1234\nTOWN,PAS999"


def test_a_dialect_may_be_forced() -> None:
    file = message(f":61:{FIRST}", ":86:/REMI/words")
    assert line(file)["text"] == "words"
    assert line(file, dialect="free")["text"] == "/REMI/words"
    assert line(file, dialect="german")["text"] == "/REMI/words"


@pytest.mark.parametrize("dialect", [dialect.NAME for dialect in DIALECTS])
@pytest.mark.parametrize(
    "text", ["", "?", "166", "166?", "/", "//", "NS:", "EREF+", "REK: /NAAM: ", "\n\n", "166?a?b?"]
)
def test_no_text_breaks_a_dialect(dialect: str, text: str) -> None:
    assert isinstance(narrative_fields(text, dialect), dict)
    assert isinstance(narrative_fields(text, None), dict)
