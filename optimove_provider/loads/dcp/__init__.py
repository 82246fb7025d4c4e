"""A load into DCP: files imported through S3, and small writes over REST. Imports everything below, never `optix`."""
