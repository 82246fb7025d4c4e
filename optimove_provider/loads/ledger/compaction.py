"""Housekeeping of a ledger: layers made one, and files that nobody needs vacuumed."""

from datetime import timedelta

from optimove_provider.loads.ledger.manifest import Manifest

MAX_LAYERS = 12
MAX_SHARE_ABOVE = 0.25
GRACE = timedelta(days=1)


def is_due(manifest: Manifest) -> bool:
    base, above = manifest.layers[: manifest.base], manifest.layers[manifest.base :]
    rows = sum(layer.rows for layer in above)
    return len(above) >= MAX_LAYERS or rows > MAX_SHARE_ABOVE * sum(layer.rows for layer in base)
