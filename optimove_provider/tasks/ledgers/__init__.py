"""The ledgers in staging, for people who look into one, or begin one anew."""
