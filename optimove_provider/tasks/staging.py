"""Where loads keep their state, and which load a task's try belongs to."""

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.surroundings import REAL, Surroundings

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.disk.modes import Modes
    from optimove_provider.loads.state.retention import Retention
    from optimove_provider.loads.state.staging import Staging

log = logging.getLogger(__name__)

SECTION = "optimove"
CLOCKS_AGREE = timedelta(seconds=30)
"""How far clocks of machines may be apart."""
_ON_THIS_MACHINE = ("LocalExecutor", "SequentialExecutor", "InProcessExecutor")


def staging(surroundings: Surroundings = REAL) -> "Staging":
    """Where loads keep their state: `[optimove] staging`, or a folder in AIRFLOW_HOME.

    Raises SettingsError for a local folder where tasks run on other machines, unless `[optimove] staging_is_shared`
    says that all of them see it: a retry elsewhere would find nothing and send everything again. Also for a `keep_days`
    or another setting of what is kept that is too small, and a `staging_mode` that is none.
    """
    from airflow.sdk import ObjectStoragePath

    from optimove_provider.loads.state.staging import Staging

    url = staging_url()
    place = ObjectStoragePath(url)
    remote = [name for name in _executors() if name not in _ON_THIS_MACHINE]
    if place.protocol in ("file", "") and remote and not conf.getboolean(SECTION, "staging_is_shared", fallback=False):
        raise SettingsError(
            f"[optimove] staging is {url!r}, a folder of one machine, but {', '.join(remote)} runs tasks on others, "
            "where a retry would not find it. Set [optimove] staging to an object store (s3://conn_id@bucket/path), or "
            "to a folder that all machines share and [optimove] staging_is_shared to True"
        )
    return Staging(place.fs, place.path, surroundings, _modes(), _retention())


def staging_at(url: str, surroundings: Surroundings = REAL) -> "Staging":
    """Another place that is laid out like staging, as a path or URL with the connection that opens it.

    Raises SettingsError for a URL of which Airflow knows no storage.
    """
    from airflow.sdk import ObjectStoragePath

    from optimove_provider.loads.state.staging import Staging

    try:
        place = ObjectStoragePath(url.rstrip("/"))
        fs = place.fs
    except ValueError as error:
        raise SettingsError(f"{url!r} cannot be opened: {error}. Give a folder of a local disk, or one on S3") from None
    return Staging(fs, place.path, surroundings, _modes(), _retention())


def staging_url() -> str:
    """Where that is, as a path or URL with the connection that opens it."""
    from airflow.configuration import AIRFLOW_HOME

    return str(conf.get(SECTION, "staging", fallback="") or f"{AIRFLOW_HOME}/optimove").rstrip("/")


def _modes() -> "Modes":
    from optimove_provider.disk.modes import MODES

    mode = str(conf.get(SECTION, "staging_mode", fallback="") or "private").strip()
    if mode not in MODES:
        raise SettingsError(
            f"[optimove] staging_mode is {mode!r}: expected private (files only for the user who runs the tasks) or "
            "group (also for that folder's group)"
        )
    return MODES[mode]


def _executors() -> list[str]:
    """The class names of the configured executors, without their modules, aliases and teams."""
    named = (conf.get("core", "executor", fallback="") or "").split(",")
    return [name.split(":")[-1].split("=")[-1].rpartition(".")[2].strip() for name in named if name.strip()]


def shows_records() -> bool:
    """Whether people may be shown values of records: samples, contents of rejected rows, and a record's page."""
    return bool(conf.getboolean(SECTION, "show_records", fallback=False))


def sweep(staging: "Staging") -> None:
    """Remove what `[optimove] keep_days` and `keep_loads` do not keep, as `loads.history.retention` tells.

    Where sweeping fails, the log says so: the load that comes by here is none the worse.
    """
    from optimove_provider.loads.history import retention

    try:
        retention.sweep(staging)
    except Exception:  # a folder that may not be read, a ledger of a newer version
        log.warning("%s was not swept", staging.url(""), exc_info=True)


def _retention() -> "Retention":
    from optimove_provider.loads.state.retention import UNLESS_TOLD as unless
    from optimove_provider.loads.state.retention import Retention

    return Retention(
        _at_least(1, "keep_days", unless.days),
        _at_least(0, "keep_loads", unless.loads),
        timedelta(minutes=_at_least(5, "keep_replaced_minutes", unless.replaced // timedelta(minutes=1))),
    )


def _at_least(least: int, option: str, unless: int) -> int:
    number = conf.getint(SECTION, option, fallback=unless)
    if number < least:
        raise SettingsError(f"[optimove] {option} is {number}: expected at least {least}")
    return int(number)


def begin_load(staging: "Staging", context: "Context") -> str:
    """The id of the load that this try of the task begins or takes up again. Raises SettingsError for a wrong clock."""
    from optimove_provider.loads.state.load_id import TaskTry, begin

    ti = context["ti"]
    task_try = TaskTry(
        ti.dag_id,
        ti.task_id,
        ti.run_id,
        -1 if ti.map_index is None else ti.map_index,
        ti.try_number,
        ti.max_tries,
        context["task"].retries or 0,
    )
    before = staging.surroundings.now()
    load_id = begin(staging, task_try)
    check_clock(staging, before, task_try.path)
    return load_id


def resume_load(staging: "Staging", load_id: str) -> None:
    """Before a load goes on, perhaps on another machine: raise SettingsError for a wrong clock."""
    before, path = staging.surroundings.now(), f"tries/{load_id}-resumed.json"
    staging.write(path, {"at": before.isoformat()})
    check_clock(staging, before, path)


def check_clock(staging: "Staging", before: datetime, path: str) -> None:
    """Raise SettingsError if this machine's clock, and that of staging, tell times of a file that was written between
    `before` and now that are more than 30 seconds apart: how old rows are, and who may write, is told by clocks.

    A storage that does not say when a file was written is believed.
    """
    written, now = staging.written_at(path), staging.surroundings.now()
    if written and not before - CLOCKS_AGREE < written < now + CLOCKS_AGREE:
        raise SettingsError(
            f"the clock of this machine says {now.isoformat()}, that of staging, at {staging.url('')}, "
            f"{written.isoformat()}: they must agree within {CLOCKS_AGREE.total_seconds():.0f} s, as a load's age and "
            "its lease are told by clocks. Set the one that is wrong, as with NTP; nothing was sent"
        )
