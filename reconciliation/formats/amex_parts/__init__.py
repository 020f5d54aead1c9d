"""Parts of the reader of American Express settlements: its records, fields, values and proofs, each in a module of its
own."""
