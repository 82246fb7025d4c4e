"""Sources as streams of record batches: files, cursors, lists. Imports `csv_syntax` and below."""
