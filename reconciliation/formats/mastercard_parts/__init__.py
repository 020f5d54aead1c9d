"""Parts of the reader of Mastercard IPM: its records, fields, values and proofs, each in a module of its own."""
