"""The tables of a pack: where each stands, what it says, its columns, and which query of ``pack.sql`` tells it.

Law: a table is bound by knowledge, so that it can be made again, or it says that it is told as found: what the database
grants and how the server is set today has no past that anybody kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

KNOWN, FOUND = "known_at", "as found"
_TEXT, _NUMBER, _SMALL, _DAY, _TRUTH = pa.string(), pa.int64(), pa.int32(), pa.date32(), pa.bool_()
_INSTANT = pa.timestamp("us", tz="UTC")
_KINDS: Final[Mapping[str, pa.DataType]] = {
    "": _TEXT, "n": _NUMBER, "s": _SMALL, "d": _DAY, "b": _TRUTH, "i": _INSTANT,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PackTable:
    """One CSV of a pack; ``by_exception`` where it is read for some exceptions at a time, because it is large."""

    path: str
    query: str
    says: str
    schema: pa.Schema
    knowledge: str = KNOWN
    by_exception: bool = False


def _columns(words: str) -> pa.Schema:
    """A schema of words: a name, or a name and a kind behind a colon (n, s, d, b, i; text without)."""
    named = [word.partition(":") for word in words.split()]
    return pa.schema([pa.field(name, _KINDS[kind]) for name, _, kind in named])


EXCEPTIONS: Final = PackTable(
    path="exceptions/exceptions.csv",
    query="exceptions",
    says="every exception that was open on some day of the range, as it was known, with its age in days",
    schema=_columns(
        "exception_id:n exception_key source opened_on:d opened_at:i item_date:d account class kind severity status"
        " amount_minor:n difference_minor:n asset due_on:d sla_due_on:d assignee team reason cycle:s carried_until:d"
        " cleared_by_group:n closed_on:d age_days:s changes:n changed_at:i"
    ),
)
MISSING_FILES: Final = PackTable(
    path="deliveries/missing_files.csv",
    query="exceptions",
    says="files that were owed and did not come, and gaps in numbered series, with when they came or were explained",
    schema=_columns("source account item_date:d kind status opened_on:d closed_on:d exception_id:n"),
)
INDEX: Final = PackTable(
    path="statements_index.csv",
    query="proved_days",
    says="each statement with its digests, whether it ties out, and whether the books that were signed are the same",
    schema=_columns(
        "source business_date:d tied_out:b sha256 books_sha256 sign_off_id:n signed_books_sha256 same_books:b"
    ),
)
EVENTS: Final = PackTable(
    path="exceptions/events.csv",
    query="events",
    says="the whole history of those exceptions: who did what when, before and after, with its link of the chain",
    schema=_columns(
        "event_id:n exception_id:n source at as_of:d event actor reason note before after origin chain_no:n hash_before"
        " hash"
    ),
    by_exception=True,
)
TABLES: Final = (
    PackTable(
        path="access/database_grants.csv", query="grants", knowledge=FOUND,
        says="what each role of the database may do with which table, view, column, function and sequence",
        schema=_columns("grantee kind object column privilege"),
    ),
    PackTable(
        path="access/database_roles.csv", query="database_roles", knowledge=FOUND,
        says="roles of the database with their members; who can log in and who is a superuser",
        schema=_columns("role can_log_in:b superuser:b makes_roles:b bypasses_row_security:b members"),
    ),
    PackTable(
        path="access/log_ins.csv", query="log_ins",
        says="log-ins that were opened and refused, by day, login and channel",
        schema=_columns("on_date:d login channel outcome attempts:n"),
    ),
    PackTable(
        path="access/people.csv", query="people",
        says="persons with roles and state as known, since when, and what they were at the end of the range (UTC)",
        schema=_columns("login name roles team same_as state known_by since:i roles_at_end state_at_end"),
    ),
    PackTable(
        path="access/people_events.csv", query="people_events",
        says="every change of a person's account that was known: who changed what",
        schema=_columns("person_event_id:n login event actor before after at:i"),
    ),
    PackTable(
        path="access/permissions.csv", query="permissions", knowledge=FOUND,
        says="what each role may do", schema=_columns("role deed may:b"),
    ),
    PackTable(
        path="access/server_settings.csv", query="settings", knowledge=FOUND,
        says="what the database server logs, how it keeps data safe and protects connections",
        schema=_columns("name setting unit set_by"),
    ),
    PackTable(
        path="access/who_could_do_what.csv", query="who_could_do_what",
        says="each person and each deed: as known, and at the end of the range (UTC)",
        schema=_columns("login deed could:b could_at_end:b"),
    ),
    PackTable(
        path="controls/alerts.csv", query="alerts",
        says="alerts of the range and when the first channel took them",
        schema=_columns(
            "alert_id:n source business_date:d severity title items:n sums written_at:i sent_at:i"
        ),
    ),
    PackTable(
        path="decisions/adjustments.csv", query="adjustments",
        says="entries that two people wanted booked, and what the ledger made of each",
        schema=_columns(
            "proposal_id:n source exception_id:n action reason_code reason stake_minor:n asset entry proposed_by"
            " approved_by approved_at:i entry_key outcome said recorded_at:i"
        ),
    ),
    PackTable(
        path="decisions/decisions.csv", query="decisions",
        says="decisions that act from a day of the range, one row for each line, with both names",
        schema=_columns(
            "decision_id:n source kind content_key side line_key version:s entry_key line_no:s role allocated_minor:n"
            " asset reason proposed_by approved_by proposal_id:n as_of:d decided_at:i"
        ),
    ),
    PackTable(
        path="decisions/proposals.csv", query="proposals",
        says="proposals with who proposed and who judged each, frozen as they were proposed",
        schema=_columns(
            "proposal_id:n source exception_id:n action verdict reason_code reason stake_minor:n asset members entry"
            " proposed_by proposed_at:i expires_on:d judged_by judged_at:i note"
        ),
    ),
    PackTable(
        path="decisions/undone_matches.csv", query="undone_matches",
        says="matches that were undone, by whom and why",
        schema=_columns("group_id:n source match_pass as_of:d reason actor revoked_at:i"),
    ),
    PackTable(
        path="deliveries/deliveries.csv", query="deliveries",
        says="every file that came for the range or in it: taken in, corrected, delivered again, refused and why; lines"
        " in and lines kept",
        schema=_columns(
            "delivery_id:n source file_name file_sha256 byte_count:n for_date:d outcome same_as:n format format_version"
            " line_count:n added_count:n changed_count:n unchanged_count:n withdrawn_count:n counts_hold:b refusal_code"
            " refusal_place refusal_expected refusal_found refusal_remedy notes received_at:i received_by"
        ),
    ),
    PackTable(
        path="deliveries/releases.csv", query="releases",
        says="refused files that a person let in all the same, which proof was waived, and why",
        schema=_columns("release_id:n source delivery_id:n file_name code reason actor released_at:i"),
    ),
    PackTable(
        path="deliveries/statements.csv", query="received_statements",
        says="the reports in those files: their own balances, the proofs that held, and those that were waived",
        schema=_columns(
            "source account statement_ref version:s asset sequence_no:n from_date:d to_date:d opening_minor:n"
            " movement_minor:n closing_minor:n line_count:n proofs waived delivery_id:n"
        ),
    ),
    PackTable(
        path="exceptions/attachments.csv", query="attachments",
        says="what people enclosed, by name and digest; the files themselves are kept in the database",
        schema=_columns(
            "attachment_id:n exception_id:n file_name media_type byte_count:n sha256 uploaded_by uploaded_at:i"
        ),
    ),
    EVENTS,
    PackTable(
        path="exceptions/lines.csv", query="exception_lines", by_exception=True,
        says="which lines of the outside and of the ledger each exception explained, from which day on",
        schema=_columns(
            "exception_id:n side line_key version:s entry_key line_no:s amount_minor:n asset as_of:d"
        ),
    ),
    PackTable(
        path="reconciliation/balances.csv", query="balances",
        says="the bridge of each account and day: both balances, open items, what is unexplained; lines in equal to"
        " lines out",
        schema=_columns(
            "source business_date:d account asset basis opening_minor:n movement_minor:n closing_minor:n ledger_minor:n"
            " timing_external_minor:n timing_ledger_minor:n genuine_external_minor:n genuine_ledger_minor:n"
            " excluded_external_minor:n excluded_ledger_minor:n allocation_difference_minor:n unexplained_minor:n"
            " line_count:n matched_count:n timing_count:n genuine_count:n excluded_count:n counts_hold:b tied_out:b"
            " run_id:n proved_at:i"
        ),
    ),
    PackTable(
        path="reconciliation/runs.csv", query="runs",
        says="every reconciliation that computed a day of the range, with who or what started it and when; failed ones,"
        " too",
        schema=_columns(
            "run_id:n source business_date:d from_date:d state actor started_at:i finished_at:i rules_digest"
            " calendar_version code_version counts"
        ),
    ),
    PackTable(
        path="rules/calendars.csv", query="calendars",
        says="which versions of calendars and program the runs used, from which run to which",
        schema=_columns(
            "source calendar_version code_version first_run:n last_run:n first_date:d last_date:d runs:n"
        ),
    ),
    PackTable(
        path="rules/versions.csv", query="rules",
        says="every version of each source's rules, who loaded it and when, and how many runs of the range used it",
        schema=_columns("source rules_digest loaded_at:i loaded_by runs_of_range:n"),
    ),
    PackTable(
        path="sign_offs/sign_offs.csv", query="sign_offs",
        says="who prepared and who reviewed each day, with the digests that were signed",
        schema=_columns(
            "sign_off_id:n source business_date:d state prepared_by prepared_at:i note reviewed_by reviewed_at:i"
            " review_note content_sha256 books_sha256 known_at followed_by:n"
        ),
    ),
)  # fmt: skip
"""All tables but the exceptions themselves, on which the others rest."""
