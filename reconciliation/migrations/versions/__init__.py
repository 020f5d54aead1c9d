"""Revisions of the schema `recon`, oldest first; each executes the .sql file of its name."""
