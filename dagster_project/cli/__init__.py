"""The command line `tieout`: every command with an example, `--json` where it prints results, and errors as sentences.

Exit codes: 0 done, 1 the check failed or something was rejected, 2 usage or configuration. A refusal on purpose is
printed as its message; only a broken program shows a traceback. Commands call the same functions as the Dagster
assets and hold no logic of their own. Modules: ``ledger`` (post, balance, verify), ``recon`` (ingest to exceptions),
``world`` (simulate, demo), ``serve`` (up, down), ``bench``.
"""

from dagster_project.cli.main import main

__all__ = ["main"]
