"""Revisions of schema `ledger`, oldest first; each executes the .sql files of its name."""
