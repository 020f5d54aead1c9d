"""Marks a demo: what the pipeline left in the database against the world's answer key.

Law: a planted fault counts as found only in its right class and kind, on its right lines, with its amounts; anything
else that is open counts against; a match counts as right only if its members are exactly those that the world made
for each other.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from psycopg.rows import dict_row

from dagster_project.project import Project
from ledger_core.sql import queries

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
_SHOWN: Final = 12

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The outcome: counts of what is right, and one sentence for each thing that is not."""

    faults_planted: int
    faults_found: int
    matches_expected: int
    matches_right: int
    timing_expected: int
    timing_right: int
    proofs: int
    proofs_tied: int
    complaints: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether there is nothing to complain about."""
        return not self.complaints

    def told(self) -> str:
        """The marks in a few lines."""
        wrong = sum(text.startswith("wrong match") for text in self.complaints)
        lines = [
            "\n== Against the answer key",
            f"  planted faults found in their class and kind: {self.faults_found} of {self.faults_planted}",
            f"  true matches made: {self.matches_right:,} of {self.matches_expected:,}; wrong ones: {wrong}",
            f"  timing differences open as they should be: {self.timing_right} of {self.timing_expected}",
            f"  balances tied out: {self.proofs_tied} of {self.proofs}, the others explained by an exception",
        ]
        lines += [f"  ! {text}" for text in self.complaints[:_SHOWN]]
        if len(self.complaints) > _SHOWN:
            lines.append(f"  ! and {len(self.complaints) - _SHOWN} more")
        lines.append("  Everything as planted." if self.passed else "  NOT as planted.")
        return "\n".join(lines)


def mark(project: Project, world: Path, *, last_day: date) -> Marks:
    """Compare the database with the answer files of a world after its last day."""
    with project.database.session("tieout_auditor") as connection:
        cursor = connection.cursor(row_factory=dict_row)
        exceptions = cursor.execute(SQL["exceptions"]).fetchall()
        timing = cursor.execute(SQL["timing_lines"]).fetchall()
        members = cursor.execute(SQL["members"]).fetchall()
        proofs = cursor.execute(SQL["proofs"]).fetchall()
    complaints: list[str] = []
    key = _read(world / "answer_key.csv")
    found = _mark_faults(key, exceptions, complaints)
    matches = _read(world / "answer_matches.csv")
    expected, right = _mark_matches(matches, members, complaints)
    timing_key = {
        _timing_key(row, row["native_id"])
        for row in _read(world / "answer_timing.csv")
        if row["leg"] == "ledger"
    }
    timing_found = {_timing_key(row, row["line_key"]) for row in timing}
    complaints += [
        f"timing difference not open: {' '.join(item)}" for item in sorted(timing_key - timing_found)
    ]
    complaints += [
        f"open as timing, but should not be: {' '.join(item)}" for item in sorted(timing_found - timing_key)
    ]
    tied = [row for row in proofs if row["unexplained_minor"] == 0]
    complaints += [
        f"{row['source']} {row['account']} {row['business_date']}: {row['unexplained_minor']} minor units "
        "unexplained, and no exception says so"
        for row in proofs
        if row["unexplained_minor"] != 0 and not row["explained"]
    ]
    if not proofs or max(row["business_date"] for row in proofs) != last_day:
        complaints.append(f"expected proofs up to {last_day}, found none for that day")
    return Marks(
        faults_planted=len(key),
        faults_found=found,
        matches_expected=expected,
        matches_right=right,
        timing_expected=len(timing_key),
        timing_right=len(timing_key & timing_found),
        proofs=len(proofs),
        proofs_tied=len(tied),
        complaints=tuple(complaints),
    )


def _mark_faults(key: Sequence[Row], exceptions: Sequence[Row], complaints: list[str]) -> int:
    """How many planted faults are there; complaints for those that are not and for what nobody planted."""
    left = {row["exception_id"]: row for row in exceptions}
    found = 0
    for planted in key:
        fitting = next((number for number, row in left.items() if _is(planted, row)), None)
        if fitting is None:
            complaints.append(f"not found: {_planted_in_words(planted)}")
        else:
            found += 1
            del left[fitting]
    complaints += [
        f"not planted: exception {number} {row['source']} {row['class']} {row['kind']} {row['line_key'] or ''} "
        f"{row['entry_key'] or ''} {row['amount_minor']} {row['asset'] or ''}"
        for number, row in sorted(left.items())
        if row["status"] != "cleared" and row["class"] != "timing"
    ]
    return found


def _is(planted: Row, row: Row) -> bool:
    same = all(
        planted[name] == ("" if row[name] is None else str(row[name]))
        for name in ("source", "class", "kind", "side")
    )
    if not same or (planted["cleared_on"] or "") != (str(row["cleared_on"]) if row["cleared_on"] else ""):
        return False
    if row["class"] == "source_gap":
        about_account = planted["account"] in ("", row["account"] or "")
        return bool(about_account and planted["business_date"] in ("", str(row["item_date"])))
    if planted["kind"] == "balance_break":
        same_rest = planted["difference_minor"] == str(row["difference_minor"])
        return bool(planted["account"] == row["account"] and same_rest)
    return bool(
        planted["native_id"] == (row["line_key"] or "")
        and planted["entry_key"] == (row["entry_key"] or "")
        and planted["line_no"] == ("" if row["line_no"] is None else str(row["line_no"]))
        and planted["asset"] == row["asset"]
        and planted["amount_minor"] == str(row["amount_minor"])
        and planted["difference_minor"] == str(row["difference_minor"])
    )


def _mark_matches(answers: Sequence[Row], members: Sequence[Row], complaints: list[str]) -> tuple[int, int]:
    """True pairings expected and made. Interchangeable twins share a label, so either pairing of them is right."""
    label_of: dict[tuple[str, ...], str] = {}
    wanted: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for row in answers:
        label = row["twin_group"] or row["native_id"]
        external = (row["leg"], row["source"], row["native_id"])
        other = (
            (row["leg"], row["other_source"], row["other_native_id"])
            if row["other_native_id"]
            else (row["leg"], "ledger", row["entry_key"], row["line_no"])
        )
        for member in (external, other):
            label_of[member] = label
            wanted[row["leg"], label].add(member)
    groups: dict[int, set[tuple[str, ...]]] = defaultdict(set)
    for row in members:
        member = (
            (row["leg"], row["source"], row["line_key"])
            if row["side"] == "external"
            else (row["leg"], "ledger", row["entry_key"], str(row["line_no"]))
        )
        groups[row["group_id"]].add(member)
    made: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for number, taken in sorted(groups.items()):
        labels = {label_of.get(member) for member in taken}
        if len(labels) != 1 or None in labels:
            complaints.append(
                f"wrong match: group {number} of {', '.join('/'.join(member) for member in sorted(taken))}"
            )
            continue
        made[next(iter(taken))[0], str(labels.pop())].update(taken)
    missing = [key for key, pairing in wanted.items() if made.get(key) != pairing]
    complaints += [f"match not made: {leg} {label}" for leg, label in missing]
    return len(wanted), len(wanted) - len(missing)


def _timing_key(row: Row, line_key: str | None) -> tuple[str, ...]:
    return (
        row["source"],
        row["side"],
        line_key or "",
        row["entry_key"] or "",
        "" if row["line_no"] in (None, "") else str(row["line_no"]),
        str(row["amount_minor"]),
        row["asset"],
    )


def _planted_in_words(planted: Row) -> str:
    told = (
        planted[name]
        for name in ("source", "class", "kind", "native_id", "entry_key", "account", "business_date")
    )
    cleared = f", cleared on {planted['cleared_on']}" if planted["cleared_on"] else ""
    about = " ".join(word for word in told if word)
    return f"{planted['fault']}: {about} {planted['amount_minor']} {planted['asset']}{cleared}"


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))
