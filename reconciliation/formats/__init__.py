"""One external standard per module: bytes in, canonical lines out, or a refusal with its place.

Laws of this room:

- a file is read whole or refused; there is no partly read file;
- amounts go through a digit grammar with limits before they become a number, and are minor units from then on;
- the sign is settled here: positive raises our balance on the reconciled account;
- whatever the standard offers as a proof (opening + movements = closing, trailer counts, control sums, payout = sum
  of its lines) is demanded here, and a file that does not prove is refused with the figures;
- a full card number is replaced by a keyed token and a truncated form before a line is built.

Each module offers the same small surface, ``NAME``, ``sniff(head)`` and ``read(stream, options)``, and imports no
store.
"""
