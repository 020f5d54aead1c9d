"""Revisions of the schema `recon`. Each executes the .sql file beside it; none goes back."""
