"""Which texts are the same: what dictionaries find, whatever the hashes, the windows and the batches are."""

import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.disk.room import NotWritten
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.observe.marks import forms, marks
from optimove_provider.records.repeated.repeated_texts import AT_ONCE, RepeatedTexts, no_forms
from optimove_provider.records.repeated.text_hashes import text_hashes

pytestmark = pytest.mark.any_version


def cut(hashes, bits):
    """Of so few bits that nearly all texts have the same."""
    return hashes & np.uint64((1 << bits) - 1 << 64 - bits if bits else 0)


def compared(texts, sizes=(7,), bits=64, at_once=AT_ONCE, most=10**9, made=forms):
    """The counts, and (row, text, first rows) of what is found; row n is on line 2 n, at the byte 5 n."""
    repeated = RepeatedTexts(forms=made, at_once=at_once)
    start = turn = 0
    while start < len(texts):
        some = texts[start : start + sizes[turn % len(sizes)]]
        rows = np.arange(start + 1, start + len(some) + 1)
        cells = pa.array(some, pa.binary())
        hashes = cut(text_hashes(cells) if made is no_forms else marks(cells).hashes, bits)
        repeated.add(Locations(rows, rows * 2, rows * 5), cells, hashes, np.zeros(len(rows), np.uint8))
        start, turn = start + len(some), turn + 1
    result = repeated.compare(most)
    repeated.close()
    found = result.found.to_pylist()
    assert [(one["line"], one["byte"]) for one in found] == [(2 * one["row"], 5 * one["row"]) for one in found]
    assert result.is_all == (len(found) < most)
    firsts = [name for name in result.found.column_names if name.startswith("first")]
    return result.counts, [(one["row"], one["text"], *(one[name] for name in firsts)) for one in found]


def naive(texts, made=forms):
    """The same by dictionaries."""
    first = [{} for _ in range(1 + len(made(b"")))]
    counts, found = [0] * len(first), []
    for row, text in enumerate(texts, 1):
        firsts = [of.setdefault(form, row) for of, form in zip(first, (text, *made(text)), strict=True)]
        is_repeated = [one != before for one, before in zip(firsts, [row, *firsts], strict=False)]
        counts = [count + one for count, one in zip(counts, is_repeated, strict=True)]
        found += [(row, text, *firsts)] if any(is_repeated) else []
    return counts, found


PIECES = st.sampled_from(
    [
        *(b"a", b"A", b"b", b"B", b"0", b"1", b" ", b"\n", b"\x00", b"\xff", b"\xc3", b'"'),
        *(one.encode() for one in ("ß", "ss", "İ", "i̇", "ﬁ", "fi", "Σ", "ς", "é", "e\u0301", "\u200b", "\xa0")),
        *(b"12345678", b"x" * 250, b"x" * 300),
    ]
)
TEXTS = st.lists(st.lists(PIECES, max_size=4).map(b"".join), max_size=50)


@settings(max_examples=150, deadline=None)
@given(
    TEXTS,
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.sampled_from([0, 1, 3, 64]),
    st.sampled_from([3, 20, AT_ONCE]),
    st.sampled_from([forms, no_forms]),
)
def test_repeated_texts_are_those_that_dictionaries_find(texts, sizes, bits, at_once, made):
    assert compared(texts, sizes, bits, at_once, made=made) == naive(texts, made)


def test_of_many_rows_the_first_are_found_and_all_are_counted():
    texts = [b"user-%d" % (number * 7919 % 30_000) for number in range(50_000)]
    counts, found = naive(texts)
    assert compared(texts, (9000,), at_once=5000, most=100) == (counts, found[:100])


@pytest.mark.parametrize("bits", [0, 64])
def test_a_text_that_is_repeated_very_often_is_compared_in_windows(bits):
    texts = [b"guest", *([b"unknown"] * 3000 + [b"Unknown", b"guest"]) * 4]
    assert compared(texts, (500,), bits, at_once=1000) == naive(texts)


@given(st.lists(st.binary(max_size=600), min_size=1, max_size=20), st.integers(0, 20))
def test_a_hash_depends_on_nothing_but_the_text(texts, before):
    texts = [*texts, *(one + b"\0" for one in texts), *(one[:-1] for one in texts)]
    column = pa.array([b"x"] * before + texts, pa.binary())[before:]
    hashes = dict(zip(texts, text_hashes(column).tolist(), strict=True))
    assert [text_hashes(pa.array([one], pa.binary())).tolist() for one in texts] == [[hashes[one]] for one in texts]
    assert len(set(hashes.values())) == len(hashes)


def test_texts_that_differ_in_one_bit_have_hashes_that_differ_in_half_of_theirs():
    texts = np.random.default_rng(1).bytes(40)
    changed = [bytes([*texts[: at // 8], texts[at // 8] ^ 1 << at % 8, *texts[at // 8 + 1 :]]) for at in range(320)]
    hashes = text_hashes(pa.array([texts, *changed], pa.binary()))
    bits = [bin(one).count("1") for one in (hashes[1:] ^ hashes[0]).tolist()]
    assert 29 < np.mean(bits) < 35
    assert min(bits) > 8


LEFT = """
import sys, numpy as np, pyarrow as pa
from pathlib import Path
from optimove_provider.records.csv_syntax.locations import Locations
from optimove_provider.records.repeated.repeated_texts import RepeatedTexts
from optimove_provider.records.repeated.text_hashes import text_hashes
rows = np.arange(1000)
cells = pa.array([b"%d" % row for row in rows])
repeated = RepeatedTexts(Path(sys.argv[1]))
repeated.add(Locations(rows, rows, rows), cells, text_hashes(cells), rows)
repeated.compare()
print(repeated.written, flush=True)
sys.stdin.read()
"""


def test_a_process_that_is_killed_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", LEFT, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert int(process.stdout.readline()) > 3000
        assert list(tmp_path.iterdir()) == []
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_is_named(tmp_path):
    cells, rows = pa.array([b"%d" % row for row in range(1000)], pa.binary()), np.arange(1000)
    repeated = RepeatedTexts(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    repeated.add(Locations(rows, rows, rows), cells, text_hashes(cells), rows)
    try:
        with pytest.raises(NotWritten, match=f"^{tmp_path} could not be written: a file may not be as large.*TMPDIR"):
            repeated.compare()
        repeated.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
