"""The shell: settings, database, Dagster definitions and the `tieout` command line.

Clock, randomness, environment and network exist in this package only and are passed down as parameters. It may import
`reconciliation` and `ledger_core`; neither may import it.
"""
