"""What shows that an import has stored its rows: samples and whole files, read back. Imports `upload` and below."""
