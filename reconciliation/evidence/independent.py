"""Checks files that left tieout: counts, totals and digests, computed again from the file alone. Travels in every pack.

Law: it needs Python and nothing else (openpyxl for workbooks), and shares no line with what wrote the files, so that it
proves them and not itself. It says what is wrong in sentences and changes nothing.

    python3 check.py pack.zip exceptions.csv lines.csv lines.csv.footer.json report.xlsx report.json
"""

import csv
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

# A text behind blanks and quotes that begins with one of these got an apostrophe in front.
FORMULA_STARTS: Final = set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b")
BLANKS: Final = (
    " \x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f"
)
QUOTES: Final = (
    "'\"\u0060\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\uff07\uff02"
)
FOOTER: Final = "# footer: "
SIDECAR: Final = ".footer.json"
MANIFEST: Final = "manifest.json"
EVENTS: Final = "exceptions/events.csv"
LINKED: Final = (
    "event_id",
    "exception_id",
    "event",
    "actor",
    "as_of",
    "before",
    "after",
    "reason",
    "note",
    "at",
)
LARGE: Final = 1 << 20


def plain(cell: str) -> str:
    """A cell without the apostrophe that keeps it from being run."""
    rest = cell[1:]
    return rest if cell[:1] == "'" and rest.lstrip(BLANKS + QUOTES)[:1] in FORMULA_STARTS else cell


def proof_of(header: list[str], rows: Iterable[list[str]]) -> dict[str, Any]:
    """Row count, control totals and digest, under the names of the footer."""
    amounts = [place for place, name in enumerate(header) if name.endswith("_minor")]
    asset = header.index("asset") if "asset" in header else None
    count, digest = 0, hashlib.sha256()
    totals: dict[str, int] = {}
    for row in rows:
        count += 1
        for place in amounts:
            name = f"control_total {header[place]} {'' if asset is None else row[asset]}".rstrip()
            totals[name] = totals.get(name, 0) + int(row[place] or 0)
        digest.update(("".join(f"{len(cell)}:{cell}," for cell in row) + "\n").encode())
    return {"rows": count, **totals, "sha256": digest.hexdigest()}


def problems_of(footer: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Where footer and file differ."""
    told = {
        name: value
        for name, value in footer.items()
        if name in ("rows", "sha256") or name.startswith("control_total ")
    }
    return [
        f"{name}: the footer says {told.get(name)}, the rows say {found.get(name)}"
        for name in sorted({*told, *found})
        if told.get(name) != found.get(name)
    ]


def check_csv(text: str, footer: dict[str, Any] | None = None) -> list[str]:
    """Problems of a CSV with its footer at the end, or beside it."""
    body = text
    if footer is None:
        body, mark, last = text.rpartition(FOOTER)
        if not mark or not (body.endswith("\n") or not body):
            return ["expected a footer at the end, found none"]
        lines = (FOOTER + last).removesuffix("\n").split("\n")
        parted = [line.removeprefix("# ").partition(": ") for line in lines]
        footer = {json.loads(f'"{name}"'): json.loads(value) for name, _, value in parted}
    before = csv.field_size_limit(1 << 30)
    try:
        rows = csv.reader(io.StringIO(body, newline=""))
        header = next(rows)
        return problems_of(footer, proof_of(header, ([plain(cell) for cell in row] for row in rows)))
    finally:
        csv.field_size_limit(before)  # it is everybody's


def check_json(text: str) -> list[str]:
    """Problems of a JSON file with columns, rows and footer."""
    told = json.loads(text)
    header = [column["name"] for column in told["columns"]]
    rows = ([_json_text(row[name]) for name in header] for row in told["rows"])
    return problems_of(told["footer"], proof_of(header, rows))


def check_xlsx(path: Any) -> list[str]:
    """Problems of a workbook with the sheets rows and footer."""
    import openpyxl  # noqa: PLC0415 - whoever checks no workbook needs no openpyxl

    book = openpyxl.load_workbook(path, read_only=True)
    footer = {
        plain(_sheet_text(name)): plain(_sheet_text(value)) for name, value in book["footer"].iter_rows()
    }
    lines = book["rows"].iter_rows()
    header = [_sheet_text(cell) for cell in next(lines)]
    width = len(header)
    rows = (([plain(_sheet_text(cell)) for cell in line] + [""] * width)[:width] for line in lines)
    found = proof_of(header, rows)
    return problems_of(footer, {name: str(value) for name, value in found.items()})


def check_pack(path: Any) -> list[str]:
    """Problems of a pack: files that are missing, changed or added, and exports in it that do not prove."""
    problems = []
    with zipfile.ZipFile(path) as pack:
        names = pack.namelist()
        if MANIFEST not in names:
            return [f"expected {MANIFEST} in it, found none"]
        manifest = json.loads(pack.read(MANIFEST))
        listed = {file["path"]: file for file in manifest["files"]}
        inputs = json.dumps(manifest["inputs"], ensure_ascii=False, sort_keys=True, indent=1) + "\n"
        if hashlib.sha256(inputs.encode()).hexdigest() != manifest["inputs_sha256"]:
            problems.append(f"{MANIFEST}: its inputs are not those of its digest")
        problems += [
            f"{name}: in the pack twice" for name in sorted({n for n in names if names.count(n) > 1})
        ]
        problems += [
            f"{name}: in the manifest, not in the pack" for name in sorted(listed.keys() - set(names))
        ]
        unlisted = sorted(set(names) - listed.keys() - {MANIFEST})
        problems += [f"{name}: in the pack, not in the manifest" for name in unlisted]
        for name in sorted(listed.keys() & set(names)):
            size, sha256 = _measured(pack, name)
            if (size, sha256) != (listed[name]["bytes"], listed[name]["sha256"]):
                problems.append(f"{name}: changed since the manifest was written")
            elif name.endswith(".csv"):
                text = pack.read(name).decode()
                problems += [f"{name}: {told}" for told in check_csv(text)]
                if name == EVENTS:
                    problems += [f"{name}: {told}" for told in check_events(text)]
    return problems


def check_events(text: str) -> list[str]:
    """Events that are not what the chain linked: each link is made of the one before it and of the event's fields."""
    problems = []
    for row in csv.DictReader(io.StringIO(text.rpartition(FOOTER)[0], newline="")):
        fields = ["1", *(plain(row[name]) for name in LINKED)]
        linked = ",".join(f"{len(told.encode())}:{told}" if told else "-" for told in fields)
        before = bytes.fromhex(row["hash_before"])
        found = hashlib.sha256(before + hashlib.sha256(linked.encode()).digest()).hexdigest()
        if found != row["hash"]:
            problems.append(
                f"event {row['event_id']} of exception {row['exception_id']} is not what the chain linked"
            )
    return problems


def check_file(path: Path) -> list[str]:
    """Problems of one file, by the end of its name."""
    if path.suffix == ".zip":
        return check_pack(path)
    if path.suffix == ".xlsx":
        return check_xlsx(path)
    if path.suffix == ".json":
        return check_json(path.read_text(encoding="utf-8"))
    beside = path.with_name(path.name + SIDECAR)
    footer = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else None
    return check_csv(path.read_bytes().decode(), footer)


def main(names: list[str]) -> int:
    """Check each file; 1 when one of them is wrong."""
    wrong = False
    for name in names:
        if name.endswith(SIDECAR):
            continue
        problems = check_file(Path(name))
        wrong = wrong or bool(problems)
        sys.stdout.write(f"{name}: {'; '.join(problems) or 'good'}\n")
    return int(wrong)


def _measured(pack: zipfile.ZipFile, name: str) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    with pack.open(name) as file:
        while chunk := file.read(LARGE):
            size += len(chunk)
            digest.update(chunk)
    return size, digest.hexdigest()


def _json_text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sheet_text(cell: Any) -> str:
    """What a cell of a workbook says: numbers with the decimals of their format, dates by themselves."""
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "d":
        return str(value)[:10]
    if cell.data_type == "n":
        decimals = str(cell.number_format).partition(".")[2].count("0")
        return f"{value:.{decimals}f}"
    return str(value).replace("_x005F_", "_")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
