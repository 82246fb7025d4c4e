"""Sources as streams of record batches: files, cursors, lists. Imports `csv_syntax`, `to_json` and below."""
