"""What a file is to what was there before: new, known, corrected, overlapping."""

from psycopg import Connection

from tests.reconciliation.intake.builder import (
    BANK,
    Charge,
    Entry,
    STRIPE,
    bank_file,
    bank_statement,
    closures,
    current_lines,
    deliver,
    digests,
    keys_and_amounts,
    stripe_file,
)


def test_a_statement_is_taken_in_with_its_lines(store: Connection) -> None:
    outcome = deliver(store, bank_file(bank_statement(Entry(2500, "A1"), Entry(-700, "A2"))))
    assert outcome.sentence == "statement.xml: accepted: 2 lines in 1 statement"
    assert keys_and_amounts(store) == {"A1": (1, 2500), "A2": (1, -700)}


def test_a_redelivered_file_changes_nothing(store: Connection) -> None:
    content = bank_file(bank_statement(Entry(2500, "A1"), Entry(-700)))
    first = deliver(store, content)
    before = digests(store)
    for name in ("statement.xml", "again.xml", "statement.xml"):
        outcome = deliver(store, content, file_name=name)
        assert (outcome.outcome, outcome.same_as, outcome.unchanged_count) == (
            "redelivered",
            first.delivery_id,
            2,
        )
    assert digests(store) == before


def test_the_same_content_in_other_bytes_changes_nothing(store: Connection) -> None:
    statement = bank_statement(Entry(2500, "A1"), Entry(-700))
    first = deliver(store, bank_file(statement))
    before = digests(store)
    second = deliver(store, bank_file(statement, message_id="M2"))
    third = deliver(store, bank_file(statement, message_id="M2"))
    assert [(o.outcome, o.same_as) for o in (second, third)] == [("redelivered", first.delivery_id)] * 2
    assert digests(store) == before
