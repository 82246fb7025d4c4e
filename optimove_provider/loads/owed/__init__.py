"""Rows that are owed to a target: its server refused them, and they go again. Imports `ledger` and below."""
