"""What is a folder for a table's files, and what only looks like one."""

import pytest

from optimove_provider.contract.dcp.config import Table, own_keys
from optimove_provider.contract.dcp.import_path import MAX_FOLDER_BYTES, import_folder
from optimove_provider.contract.wire.errors import SettingsError

ROOT = [
    "",
    "/",
    "//",
    " ",
    ".",
    "..",
    "./",
    "/./",
    "../..",
    "\t",
    "\n",
    "\u00a0",
    "\u200b",
    "\ufeff/",
    "null",
    "None",
    " NaN ",
]
ODD = [
    "dcp/../../x",
    "dcp/./x",
    "../dcp",
    "dcp//x",
    "s3://bucket/dcp/567",
    "dcp/567 ",
    " dcp/567",
    "dcp/ /x",
    "dcp/\u00a0x",
    "dcp/5\n6",
    "dcp/5\t6",
    "dcp/5\x006",
    "dcp/5\x7f6",
    "dcp/\u200b567",
    "dcp/\u202e567",
    "dcp/\u2028567",
    "dcp/\ud800",
    "dcp\\567",
    "x" * (MAX_FOLDER_BYTES + 1),
    "é" * (MAX_FOLDER_BYTES // 2 + 1),
]
OPAQUE = [
    "dcp/567/678",
    "dcp/a b",
    "é/x",
    ".hidden",
    "a..b",
    "optimizely-import/dcp/5",
    "x=1&y/%2e%2e/~",
    "🙂",
    "none/5",
]


@pytest.mark.parametrize("path", ROOT)
def test_a_path_that_names_nothing_is_none(path):
    with pytest.raises(SettingsError, match=r"names no folder of its own .*root of a bucket.*ask the vendor"):
        import_folder(path)


@pytest.mark.parametrize("path", ODD)
def test_a_path_that_leads_elsewhere_is_none(path):
    with pytest.raises(SettingsError, match=r"is no folder for imports.*ask the vendor") as caught:
        import_folder(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", [*OPAQUE, "x" * MAX_FOLDER_BYTES])
@pytest.mark.parametrize("around", ["{}", "/{}", "{}/", "//{}//"])
def test_any_other_path_is_taken_as_it_is(path, around):
    assert import_folder(around.format(path)) == path


@pytest.mark.parametrize("odd", ["", " ", "\n", "AKIA\nX", " AKIA", "AKIA ", "\u200b", "AKIAÉ", "AK IA"])
def test_keys_that_no_header_takes_are_none(odd):
    good = Table(1, "T", 2, aws_access_key="AKIA/x+y=", aws_secret_key="s")
    assert own_keys(good) == ("AKIA/x+y=", "s")
    for access, secret, name in ((odd, "s", "aws_access_key"), ("AKIA", odd, "aws_secret_key")):
        with pytest.raises(SettingsError, match=rf"has no AWS keys of its own \({name} is empty, or no key\)"):
            own_keys(Table(1, "T", 2, aws_access_key=access, aws_secret_key=secret))
