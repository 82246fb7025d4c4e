"""Observers of whole columns: ids, personal data. Imports `csv_syntax` and below."""
