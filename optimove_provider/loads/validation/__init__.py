"""Rows checked on their way. Imports `upload` (where they go) and `report`."""
