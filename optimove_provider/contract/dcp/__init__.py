"""Dynamic Customer Profiles: the config and profile hosts, imports and their history. Imports `cells` and `wire`."""
