"""Both APIs, and the importer behind S3: `handle` and `send` in process, `EmulatorServer` over HTTP.

What the vendors document is strict here. What they leave open is a guess, and the code says so where it
stands; the start page under `/_emulator/` lists every endpoint with its source.
"""

from optimove_provider.emulator.answering import handle, send
from optimove_provider.emulator.faults import Fault, ImportFault
from optimove_provider.emulator.objects import MemoryObjects, ObjectStore, StoredObject
from optimove_provider.emulator.server import EmulatorServer
from optimove_provider.emulator.state import API_KEY, BRAND_KEY, TOKEN, State
from optimove_provider.emulator.switches import Switches

__all__ = [
    "API_KEY",
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
