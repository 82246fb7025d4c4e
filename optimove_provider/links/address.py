"""Where the pages about loads are in Airflow. Pure string work: addresses hold ids, never a path or a bucket."""

from urllib.parse import quote, urlsplit

PLUGIN, ROUTE = "optimove", "optimove_nav"
"""Where the pages are mounted, and by which name Airflow's own interface shows them."""


def load_page(load_id: str, base_url: str = "") -> str:
    """The page of a load, within Airflow's interface; `base_url` is `[api] base_url`, which may have a path."""
    return _within_airflow("load", load_id, base_url)


def rejected_page(load_id: str, base_url: str = "") -> str:
    """The page with a load's rejected rows, likewise."""
    return _within_airflow("rejected", load_id, base_url)


def _within_airflow(page: str, load_id: str, base_url: str) -> str:
    """Airflow shows the pages in a frame: its own address repeats the one in the frame, prefix and all. A link to the
    bare page would replace Airflow.
    """
    prefix = urlsplit(base_url or "").path.rstrip("/")
    return f"{prefix}/plugin/{ROUTE}{prefix}/{PLUGIN}/{page}?id={quote(load_id, safe='')}"
