"""Parts of the reader of Nacha files: its records, fields, values and proofs, each in a module of its own."""
