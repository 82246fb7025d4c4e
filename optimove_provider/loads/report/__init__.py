"""The account of a load, for machines and for people. Imports `ledger` and below."""
