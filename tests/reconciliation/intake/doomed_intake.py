"""A process that takes a file in and may be killed: `python -m tests.reconciliation.intake.doomed_intake URL FILE`.

It says ``ready`` before it begins and what became of the file at the end.
"""

import sys
from pathlib import Path

import psycopg

from reconciliation.intake import take_in
from tests.reconciliation.intake.builder import BANK, OPTIONS

if __name__ == "__main__":
    url, file = sys.argv[1], Path(sys.argv[2])
    with psycopg.connect(url, autocommit=True) as connection, file.open("rb") as stream:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        with connection.transaction():
            connection.execute("SET LOCAL ROLE tieout_intake")
            (outcome,) = take_in(connection, source=BANK, file_name=file.name, stream=stream, options=OPTIONS)
    sys.stdout.write(f"{outcome.outcome}\n")
