"""Rows as the JSON records of Opti-X. Imports `arrow` and below."""
