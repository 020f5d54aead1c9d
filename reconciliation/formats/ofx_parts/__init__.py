"""Parts of the reader of OFX: its records, fields, values and proofs, each in a module of its own."""
