"""Small writes of profiles and aliases into DCP, one request a record. Imports `dcp` and below."""
