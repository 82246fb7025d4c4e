"""An import bucket whose permissions a test chooses, and a table's place in it."""

from contextlib import closing

import boto3
import pytest
from botocore.config import Config

from optimove_provider.emulator import AWS_ACCESS_KEY, AWS_SECRET_KEY, EmulatorServer, Switches
from tests.support.s3_target import Target


@pytest.fixture(scope="session")
def server():
    with EmulatorServer() as server:
        yield server


@pytest.fixture(scope="session")
def s3(server):
    keys = {"aws_access_key_id": AWS_ACCESS_KEY, "aws_secret_access_key": AWS_SECRET_KEY, "region_name": "us-east-1"}
    at_once = Config(retries={"total_max_attempts": 1})
    with closing(boto3.client("s3", endpoint_url=server.s3_url, config=at_once, **keys)) as client:
        yield client


@pytest.fixture
def switch(server):
    """A function that sets the emulator's switches; they are the defaults again afterwards."""

    def switch(**switches):
        server.state.switches = Switches(**switches)

    yield switch
    switch()


@pytest.fixture
def target(s3, switch, tmp_path):
    return Target(s3, tmp_path)
