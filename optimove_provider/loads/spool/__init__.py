"""The source's rows, frozen before the first request. Imports `state` and `records`."""
