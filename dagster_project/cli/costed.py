"""Run as a program by the benchmarks: one `tieout` command, and a file that says what it cost. Holds no command of its
own.
"""

import json
import sys
import time
from pathlib import Path

from dagster_project.bench.measure import peak_megabytes
from dagster_project.cli.main import root


def run(report: Path, words: list[str]) -> None:
    """Run the command and write the report, whatever its exit code."""
    try:
        root(words, prog_name="tieout")
    finally:
        cost = {"cpu_seconds": time.process_time(), "peak_megabytes": peak_megabytes()}
        report.write_text(json.dumps(cost), encoding="utf-8")


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
