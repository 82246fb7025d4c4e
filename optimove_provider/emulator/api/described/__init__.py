"""The description of what is served: OpenAPI 3.1, of the contract's rows and as the switches have it."""
