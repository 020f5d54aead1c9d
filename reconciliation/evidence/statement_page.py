"""The statement of a day as HTML, for the screen and for paper. Pure.

Laws: every text is escaped; no script and no style attribute, so that the parts may stand in a page with a strict
content policy; what does not hold is said in words and not by colour alone; where fewer items are shown than there are,
the page says how many it leaves out and where they are.

The parts name classes and are styled by whoever shows them; the page alone brings its own style.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.evidence.statement import DayStatement
from reconciliation.evidence.statement_parts import BUCKETS, GENUINE, SIDES, TIMING, UNJUDGED
from reconciliation.evidence.statement_tables import Table, tables_of, title_of

_BUCKET_WORDS: Final[Mapping[tuple[str, str], str]] = {
    ("external", TIMING): "At the source, not yet in our ledger: timing",
    ("external", GENUINE): "At the source, not in our ledger: genuine",
    ("external", UNJUDGED): "At the source, judged by no run yet",
    ("ledger", TIMING): "In our ledger, not yet at the source: timing",
    ("ledger", GENUINE): "In our ledger, not at the source: genuine",
    ("ledger", UNJUDGED): "In our ledger, judged by no run yet",
}
_HIDDEN: Final = frozenset(
    {"account", "asset", "side", "bucket", "class", "exception_key", "number", "value_date", "assignee"}
)
_SAID_ANYWAY: Final = {"identities": frozenset({"account", "name", "unit"})}
_NUMBERS: Final = frozenset({"expected", "found", "groups", "external_lines", "ledger_lines", "version", "length"})
_AFTERWARDS: Final = (
    "files", "exceptions", "identities", "decisions", "proposals", "deeds", "deliveries", "alerts", "runs", "chains"
)  # fmt: skip
_DIGESTS: Final = frozenset({"file_sha256", "rules_digest", "head", "exception_key", "line_key"})
_AMOUNT, _TOTAL, _FAILS, _DIGEST = (f" class='{name}'" for name in ("amount", "total", "fails", "digest"))
_STYLE: Final = """
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2rem 0 .5rem;border-top:2px solid #1b1f24;padding-top:.6rem}
h3{font-size:1rem;margin:1.2rem 0 .3rem}table{border-collapse:collapse;width:100%;margin:.3rem 0 1rem}
th,td{padding:.2rem .5rem;text-align:left;vertical-align:top;border-bottom:1px solid #d0d7de;overflow-wrap:break-word}
.digest{overflow-wrap:anywhere;font-size:.85em;min-width:12em}
th{font-weight:600}.amount{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.total td{font-weight:600;border-top:1px solid #1b1f24}.verdict{font-weight:600}.fails{color:#a40e26;font-weight:600}
.signatures td{height:3rem;width:50%}
@media print{body{margin:0;max-width:none;font-size:10pt}table{page-break-inside:auto}tr{page-break-inside:avoid}
thead{display:table-header-group}h2,h3{page-break-after:avoid}@page{margin:15mm}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlPart:
    """One section of the statement. ``html`` is markup whose texts are escaped."""

    name: str
    title: str
    html: str


def statement_html(statement: DayStatement) -> str:
    """The whole statement as one page that needs nothing else."""
    title = escape(f"Reconciliation statement: {statement.source_id}, {statement.day}")
    parts = "".join(
        f"<section><h2>{escape(part.title)}</h2>{part.html}</section>" for part in statement_html_parts(statement)
    )
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>{parts}</body></html>"
    )


def statement_html_parts(statement: DayStatement, *, items_max: int | None = None) -> tuple[HtmlPart, ...]:
    """The sections of the statement; of each list of open items at most ``items_max``, all where none is given."""
    tables = tables_of(statement)
    parts = [HtmlPart(name="verdict", title="Verdict", html=_verdict(statement))]
    parts += [_account(account, tables, items_max) for account in statement.accounts]
    told = [tables[name] for name in _AFTERWARDS if tables[name].rows]
    parts += [
        HtmlPart(
            name=table.name,
            title=table.title,
            html=_table(table, hidden=_SAID_ANYWAY.get(table.name, frozenset())),
        )
        for table in told
    ]
    parts.append(HtmlPart(name="statement", title="What this is made of", html=_facts(tables["statement"])))
    return tuple(parts)


def _verdict(statement: DayStatement) -> str:
    obstacles = statement.obstacles
    state = "tied out" if statement.tied_out else "NOT tied out"
    told = f"<p class='verdict'>{escape(statement.source_id)}, {statement.day}: {state}.</p>"
    if not obstacles:
        return f"{told}<p>Every check holds, and every file that is owed is there.</p>"
    listed = "".join(f"<li>{escape(said)}</li>" for said in obstacles)
    return f"{told}<p class='fails'>These books cannot be signed:</p><ul class='obstacles'>{listed}</ul>"


def _account(account: Mapping[str, Any], tables: Mapping[str, Table], items_max: int | None) -> HtmlPart:
    name, asset = account["account"], account["asset"]
    title = f"{name} ({asset})" + (f", {account['external_account']}" if account["external_account"] else "")
    html = "".join(_account_html(name, account, tables, items_max))
    return HtmlPart(name=f"account {name}", title=title, html=html)


def _account_html(
    name: str, account: Mapping[str, Any], tables: Mapping[str, Table], items_max: int | None
) -> Iterator[str]:
    yield _balances(account)
    if account["bridge"] is None:
        yield "<p class='fails'>The day was not proved.</p>"
    else:
        yield _bridge(account["asset"], tables["bridge"].of_account(name))
    for side in SIDES:
        for bucket in BUCKETS:
            yield _items(tables["open_items"].of_account(name, side=side, bucket=bucket), side, bucket, items_max)
    for part in ("excluded", "passes"):
        table = tables[part].of_account(name)
        if table.rows:
            yield f"<h3>{escape(table.title)}</h3>{_table(table, hidden=frozenset({'account', 'asset', 'number'}))}"


def _balances(account: Mapping[str, Any]) -> str:
    names = ("opening", "movement", "closing")
    head = "<th>Balance</th>" + "".join(f"<th class='amount'>{name}</th>" for name in names)
    asset = account["asset"]
    rows = (
        ("Source" + (f" ({account['basis']})" if account["basis"] else ""), ""),
        ("Our ledger", "ledger_"),
    )
    body = "".join(
        f"<tr><td>{escape(words)}</td>"
        + "".join(_amount(account[f"{of}{name}_minor"], asset) for name in names)
        + "</tr>"
        for words, of in rows
    )
    counts = account["counts"]
    told = (
        f"<p>{counts['lines']:,} lines in play = {counts['matched']:,} matched + {counts['timing']:,} timing"
        f" + {counts['genuine']:,} genuine + {counts['excluded']:,} left out.</p>"
        if counts
        else ""
    )
    return f"<table class='balances'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{told}"


def _bridge(asset: str, table: Table) -> str:
    last = len(table.rows) - 1
    rows = "".join(
        f"<tr{_TOTAL if place == last else ''}><td>{escape(row['part'])}</td>"
        f"{_amount(row['amount_minor'], asset)}</tr>"
        for place, row in enumerate(table.rows)
    )
    return f"<h3>Bridge</h3><table class='bridge'><tbody>{rows}</tbody></table>"


def _items(table: Table, side: str, bucket: str, items_max: int | None) -> str:
    if not table.rows:
        return ""
    asset = table.rows[0]["asset"]
    total = sum(row["amount_minor"] for row in table.rows)
    shown = table.rows if items_max is None else table.rows[:items_max]
    left = len(table.rows) - len(shown)
    more = f"<p>{left:,} more are in the CSV, the workbook and the JSON of this statement.</p>" if left else ""
    columns = tuple(name for name in table.columns if any(row[name] is not None for row in shown))
    kept = Table(name=table.name, title=table.title, columns=columns, rows=shown)
    words = f"{_BUCKET_WORDS[side, bucket]}: {len(table.rows):,}, {_money(total, asset)} {asset}"
    return f"<h3>{escape(words)}</h3>{_table(kept, hidden=_HIDDEN)}{more}"


def _facts(table: Table) -> str:
    rows = "".join(
        f"<tr><th>{escape(row['name'])}</th><td>{escape(_cell(row['value']))}</td></tr>" for row in table.rows
    )
    return f"<table class='facts'><tbody>{rows}</tbody></table>"


def _table(table: Table, *, hidden: frozenset[str]) -> str:
    columns = [name for name in table.columns if name not in hidden]
    head = "".join(
        f"<th{_AMOUNT if _is_number(name) else ''}>{escape(title_of(name))}</th>" for name in columns
    )
    body = "".join(f"<tr>{''.join(_of(row, name) for name in columns)}</tr>" for row in table.rows)
    return f"<table class='{escape(table.name)}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _of(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if name.endswith("_minor") and value is not None and row.get("asset"):
        return _amount(value, row["asset"])
    if name in ("expected", "found") and row["asset"]:
        return _amount(value, row["asset"])
    styled = _DIGEST if name in _DIGESTS else _AMOUNT if _is_number(name) else ""
    styled = _FAILS if value == "does not hold" else styled
    return f"<td{styled}>{escape(_cell(value))}</td>"


def _is_number(name: str) -> bool:
    return name.endswith(("_minor", "_count")) or name in _NUMBERS


def _amount(amount_minor: int | None, asset: str) -> str:
    return f"<td class='amount'>{'' if amount_minor is None else _money(amount_minor, asset)}</td>"


def _money(amount_minor: int, asset: str) -> str:
    return format_minor(amount_minor, exponent_of(asset))


def _cell(value: object) -> str:
    return "" if value is None else str(value)
