"""The double-entry ledger: SQL first, thin typed Python over it. Knows nothing of reconciliation.

Laws: an entry balances to zero per asset or does not exist; posted rows never change; one key is one entry.
Import the modules by name; this package imports none of them, so that reading `ledger_core.money` costs nothing.
"""

__all__: list[str] = []
