"""Opti-X Data Connections: endpoints, limits, conversations. Imports `wire`."""
