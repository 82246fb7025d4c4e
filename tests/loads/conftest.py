"""Staging on a local disk, and on S3 over real sockets; databases that are made in no time."""

import uuid
from contextlib import nullcontext

import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.emulator.s3 import S3Server
from optimove_provider.loads.state.staging import Staging
from tests.support.crash.shared_duck import shared_duck
from tests.support.ledgers import Clock, Target

MANY_LOADS = ("crash", "dcp", "optix", "profiles", "suppression", "erasure", "sharded")
"""Folders of whole loads, none of which is about what a database may take, or where."""


@pytest.fixture(scope="module", autouse=True)
def quick_databases(request):
    """A load opens about eight databases: they share an instance where many loads are made."""
    with shared_duck() if request.path.parent.name in MANY_LOADS else nullcontext():
        yield


@pytest.fixture(scope="session")
def s3_url():
    server = S3Server("127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
def s3(s3_url):
    """A file system on S3, and a bucket of its own. Connections are not shared with other tests' loops.

    The file system closes them itself when it goes; with its lowest version, to do so twice is an error.
    """
    from s3fs import S3FileSystem

    keys = {"key": "emulator", "secret": "emulator", "client_kwargs": {"region_name": "us-east-1"}}
    fs = S3FileSystem(endpoint_url=s3_url, skip_instance_cache=True, **keys)
    bucket = f"staging-{uuid.uuid4()}"
    fs.call_s3("create_bucket", Bucket=bucket)
    return fs, bucket


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.any_version)])
def any_staging(request, tmp_path):
    """Staging on each of the two."""
    if request.param == "file":
        return Staging(LocalFileSystem(), f"{tmp_path}/staging")
    fs, bucket = request.getfixturevalue("s3")
    return Staging(fs, f"{bucket}/staging")


@pytest.fixture
def staging_on_disk(tmp_path):
    return Staging(LocalFileSystem(), f"{tmp_path}/staging")


@pytest.fixture
def target(any_staging):
    """A ledger and its store, on each of the two."""
    return Target(any_staging, Clock())


@pytest.fixture
def local_target(staging_on_disk):
    """A ledger and its store, on a local disk."""
    return Target(staging_on_disk, Clock())
