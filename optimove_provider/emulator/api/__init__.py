"""Who answers: a module for each API. Imports `importer` and `model`."""
