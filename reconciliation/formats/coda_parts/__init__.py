"""Parts of the reader of CODA: its records, fields, values and proofs, each in a module of its own."""
