"""Alerts: rules over entries, as data. ``declaration`` reads ``audit/alerts/*.yaml``, ``watching`` folds entries into
what is raised, ``trials`` runs the tests that stand in each rule's own file. Pure: no clock, no database, no value.

An alert accuses nobody. It opens a finding with an owner and a due date, citing the entry at which the rule held.
"""

from huanshu.alerting.declaration import Alert, Trial, read_alerts
from huanshu.alerting.trials import sound_alerts
from huanshu.alerting.watching import Raised, Watching, watch

__all__ = ["Alert", "Raised", "Trial", "Watching", "read_alerts", "sound_alerts", "watch"]
