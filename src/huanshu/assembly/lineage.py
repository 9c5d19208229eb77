"""Sending lineage: to the one endpoint that the settings name, or nowhere.

A receiver of lineage that is away is a warning, never a failed run: the log has told what happened. OpenLineage's
own environment variables and configuration files have no say here (invariant 10).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from huanshu.assembly.keeper_process import clock_of
from huanshu.assembly.running import Running

_SECONDS = 5.0
_log = logging.getLogger(__name__)


def tell_lineage(
    running: Running, flow: str, run: str, rows: Mapping[str, int], *, ended: bool = True
) -> None:
    """Send one run event when an endpoint is set. ``rows``: records by receiving domain."""
    url = running.deployment.settings.openlineage_url
    if url is None or not rows:
        return
    # A quarter of a second that a task without an endpoint need not wait.
    import requests
    from openlineage.client.serde import Serde

    from huanshu.exchange.lineage import run_event

    home = running.home
    event = run_event(home, home.flows[flow], run, ended, clock_of(home)(), rows)
    try:
        answer = requests.post(
            url,
            data=Serde.to_json(event).encode(),
            headers={"Content-Type": "application/json"},
            timeout=_SECONDS,
            allow_redirects=False,
        )
        if not answer.ok:
            _log.warning("the lineage endpoint answered %s", answer.status_code)
    except requests.RequestException as error:
        _log.warning("the lineage endpoint is away: %s", type(error).__name__)
