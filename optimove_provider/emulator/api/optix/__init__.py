"""The Opti-X Data Connections API. Imports `importer` and `model`."""
