"""Visa settlement service (VSS) reports inside BASE II: TC 46, report group V; what the scheme pays or takes, proved.

    VSS-110  I interchange value   acquirer +1,000.00  issuer -200.00  total +800.00
             F reimbursement fees  -12.00    C Visa charges  -3.00     T total  +785.00

gives a fee line of -12.00, one of -3.00, and a settlement line of -785.00 that the bank will answer.

Law: a summary row is never added to its parts. Per entity, service and currency: net = credits - debits in every row,
business modes 1 to 3 sum to 9, and I + F + C = T. Where VSS-120, 130 or 140 are there too, the rows of one of their
levels must sum to what VSS-110 says (I, F, C): which level is the detail the file does not say, so each is added up by
itself. Reports of an entity that rolls up to another reported one are parts of it, and make no line. CR raises our
balance. Other reports (VSS-111, 115, 210, ...) are counted only.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from reconciliation.errors import RefusedFile
from reconciliation.formats.currency_numbers import ASSETS_BY_NUMBER
from reconciliation.formats.values import difference_in_words
from reconciliation.formats.visa_parts.dates import day_of_century
from reconciliation.formats.visa_parts.positions import Layout
from reconciliation.formats.visa_parts.records import refused

AMOUNT_TYPES: Final = {"I": "interchange value", "F": "reimbursement fees", "C": "Visa charges", "T": "total"}
_DETAILS: Final = {"120": "I", "130": "F", "140": "C"}
_MODES: Final = ("1", "2", "3")
_TOTAL_MODE: Final = "9"
_GROUPS_MAX: Final = 10_000
_FLAGS_MAX: Final = 20
_SIDES: Final = {"CR": 1, "DB": -1, "C": 1, "D": -1}


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of VSS-110: number of items, credits, debits, and their net."""

    count: int
    credit_minor: int
    debit_minor: int
    net_minor: int


_Key = tuple[str, str, str, str, str, date]
"""Entity that transfers the funds, reporting entity, entity it rolls up to, service, asset, settlement date."""


@dataclass(slots=True)
class _Group:
    """What one entity's reports of a day say about one service and currency."""

    record_no: int
    from_date: date
    funds_date: date | None = None
    rows: dict[tuple[str, str], _Row] = field(default_factory=dict)  # by amount type and business mode
    details: dict[tuple[str, str, bool], list[int]] = field(
        default_factory=dict
    )  # report, level, net rows: sum, rows
    flags: list[str] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)

    def net(self, amount_type: str) -> int | None:
        """Net of an amount type: its total row, else the sum of its parts; None if there is neither."""
        total = self.rows.get((amount_type, _TOTAL_MODE))
        if total is not None:
            return total.net_minor
        parts = [row.net_minor for (kind, _), row in self.rows.items() if kind == amount_type]
        return sum(parts) if parts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledGroup:
    """A statement to be: its lines as (amount type, minor units), the settlement last."""

    reference: str
    account: str
    asset: str
    settlement_date: date
    from_date: date
    funds_date: date | None
    record_no: int
    lines: tuple[tuple[str, int], ...]
    proofs: tuple[str, ...]
    flags: tuple[str, ...]


class Settlement:
    """Takes the TC 46 records of a file; ``settled`` proves them and gives what is settled."""

    def __init__(self, layout: Layout, demand: Callable[[RefusedFile], str]) -> None:
        self._demand = demand
        self._at = {key[1:]: layout.at(*key) for key in layout.positions if key[0] == "vss"}
        self._at_2 = {key[2]: layout.at(*key) for key in layout.positions if key[0] == "vss2"}
        self._at_4 = {key[1:]: layout.at(*key) for key in layout.positions if key[0] == "vss4"}
        self._groups: dict[_Key, _Group] = {}
        self._references: set[str] = set()
        self.others: Counter[str] = Counter()

    def take(self, record_no: int, components: dict[str, str]) -> None:
        """One TC 46 with its components."""
        record = components["0"]
        at = self._at
        if record[at["0", "report_group"]] != "V":
            self.others["of another report group"] += 1
            return
        report, subgroup = record[at["0", "report_number"]], record[at["0", "report_subgroup"]]
        if report == "110" and subgroup == "2":
            if record[self._at_2["no_data"]] != "Y":
                self._take_summary(record_no, record)
        elif report in _DETAILS and subgroup == "4":
            if record[self._at_4["0", "no_data"]] != "Y":
                self._take_detail(record_no, record, components.get("1"), report)
        else:
            self.others[f"VSS-{report.strip()}"] += 1

    def settled(self) -> Iterator[SettledGroup]:
        """Prove the reports of a file that has ended, and give those that are no part of another."""
        reporting = {(key[0], key[1], *key[3:]) for key, group in self._groups.items() if group.rows}
        parts = 0
        for key, group in self._groups.items():
            self._prove(key, group)
            funds, entity, rollup, service, asset, day = key
            if (
                rollup not in (entity, "")
                and entity != funds
                and (funds, rollup, service, asset, day) in reporting
            ):
                parts += 1
            elif group.rows:
                yield self._settled(key, group)
            else:
                self.others["details without VSS-110"] += 1
        if parts:
            self.others["of entities that roll up to another one"] += parts
        self._groups.clear()

    def _settled(self, key: _Key, group: _Group) -> SettledGroup:
        funds, entity, _, service, asset, day = key
        reference = f"VSS/{funds}/{service}/{asset}/{day.isoformat()}" + (
            "" if entity == funds else f"/{entity}"
        )
        if reference in self._references:
            raise refused(
                "conflict",
                f"record {group.record_no} (VSS-110)",
                "one report of each day",
                f"{reference} again",
            )
        self._references.add(reference)
        fees = [(kind, net) for kind in ("F", "C") if (net := group.net(kind))]
        total = group.net("T")
        if total is None:
            total = sum(group.net(kind) or 0 for kind in ("I", "F", "C"))
        return SettledGroup(
            reference=reference,
            account=funds or entity,
            asset=asset,
            settlement_date=day,
            from_date=group.from_date,
            funds_date=group.funds_date,
            record_no=group.record_no,
            lines=(*fees, *([("T", -total)] if total else ())),
            proofs=tuple(group.proofs),
            flags=tuple(group.flags[:_FLAGS_MAX]),
        )

    def _take_summary(self, record_no: int, record: str) -> None:
        at, place = self._at_2, f"record {record_no} (VSS-110)"
        group = self._group(record_no, record, place)
        kind, mode = record[at["amount_type"]], record[at["business_mode"]].strip() or _TOTAL_MODE
        if kind not in AMOUNT_TYPES or mode not in (*_MODES, _TOTAL_MODE):
            raise refused(
                "structure",
                f"{place}, amount type and business mode",
                f"{', '.join(AMOUNT_TYPES)} and {', '.join(_MODES)} or {_TOTAL_MODE}",
                f"{kind!r} and {mode!r}",
            )
        if (kind, mode) in group.rows:
            raise refused("conflict", place, f"one row of type {kind} and mode {mode}", "a second one")
        credit_minor = _count(record[at["credit_amount"]], f"{place}, credits")
        debit_minor = _count(record[at["debit_amount"]], f"{place}, debits")
        net_minor = _count(record[at["net_amount"]], f"{place}, net")
        net_minor *= _side(record[at["net_side"]], net_minor, f"{place}, sign of the net")
        if net_minor != credit_minor - debit_minor:
            self._flag(group, f"{place}, net", credit_minor - debit_minor, net_minor)
        count = _count(record[at["count"]], f"{place}, count")
        group.rows[kind, mode] = _Row(count, credit_minor, debit_minor, net_minor)
        funds = record[at["funds_transfer_date"]]
        if group.funds_date is None and funds.strip(" 0"):
            group.funds_date = _day(funds, f"{place}, funds transfer date")

    def _take_detail(self, record_no: int, record: str, amounts: str | None, report: str) -> None:
        at, place = self._at_4, f"record {record_no} (VSS-{report})"
        if amounts is None:
            raise refused("structure", place, "a component 1 with the amounts", "none")
        group = self._group(record_no, record, place)
        credit_minor = _count(amounts[at["1", "credit_amount"]], f"{place}, credits")
        debit_minor = _count(amounts[at["1", "debit_amount"]], f"{place}, debits")
        credit_minor *= _side(
            amounts[at["1", "credit_side"]], credit_minor, f"{place}, side of credits", blank=1
        )
        debit_minor *= _side(
            amounts[at["1", "debit_side"]], debit_minor, f"{place}, side of debits", blank=-1
        )
        level, is_net = record[at["0", "summary_level"]].strip(), record[at["0", "net_indicator"]] == "N"
        sums = group.details.setdefault((report, level, is_net), [0, 0])
        sums[0] += credit_minor + debit_minor
        sums[1] += 1
        if len(group.details) > _GROUPS_MAX:
            raise refused("limit", place, f"at most {_GROUPS_MAX} levels", "more")

    def _group(self, record_no: int, record: str, place: str) -> _Group:
        at = self._at
        number = record[at["0", "settlement_currency"]]
        if number not in ASSETS_BY_NUMBER:
            raise refused(
                "currency",
                f"{place}, settlement currency",
                "a numeric currency code of ISO 4217",
                repr(number),
            )
        day = _day(record[at["0", "settlement_date"]], f"{place}, settlement date")
        entity = record[at["0", "reporting_entity"]].strip()
        key = (
            record[at["0", "funds_transfer_entity"]].strip(),
            entity,
            record[at["0", "rollup_entity"]].strip(),
            record[at["0", "settlement_service"]].strip(),
            ASSETS_BY_NUMBER[number][0],
            day,
        )
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= _GROUPS_MAX:
                raise refused(
                    "limit", place, f"at most {_GROUPS_MAX} entities, services and currencies", "more"
                )
            text = record[at["0", "from_date"]]
            begun = _day(text, f"{place}, from date") if text.strip(" 0") else day
            group = self._groups[key] = _Group(record_no=record_no, from_date=min(begun, day))
        return group

    def _prove(self, key: _Key, group: _Group) -> None:
        """Parts against totals, and details against the summary."""
        asset, place = key[4], f"VSS-110 of {key[1] or key[0]}, {key[3]} {key[4]} {key[5]}"
        proved = 0
        for kind in AMOUNT_TYPES:
            parts = [group.rows[kind, mode] for mode in _MODES if (kind, mode) in group.rows]
            total = group.rows.get((kind, _TOTAL_MODE))
            if total is None or not parts:
                continue
            proved += 1
            for what in ("count", "credit_minor", "debit_minor", "net_minor"):
                expected, found = sum(getattr(part, what) for part in parts), getattr(total, what)
                if expected != found:
                    self._flag(
                        group,
                        f"{place}, {AMOUNT_TYPES[kind]}, {what.removesuffix('_minor')}",
                        expected,
                        found,
                    )
        for mode in (*_MODES, _TOTAL_MODE):
            parts = [group.rows[kind, mode] for kind in ("I", "F", "C") if (kind, mode) in group.rows]
            total = group.rows.get(("T", mode))
            if total is None or not parts:
                continue
            proved += 1
            expected, found = sum(part.net_minor for part in parts), total.net_minor
            if expected != found:
                self._flag(group, f"{place}, total of mode {mode}", expected, found)
        if group.rows and not group.flags:
            group.proofs.append(
                f"{len(group.rows)} rows of VSS-110: net = credits - debits, {proved} totals of parts"
            )
        for report, kind in _DETAILS.items():
            self._prove_details(group, report, kind, place, asset)

    def _prove_details(self, group: _Group, report: str, kind: str, place: str, asset: str) -> None:
        levels = {key[1:]: sums for key, sums in group.details.items() if key[0] == report}
        expected = group.net(kind)
        if not levels or expected is None:
            return
        agreeing = [(level, sums) for level, sums in levels.items() if sums[0] == expected]
        if agreeing:
            (level, _), (_, rows) = agreeing[0]
            group.proofs.append(
                f"VSS-{report}: {rows} rows of level {level or 'blank'} sum to the {AMOUNT_TYPES[kind]} {expected}"
            )
            return
        nearest = min((sums[0] for sums in levels.values()), key=lambda found: abs(found - expected))
        refusal = refused(
            "control_total",
            f"VSS-{report} against {place}",
            f"a level whose rows sum to the {AMOUNT_TYPES[kind]} {expected}",
            f"at best {nearest}: {difference_in_words(expected, nearest, asset)}",
        )
        group.flags.append(self._demand(refusal))

    def _flag(self, group: _Group, place: str, expected: int, found: int) -> None:
        refusal = refused("control_total", place, f"{expected}, as its parts give", str(found))
        group.flags.append(self._demand(refusal))


def _count(text: str, place: str) -> int:
    text = text.strip(" ")
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()):
        raise refused("amount", place, "digits or blanks", "something else")
    return int(text)


def _side(text: str, amount: int, place: str, *, blank: int | None = None) -> int:
    side = _SIDES.get(text.strip(), 0)
    if side:
        return side
    if not text.strip() and (blank is not None or not amount):
        return blank or 1
    raise refused("amount", place, "CR or DB", repr(text))


def _day(text: str, place: str) -> date:
    day = day_of_century(text)
    if day is None:
        raise refused("date", place, "a date as CCYYDDD", repr(text))
    return day
