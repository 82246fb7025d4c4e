"""What a load would change, and whether it may. Imports `report`, `ledger` and below; never sends."""
