"""One load of Opti-X that several workers send: it is planned by one, sent in shards by many, and committed by one.
Imports `optix` and below."""
