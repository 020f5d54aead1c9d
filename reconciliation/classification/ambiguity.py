"""Drafts of the cases that matching could not decide: one exception over the lines that compete.

Cases that share an open item are one case, for an item belongs to one exception. A case of which one side is no longer
open is decided and falls away; what is left of it is judged like any other item.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reconciliation.classification.drafts import DRAFT_SCHEMA, Draft, draft_table
from reconciliation.classification.mismatches import Items, external_columns, member_rows
from reconciliation.classification.pairs import integers
from reconciliation.classification.references import Flags
from reconciliation.classification.shapes import AmbiguousCase

_Node = tuple[str, int]  # side and row


def ambiguous_draft(items: Items, cases: Sequence[AmbiguousCase]) -> tuple[Draft, Flags, Flags]:
    """The draft, and which external and ledger rows are still free after it."""
    groups = _groups(items, cases) if cases else []
    free_external = np.ones(items.external.num_rows, dtype=bool)
    free_ledger = np.ones(items.ledger.num_rows, dtype=bool)
    for lines, entries, _ in groups:
        free_external[lines] = False
        free_ledger[entries] = False
    return _draft(items, groups), free_external, free_ledger


def _draft(items: Items, groups: list[tuple[list[int], list[int], str]]) -> Draft:
    """One exception per group, named by its first line; the difference is over all in that line's asset."""
    firsts = np.array([lines[0] for lines, _, _ in groups], dtype=np.int64)
    rows = items.external.take(firsts)
    external_asset, ledger_asset = items.external["asset"].to_numpy(), items.ledger["asset"].to_numpy()
    external_amount, ledger_amount = (
        integers(items.external["amount_minor"]),
        integers(items.ledger["amount_minor"]),
    )
    differences = []
    for lines, entries, _ in groups:
        asset = external_asset[lines[0]]
        theirs = sum(int(external_amount[line]) for line in lines if external_asset[line] == asset)
        ours = sum(int(ledger_amount[entry]) for entry in entries if ledger_asset[entry] == asset)
        differences.append(theirs - ours)
    columns = external_columns(rows, items) | {
        "class": "review",
        "kind": "ambiguous",
        "difference_minor": differences,
        "why": [reason for _, _, reason in groups],
    }
    external = [(number, line) for number, (lines, _, _) in enumerate(groups) for line in lines]
    ledger = [(number, entry) for number, (_, entries, _) in enumerate(groups) for entry in entries]
    external_rows, ledger_rows = (
        np.array(pairs, dtype=np.int64).reshape(-1, 2).T for pairs in (external, ledger)
    )
    exceptions = draft_table(columns, len(groups)) if groups else DRAFT_SCHEMA.empty_table()
    members = member_rows(
        items,
        external=(external_rows[0], external_rows[1]),
        ledger=(ledger_rows[0], ledger_rows[1]),
    )
    return Draft(exceptions=exceptions, members=members)


def _groups(items: Items, cases: Sequence[AmbiguousCase]) -> list[tuple[list[int], list[int], str]]:
    """Connected open rows (external rows by date and key, ledger rows) with the reasons of their cases."""
    line_rows = {line_id: row for row, line_id in enumerate(items.external["line_id"].to_pylist())}
    ids = zip(items.ledger["entry_id"].to_pylist(), items.ledger["line_no"].to_pylist(), strict=True)
    ledger_rows = {ledger_line: row for row, ledger_line in enumerate(ids)}
    parents: dict[_Node, _Node] = {}
    open_cases: list[tuple[_Node, str]] = []
    for case in cases:
        lines: list[_Node] = [("external", line_rows[line]) for line in case.line_ids if line in line_rows]
        entries: list[_Node] = [
            ("ledger", ledger_rows[key]) for key in case.ledger_lines if key in ledger_rows
        ]
        if lines and entries:
            for node in (*lines, *entries):
                parents[_root(parents, node)] = _root(parents, lines[0])
            open_cases.append((lines[0], case.reason))
    dates, keys = items.external["business_date"].to_pylist(), items.external["line_key"].to_pylist()
    groups: dict[_Node, tuple[list[int], list[int], set[str]]] = {}
    for node in sorted(parents):
        lines_of, entries_of, _ = groups.setdefault(_root(parents, node), ([], [], set()))
        (lines_of if node[0] == "external" else entries_of).append(node[1])
    for node, reason in open_cases:
        groups[_root(parents, node)][2].add(reason)
    return [
        (sorted(lines_of, key=lambda row: (dates[row], keys[row])), entries_of, "; ".join(sorted(reasons)))
        for lines_of, entries_of, reasons in groups.values()
    ]


def _root(parents: dict[_Node, _Node], node: _Node) -> _Node:
    parents.setdefault(node, node)
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node
