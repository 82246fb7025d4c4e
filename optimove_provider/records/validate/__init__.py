"""The validator: header, cells, rows. Imports `read`, `observe`, `csv_syntax` and below."""
