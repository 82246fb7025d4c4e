"""A load into a table of DCP: files imported through S3. Imports everything below, never `optix`."""
