"""A bound that matching meets is an exception with counts, and goes away when it is no longer met."""


from reconciliation.daily.reconcile import reconcile
from reconciliation.intake.source_versions import register_sources
from reconciliation.sources import MatchLimits, Source
from tests.reconciliation.daily.desk import MONDAY, SOURCES, STARTED_AT, Desk, movement


def tight(source: Source) -> Source:
    """A source that may look at two pairs of a block."""
    limits = MatchLimits(candidate_pairs=2)
    return source.model_copy(update={"match": source.match.model_copy(update={"limits": limits})})


def run(desk: Desk, source: Source) -> None:
    with desk.session("tieout_intake") as connection:
        register_sources(connection, SOURCES.model_copy(update={"sources": (source, SOURCES["stripe"])}))
    with desk.session("tieout_matcher") as connection:
        reconcile(
            connection, source, as_of=MONDAY, actor="tests", code_version="1", started_at=STARTED_AT
        )


def crowd(desk: Desk) -> None:
    """Three lines and three entries of one amount, none with a reference."""
    for number in range(3):
        desk.post(f"p{number}", MONDAY, 500)
    desk.statement(MONDAY, *[movement("", 500, native_id=f"N{number}") for number in range(3)])


def limits_of(desk: Desk) -> list[dict[str, object]]:
    return [row for row in desk.exceptions() if "bound" in row["factors"]]


def test_a_block_that_is_too_large_is_told_with_its_counts_and_its_setting(desk: Desk) -> None:
    crowd(desk)
    run(desk, tight(SOURCES["bank"]))
    (found,) = limits_of(desk)
    assert (found["class"], found["kind"]) == ("review", "ambiguous")
    factors = found["factors"]
    assert isinstance(factors, dict)
    assert (factors["external_count"], factors["ledger_count"], factors["limit"]) == (3, 3, 2)


def test_the_lines_it_speaks_of_are_open_in_exceptions_of_their_own(desk: Desk) -> None:
    crowd(desk)
    run(desk, tight(SOURCES["bank"]))
    members = desk.ask("SELECT count(*) FROM recon.exception_member AS m")
    assert members == [6]


def test_when_the_bound_is_no_longer_met_the_exception_clears(desk: Desk) -> None:
    crowd(desk)
    run(desk, tight(SOURCES["bank"]))
    desk.post("news", MONDAY, 1, ref_end_to_end="INV-9999")
    run(desk, SOURCES["bank"])
    assert limits_of(desk) == []
