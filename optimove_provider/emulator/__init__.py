"""Both APIs, and the importer behind S3: `handle` and `send` in process, `EmulatorServer` over HTTP.

What the vendors document is strict here. What they leave open is a guess, and the code says so where it
stands; the start page under `/_emulator/` lists every endpoint with its source.
"""

from optimove_provider.emulator.dispatch import handle, send
from optimove_provider.emulator.model.faults import Fault, ImportFault
from optimove_provider.emulator.model.object_store import MemoryObjects, ObjectStore, StoredObject
from optimove_provider.emulator.model.state import API_KEY, AWS_ACCESS_KEY, AWS_SECRET_KEY, BRAND_KEY, TOKEN, State
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.server import EmulatorServer

__all__ = [
    "API_KEY",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "BRAND_KEY",
    "TOKEN",
    "EmulatorServer",
    "Fault",
    "ImportFault",
    "MemoryObjects",
    "ObjectStore",
    "State",
    "StoredObject",
    "Switches",
    "handle",
    "send",
]
