"""Parts of the reader of mapped files: its records, fields, values and proofs, each in a module of its own."""
