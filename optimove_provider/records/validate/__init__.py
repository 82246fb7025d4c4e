"""The validator: header, cells, rows. Imports `observe`, `csv_syntax` and below."""
