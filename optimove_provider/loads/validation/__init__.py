"""Rows checked on their way. Imports `upload` (where they go), `report` and below."""
