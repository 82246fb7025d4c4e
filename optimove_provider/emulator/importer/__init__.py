"""The S3 importer of DCP. Imports `model`."""
