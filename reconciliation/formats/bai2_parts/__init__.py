"""Parts of the reader of BAI2: its records, fields, values and proofs, each in a module of its own."""
