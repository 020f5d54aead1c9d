"""A large camt.053 streams: memory follows the lines, not the document."""

import subprocess
import sys
from pathlib import Path

from tests.reconciliation.formats.camt_builder import detail, document, entry, statement

ENTRY_COUNT = 100_000
# Peak memory of a fresh process after the imports, in MB, with one file of many entries and one entry of many details.
MEASURE = """
import resource, sys
from tests.reconciliation.formats.camt_builder import OPTIONS
from reconciliation.formats import camt_053
sums = []
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open(sys.argv[1], "rb") as stream:
    camt_053.read(stream, OPTIONS, lambda batch: sums.append((batch.num_rows, sum(batch["amount_minor"].to_pylist()))))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(sum(count for count, _ in sums), sum(minor for _, minor in sums), grown // 1024)
"""


def measured(path: Path) -> tuple[int, int, int]:
    command = [sys.executable, "-c", MEASURE, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
    line_count, total_minor, grown_mb = map(int, output.split())
    return line_count, total_minor, grown_mb


def test_a_hundred_thousand_entries_are_read_in_little_more_memory_than_their_lines(tmp_path: Path) -> None:
    head, _, tail = document(statement("@", opening="0", closing=f"{ENTRY_COUNT}.00")).partition("@")
    refs = "<EndToEndId>E2E-{0:08d}</EndToEndId>"
    pattern = entry("1.00", ref="BANK{0:08d}", details=f"<NtryDtls>{detail('1.00', refs=refs)}</NtryDtls>")
    path = tmp_path / "large.xml"
    with path.open("w") as stream:
        stream.write(head)
        stream.writelines(pattern.format(number) for number in range(ENTRY_COUNT))
        stream.write(tail)
    line_count, total_minor, grown_mb = measured(path)
    assert (line_count, total_minor) == (ENTRY_COUNT, ENTRY_COUNT * 100)
    assert grown_mb < 150, "the tree of the document would take over 600 MB"


def test_one_entry_with_many_details_is_read_in_bounded_memory_too(tmp_path: Path) -> None:
    count = 30_000
    details = "".join(detail("1.00", refs=f"<EndToEndId>E{number}</EndToEndId>") for number in range(count))
    path = tmp_path / "batch.xml"
    path.write_text(
        document(
            statement(
                entry(f"{count}.00", details=f"<NtryDtls>{details}</NtryDtls>"), closing=f"{count + 100}.00"
            )
        )
    )
    line_count, total_minor, grown_mb = measured(path)
    assert (line_count, total_minor) == (count, count * 100)
    assert grown_mb < 150
