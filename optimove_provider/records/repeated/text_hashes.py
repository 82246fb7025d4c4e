"""Hashes of a column of texts, in NumPy: as fast as DuckDB's, without loading it (docs/decisions/0004-duckdb.md)."""

import secrets
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from optimove_provider.records.arrow.types import Integers

Hashes = npt.NDArray[np.uint64]

_LONG = 256
"""Bytes of a text that is hashed by itself."""
_AT_ONCE = 1 << 13
"""So many texts, and what is derived from them, stay in a processor's cache."""
_MIXER, _HALF = np.uint64(0xD6E8FEB86659FD93), np.uint64(32)
_MASKS = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)
"""By length: the bits of a word that belong to a text of which so many bytes are left."""


class HashKey(NamedTuple):
    """What makes hashes other ones than elsewhere, so that nobody can prepare texts whose hashes are the same.

    `factors`: one for each word of a text, and one for its length; `key` is for long texts.
    """

    factors: Hashes
    key: bytes


def hash_key(seed: bytes) -> HashKey:
    """The key that a seed gives, always and everywhere the same."""
    digests = b"".join(blake2b(bytes([number]), key=seed).digest() for number in range(5))
    return HashKey(np.frombuffer(digests, "<u8", _LONG // 8 + 1).astype(np.uint64) | np.uint64(1), digests[-16:])


OF_THIS_PROCESS = hash_key(secrets.token_bytes(16))


def text_hashes(texts: pa.BinaryArray, key: HashKey = OF_THIS_PROCESS) -> Hashes:
    """A hash of 64 bits of each text, none of which is null. It holds wherever the key is the same."""
    edges = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, 4 * texts.offset).astype(np.int64)
    start, size = int(edges[0]), int(edges[-1] - edges[0])
    data = np.zeros(size + _LONG + 8, np.uint8)
    if size:
        data[:size] = np.frombuffer(texts.buffers()[2], np.uint8, size, start)
    words = np.ndarray(size + _LONG, "<u8", data, strides=(1,))  # one from each byte on
    starts, lengths = edges[:-1] - start, np.diff(edges)
    long = np.flatnonzero(lengths > _LONG)
    lengths[long] = 0
    hashes = np.concatenate(
        [np.empty(0, np.uint64)]
        + [
            _hashes_of_some(words, starts[at : at + _AT_ONCE], lengths[at : at + _AT_ONCE], key.factors)
            for at in range(0, len(texts), _AT_ONCE)
        ]
    )
    for row in long.tolist():
        digest = blake2b(texts[row].as_buffer(), digest_size=8, key=key.key).digest()
        hashes[row] = int.from_bytes(digest, "little")
    return hashes


def _hashes_of_some(words: Hashes, starts: Integers, lengths: Integers, factors: Hashes) -> Hashes:
    """Each word is mixed by itself. One without a byte of the text adds 0, so how long the other texts are is no
    matter."""
    hashes: Hashes = lengths.astype(np.uint64) * factors[-1]
    shortest = int(lengths.min())
    for at in range(0, int(lengths.max()), 8):
        word = words[starts + at]
        if shortest < at + 8:
            word &= _MASKS.take(lengths - at, mode="clip")
        word *= factors[at >> 3]
        word ^= word >> _HALF
        word *= _MIXER
        hashes += word
    hashes ^= hashes >> _HALF
    hashes *= _MIXER
    hashes ^= hashes >> _HALF
    return hashes
