"""The double-entry ledger: SQL first, thin typed Python over it. Knows nothing of reconciliation.

Laws: an entry balances to zero per asset, entity and layer, whole, or does not exist; posted rows never change; one key
is one entry or one refusal, for ever; an account that may not be overdrawn never is; a materialised balance is never
ahead of the journal; a closed period accepts nothing. `schema.sql` has the tables, `programs/` what keeps the laws.
Import the modules by name; this package imports none of them, so that reading `ledger_core.money` costs nothing.
"""

__all__: list[str] = []
