"""The tests that stand in an alert's own file, run by ``huanshu check``: a rule that does not do what its file says
is a fault of the file."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from huanshu.alerting.declaration import Alert, read_alerts
from huanshu.alerting.watching import watch
from huanshu.catalog import Home
from huanshu.errors import ContentError, HuanshuError, Text


def sound_alerts(home: Home) -> Iterator[HuanshuError]:
    """What is wrong with the alerts of a home: the first fault in their files, or every test that fails."""
    try:
        alerts = read_alerts(home)
    except ContentError as error:
        yield error
        return
    for alert in alerts:
        yield from failed(alert, home.timezone)


def failed(alert: Alert, timezone: str) -> Iterator[ContentError]:
    """The tests of one alert that do not come out."""
    for trial in alert.trials:
        raised = len(list(watch([alert], trial.entries, trial.now, ZoneInfo(timezone))))
        if raised != trial.raises:
            yield ContentError(
                "alert.test.failed",
                Text(
                    f"“{trial.name}”: raised {raised} times, {trial.raises} expected",
                    f"“{trial.name}”：触发 {raised} 次，应为 {trial.raises} 次",
                ),
                remedy=Text("mend the rule or its test", "请修正规则或测试"),
                where=trial.where,
            )
