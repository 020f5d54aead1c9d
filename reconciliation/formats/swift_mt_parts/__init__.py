"""Parts of the reader of SWIFT MT940, MT942 and MT950: its records, fields, values and proofs, each in a module of its
own."""
