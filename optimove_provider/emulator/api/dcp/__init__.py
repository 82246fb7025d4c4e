"""The DCP APIs: config, profiles, and the upload history. Imports `importer` and `model`."""
