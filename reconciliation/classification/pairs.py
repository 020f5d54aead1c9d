"""Open lines of the two sides that name the same thing but do not agree, and in what they differ.

A candidate is an external line and the lines of one journal entry on one account that share a reference with it: the
principal line and its fee lines; a fee that another entry books under the reference goes with the only such entry that
books anything else. It becomes a pair only if it is the only candidate at both ends; otherwise everybody
is treated alone. Example: source +97.00 after a fee of 3.00, ledger +100.00 and -2.90: gross agrees, the fee does not,
so the pair is a ``fee_variance`` of -0.10 with both ledger lines as members.

Law: a chargeback or refund never meets a line of the other sign. Everything is computed on arrays, however many lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reconciliation.classification.calendars import Days
from reconciliation.classification.references import Flags, Rows, true_where
from reconciliation.classification.variances import Minor, scheduled
from reconciliation.sources import FeeSchedule

REVERSAL_KINDS: Final = ("chargeback", "chargeback_reversal", "refund", "reversal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of an item table that pairing looks at, as arrays; ``text`` columns as pandas series."""

    amount: Minor
    account: Any
    asset: Any
    kind: Any
    is_reversal: Flags

    @classmethod
    def of(cls, table: pa.Table) -> Columns:
        """Arrays of EXTERNAL_ITEM_SCHEMA or LEDGER_ITEM_SCHEMA."""
        return cls(
            amount=integers(table["amount_minor"]),
            account=table["account"].to_numpy(),
            asset=table["asset"].to_numpy(),
            kind=table["kind"].to_numpy(),
            is_reversal=true_where(pc.is_in(table["kind"], value_set=pa.array(REVERSAL_KINDS))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs by number: external row, principal ledger row; and every ledger row with the number of its pair."""

    external: Rows
    principal: Rows
    member_pair: Rows
    member: Rows

    def kept(self, flags: Flags) -> Pairs:
        """Only the pairs that are flagged."""
        number = np.cumsum(flags) - 1
        members = flags[self.member_pair]
        return Pairs(
            external=self.external[flags],
            principal=self.principal[flags],
            member_pair=number[self.member_pair[members]],
            member=self.member[members],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """All candidates of one look: the unique and simple ones as ``pairs``, and which rows occur in any."""

    pairs: Pairs
    seen_external: Flags
    seen_ledger: Flags


def candidates(
    edges: tuple[Rows, Rows],
    external: Columns,
    ledger: Columns,
    ledger_table: pa.Table,
    *,
    across_assets: bool,
    same_sign: bool = False,
) -> Candidates:
    """The candidates among rows that share a reference: on one account, or (``across_assets``) of different assets.

    ``same_sign`` admits only lines of the external line's sign, whatever their kinds.
    """
    if not len(edges[0]):
        return _no_candidates(external, ledger)
    frame = _with_fees_apart(_with_principals(edges, ledger, ledger_table), external)
    line, row, principal = (
        frame[name].to_numpy(dtype=np.int64) for name in ("external", "ledger", "principal")
    )
    if across_assets:
        allowed = external.asset[line] != ledger.asset[principal]
    else:
        allowed = external.account[line] == ledger.account[principal]
    signs_agree = np.sign(external.amount[line]) == np.sign(ledger.amount[principal])
    allowed &= signs_agree | ~(external.is_reversal[line] | ledger.is_reversal[principal] | same_sign)
    frame = frame[allowed]
    line, row, principal = line[allowed], row[allowed], principal[allowed]
    part_of_entry = (row == principal) | frame["is_fee"].to_numpy(dtype=bool)
    part_of_entry |= np.sign(ledger.amount[row]) != np.sign(ledger.amount[principal])
    choices = frame.assign(part=part_of_entry)
    simple = choices.groupby("candidate")["part"].transform("all")
    of_line = choices.groupby("external")["candidate"].transform("nunique")
    of_row = choices.groupby("ledger")["candidate"].transform("nunique")
    crowd = np.maximum(of_line, of_row).groupby(choices["candidate"]).transform("max")
    accepted = simple.to_numpy(dtype=bool) & (crowd.to_numpy() == 1)
    return Candidates(
        pairs=_pairs(line[accepted], row[accepted], principal[accepted]),
        seen_external=_flags(line, len(external.amount)),
        seen_ledger=_flags(row, len(ledger.amount)),
    )


def _no_candidates(external: Columns, ledger: Columns) -> Candidates:
    nothing: Rows = np.zeros(0, dtype=np.int64)
    return Candidates(
        pairs=_pairs(nothing, nothing, nothing),
        seen_external=_flags(nothing, len(external.amount)),
        seen_ledger=_flags(nothing, len(ledger.amount)),
    )


def equal_rows(edges: tuple[Rows, Rows], external: Columns, ledger: Columns) -> tuple[Flags, Flags]:
    """Rows that share reference, account and amount with an open row of the other side, though no pass matched them."""
    line, row = edges
    equal = (external.account[line] == ledger.account[row]) & (external.amount[line] == ledger.amount[row])
    return _flags(line[equal], len(external.amount)), _flags(row[equal], len(ledger.amount))


def sums(pairs: Pairs, ledger: Columns) -> Minor:
    """The sum of the ledger lines of each pair."""
    totals: Minor = np.zeros(len(pairs.external), dtype=np.int64)
    np.add.at(totals, pairs.member_pair, ledger.amount[pairs.member])
    return totals


def pair_kinds(
    pairs: Pairs,
    *,
    external_table: pa.Table,
    external: Columns,
    ledger_table: pa.Table,
    ledger: Columns,
    fees: Sequence[FeeSchedule],
) -> npt.NDArray[np.object_]:
    """What is wrong with each pair, by the fixed order of precedence; None where the amounts agree or nothing explains.

    conflicting_version, sign_mismatch, currency_mismatch, fee_variance, fx_variance, amount_mismatch.
    """
    line, row = pairs.external, pairs.principal
    amount, booked, total = external.amount[line], ledger.amount[row], sums(pairs, ledger)
    facts = external_table.take(line)
    other_asset = external.asset[line] != ledger.asset[row]
    differs = other_asset | (amount != total)
    same_sign = np.sign(amount) == np.sign(booked)
    opposite = (amount == -booked) | (amount == -total)
    gross = amount + integers(facts["fee_minor"])
    has_fee = (integers(facts["fee_minor"]) != 0) | (np.bincount(pairs.member_pair, minlength=len(line)) > 1)
    fee_is_it = (gross == booked) & has_fee
    principals = ledger_table.take(row)
    at_net = _booked_at_scheduled_net(facts, principals, gross, total, fees)
    fee_is_it |= at_net & (integers(facts["fee_minor"]) != 0)
    conditions = [
        ~differs,
        integers(facts["version"]) > 1,
        ~other_asset & opposite & ~same_sign,
        other_asset,
        same_sign & fee_is_it,
        same_sign & _same_original(facts, principals),
        same_sign,
    ]
    kinds = ["", "conflicting_version", "sign_mismatch", "currency_mismatch", "fee_variance", "fx_variance"]
    chosen = np.select(conditions, [*kinds, "amount_mismatch"], default="").astype(object)
    chosen[chosen == ""] = None
    return chosen


def integers(column: Any) -> Minor:
    """A column of integers without nulls as an array."""
    values: Minor = column.to_numpy().astype(np.int64)
    return values


def _with_principals(edges: tuple[Rows, Rows], ledger: Columns, ledger_table: pa.Table) -> pd.DataFrame:
    """One row per edge: its candidate's number and principal line, the largest that is not a fee."""
    row = edges[1]
    frame = pd.DataFrame(
        {
            "external": edges[0],
            "ledger": row,
            "entry": integers(ledger_table["entry_id"])[row],
            "account": ledger.account[row],
            "is_fee": ledger.kind[row] == "fee",
            "size": -np.abs(ledger.amount[row]),
            "line_no": integers(ledger_table["line_no"])[row],
        }
    )
    by_candidate = ["external", "entry", "account"]
    frame = frame.sort_values([*by_candidate, "is_fee", "size", "line_no"])
    grouped = frame.groupby(by_candidate, sort=False)
    return frame.assign(candidate=grouped.ngroup(), principal=grouped["ledger"].transform("first"))


def _with_fees_apart(frame: pd.DataFrame, external: Columns) -> pd.DataFrame:
    """Fees that an entry of their own books join the only other entry under the reference; a fee line finds its own."""
    place = ["external", "account"]
    is_apart = frame.groupby("candidate")["is_fee"].transform("all")
    is_apart &= external.kind[frame["external"].to_numpy()] != "fee"
    others = frame[~is_apart].drop_duplicates("candidate").drop_duplicates(place, keep=False)
    joined = frame[place].merge(others[[*place, "candidate", "principal"]], how="left", on=place)
    moves = is_apart.to_numpy(dtype=bool) & joined["candidate"].notna().to_numpy(dtype=bool)
    columns = {
        name: np.where(moves, joined[name].fillna(-1), frame[name]).astype(np.int64)
        for name in ("candidate", "principal")
    }
    return frame.assign(**columns)


def _pairs(line: Rows, row: Rows, principal: Rows) -> Pairs:
    first = row == principal
    externals, principals = line[first], principal[first]
    order = np.argsort(externals)
    return Pairs(
        external=externals[order],
        principal=principals[order],
        member_pair=np.searchsorted(externals[order], line).astype(np.int64),
        member=row,
    )


def _booked_at_scheduled_net(
    facts: pa.Table, booked: pa.Table, gross: Minor, total: Minor, fees: Sequence[FeeSchedule]
) -> Flags:
    """Whether our book holds the net that the schedule in force on the day of the sale gives for the source's gross."""
    days: Days = booked["business_date"].cast(pa.int32()).to_numpy().astype(np.int64)
    return scheduled(facts, days, gross, fees).within_tolerance(fees, gross - total)


def _same_original(facts: pa.Table, booked: pa.Table) -> Flags:
    """Whether both sides name the same original amount (whatever its sign) in the same original asset."""
    same_amount = pc.equal(pc.abs(facts["original_amount_minor"]), pc.abs(booked["fx_amount_minor"]))
    same_asset = pc.equal(facts["original_asset"], booked["fx_asset"])
    return true_where(pc.and_(same_amount, same_asset))


def _flags(rows: Rows, count: int) -> Flags:
    flags: Flags = np.zeros(count, dtype=bool)
    flags[rows] = True
    return flags
