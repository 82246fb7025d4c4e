"""What drivers of databases need, so that each value arrives exactly or is known to be unfit. Imports `to_json`."""
