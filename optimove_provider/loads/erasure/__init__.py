"""What a person asks to be removed: records at the target made to expire by key, and what staging keeps of a key.
Imports everything below, `optix` too."""
