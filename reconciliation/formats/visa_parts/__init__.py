"""Parts of the reader of Visa BASE II: its records, fields, values and proofs, each in a module of its own."""
