"""Sums and counts over a day's items, by account: what the bridge of each account is made of. Pure.

Law: every open item is in exactly one exception; a sum over anything else stops the fold.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from reconciliation.classification import Classified
from reconciliation.evidence.bridge import StatedBalance
from reconciliation.matching import MatchResult

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

_LEDGER_KEY: Final = ["entry_id", "line_no"]


def buckets(
    open_external: pa.Table, open_ledger: pa.Table, found: Classified
) -> tuple[dict[str, dict[tuple[str, str], int]], dict[str, dict[tuple[str, str], int]]]:
    """Sums and counts of open items by account and (bucket, side). Demands every open item in exactly one exception."""
    members = found.members.join(
        found.exceptions.select(["exception_key", "class"]), keys="exception_key", join_type="inner"
    )
    sums: dict[str, dict[tuple[str, str], int]] = {}
    counts: dict[str, dict[tuple[str, str], int]] = {}
    for side, items, keys in (("external", open_external, ["line_id"]), ("ledger", open_ledger, _LEDGER_KEY)):
        chosen = members.filter(kernel.equal(members["side"], side)).select([*keys, "class"])
        placed = chosen.join(items.select([*keys, "account", "amount_minor"]), keys=keys, join_type="inner")
        if not chosen.num_rows == placed.num_rows == items.num_rows:
            raise ValueError(
                f"{items.num_rows} open {side} lines, {chosen.num_rows} in exceptions, {placed.num_rows} of them open: "
                "classification lost or doubled a line"
            )
        bucket = kernel.if_else(kernel.equal(placed["class"], "timing"), "timing", "genuine")
        totals = placed.append_column("bucket", bucket).group_by(["account", "bucket"])
        for row in totals.aggregate([("amount_minor", "sum"), ("amount_minor", "count")]).to_pylist():
            sums.setdefault(row["account"], {})[row["bucket"], side] = row["amount_minor_sum"]
            counts.setdefault(row["account"], {})[row["bucket"], side] = row["amount_minor_count"]
    return sums, counts


def differences(result: MatchResult, matched_external: pa.Table) -> dict[str, int]:
    """Explained differences of the day's groups by account."""
    groups = result.groups.filter(kernel.not_equal(result.groups["difference_minor"], 0))
    if groups.num_rows == 0:
        return {}
    members = result.members.filter(kernel.equal(result.members["side"], "external"))
    named = (
        members.join(matched_external.select(["line_id", "account"]), keys="line_id", join_type="inner")
        .group_by("group_key")
        .aggregate([("account", "min")])
    )
    placed = groups.select(["group_key", "difference_minor"]).join(named, keys="group_key", join_type="inner")
    totals = placed.group_by("account_min").aggregate([("difference_minor", "sum")])
    return {row["account_min"]: row["difference_minor_sum"] for row in totals.to_pylist()}


def sum_by_account(items: pa.Table) -> dict[str, int]:
    totals = items.group_by("account").aggregate([("amount_minor", "sum")])
    return {row["account"]: row["amount_minor_sum"] for row in totals.to_pylist()}


def added(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {
        account: first.get(account, 0) + second.get(account, 0) for account in first.keys() | second.keys()
    }


def count(items: pa.Table, account: str) -> int:
    count: Any = kernel.sum(kernel.equal(items["account"], account)).as_py()
    return int(count or 0)


def stated(statements: pa.Table, account: str, day: date) -> StatedBalance | None:
    """The latest statement of the account up to the day that states a closing balance."""
    chosen = statements.filter(
        kernel.and_(
            kernel.and_(
                kernel.equal(statements["account"], account), kernel.less_equal(statements["to_date"], day)
            ),
            kernel.is_valid(statements["closing_minor"]),
        )
    )
    if chosen.num_rows == 0:
        return None
    last = chosen.sort_by([("to_date", "ascending"), ("sequence_no", "ascending")]).slice(chosen.num_rows - 1)
    row = last.to_pylist()[0]
    return StatedBalance(
        to_date=row["to_date"], opening_minor=row["opening_minor"], closing_minor=row["closing_minor"]
    )
