"""Ledgers that a person moves, backs up, or makes again after a loss. Imports `ledger`, `spool` and below."""
