"""Parts of the reader of the camt messages: its records, fields, values and proofs, each in a module of its own."""
