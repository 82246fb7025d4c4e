"""Tasks: each reads its connection, calls one function of `loads` or one of a client, and returns something small."""
