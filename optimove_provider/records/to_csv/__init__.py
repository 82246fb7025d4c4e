"""Rows as CSV text. Imports `arrow` and below."""
