"""Parts of the reader of PayPal reports: its records, fields, values and proofs, each in a module of its own."""
