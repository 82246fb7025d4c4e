"""Small pieces over Arrow arrays, and DuckDB, which asks them in SQL. Imports nothing of ours."""
