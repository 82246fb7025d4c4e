"""The list itself: digests of keys under a manifest, changed by who has the lease."""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from optimove_provider.loads.ledger.compaction import GRACE, forget, vacuum
from optimove_provider.loads.ledger.lease import LeaseLost
from optimove_provider.loads.ledger.manifest import ManifestFile
from optimove_provider.loads.suppression import suppression_list
from optimove_provider.loads.suppression.key_digests import KeyDigests, key_text, new_salt
from optimove_provider.loads.suppression.suppression_list import Listed, listed
from tests.support.ledgers import hour

LOAD = "6f0f5d3a-0000-4000-8000-000000000001"


def among(ledger, *keys):
    """Which of the keys, texts, are on the list."""
    manifest = ledger.read()
    found = Listed(listed(ledger.staging, manifest), manifest.suppressed.salt).among(map(json.dumps, keys))
    return [key for key, is_listed in zip(keys, found.tolist(), strict=True) if is_listed]


def files(ledger):
    return ledger.staging.names(ledger.suppressions)


def test_a_digest_is_the_standard_one_of_the_keys_text():
    salt = new_salt()
    wanted = hmac.digest(bytes.fromhex(salt), "né\n".encode(), hashlib.sha256)
    assert KeyDigests(salt).of("né\n") == KeyDigests(salt).of_all([json.dumps("né\n")])[0] == wanted
    assert KeyDigests(salt).shown("né\n") == f"hmac-sha256:{wanted.hex()}"
    assert KeyDigests(new_salt()).of("né\n") != wanted


def test_a_key_is_the_same_as_a_number_and_as_text():
    assert key_text("42") == key_text('"42"') == "42"
    assert key_text('"042"') == "042"


def test_keys_are_put_on_the_list_once_and_taken_off(target):
    lease, ledger = target.lease(LOAD), target.ledger
    assert suppression_list.add(ledger, lease, ["a", "b", "a"], LOAD) == 2
    version = target.manifest.version
    assert (suppression_list.add(ledger, lease, ["a"], "again"), target.manifest.version) == (0, version)
    target.clock.forward(60)
    assert suppression_list.add(ledger, lease, ["c"], "a person") == 1
    assert among(ledger, "a", "b", "c", "d") == ["a", "b", "c"]
    assert sorted(set(listed(ledger.staging, target.manifest)["by"].to_pylist())) == [LOAD, "a person"]
    assert suppression_list.remove(ledger, lease, ["b", "never"]) == 1
    assert (among(ledger, "a", "b", "c"), target.manifest.suppressed.keys) == (["a", "c"], 2)
    assert len(files(ledger)) == 1
    assert suppression_list.remove(ledger, lease, ["a", "c"]) == 2
    assert (files(ledger), target.manifest.suppressed.path, target.manifest.suppressed.keys) == ([], "", 0)


def test_neither_the_list_nor_the_manifest_has_a_plain_key(local_target):
    ledger = local_target.ledger
    suppression_list.add(ledger, local_target.lease(LOAD), ["somebody@example.com"], LOAD)
    for path in (f"{ledger.suppressions}/{files(ledger)[0]}", f"{ledger.manifest_file.folder}/manifest.json"):
        with ledger.staging.open(path) as file:
            assert b"somebody" not in file.read()
    assert local_target.manifest.suppressed.salt not in repr(local_target.manifest)


def test_who_has_lost_the_lease_changes_nothing(local_target):
    lease = local_target.lease(LOAD)
    local_target.clock.forward(61)
    local_target.lease("another")
    with pytest.raises(LeaseLost):
        suppression_list.add(local_target.ledger, lease, ["a"], LOAD)
    assert local_target.manifest.suppressed is None


def test_a_list_that_nobody_names_is_vacuumed_and_the_named_one_stays(local_target):
    lease, ledger = local_target.lease(LOAD), local_target.ledger
    suppression_list.add(ledger, lease, ["a"], LOAD)
    local_target.staging.write_text(f"{ledger.suppressions}/dead.parquet", "of a try that ended before its swap")
    vacuum(ledger, lease, datetime.now(UTC) + GRACE)
    assert among(ledger, "a") == ["a"]
    assert "dead.parquet" not in files(ledger)


def test_a_ledger_that_is_begun_anew_keeps_its_list(local_target):
    suppression_list.add(local_target.ledger, local_target.lease(LOAD), ["a"], LOAD)
    forget(local_target.ledger, force=True)
    assert among(local_target.ledger, "a", "b") == ["a"]


def test_a_manifest_of_an_older_version_has_no_list(local_target):
    local_target.load({"a": 1}, hour(1))
    path = f"{local_target.ledger.manifest_file.folder}/manifest.json"
    found = local_target.staging.read(path)
    del found["suppressed"]
    local_target.staging.write(path, {**found, "format": 2})
    assert ManifestFile(local_target.staging, path.split("/")[1]).read() == replace(
        local_target.manifest, suppressed=None
    )
    assert suppression_list.add(local_target.ledger, local_target.lease(LOAD), ["a"], LOAD) == 1
    assert local_target.staging.read(path)["format"] == 3
