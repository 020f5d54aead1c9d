"""The general ledger for others: CSV and the journals of plain-text accounting.

Law: what is written down is bounded by one snapshot, and its balances are those of the ledger, or nothing is written.
"""
