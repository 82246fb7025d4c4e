"""What travels at each endpoint, as JSON schemas. Imports optix, dcp and cells."""
