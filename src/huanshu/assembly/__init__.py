"""The composition root: settings in, wired objects out. Nothing else in the package constructs these parts.

``deployment`` what lies in a state folder and how it is first made; ``stack`` the processes (embedded servers,
keeper, Airflow) and who owns them; ``keeper_process`` the keeper's own assembly; ``running`` what the faces use.
"""

from huanshu.assembly.deployment import Deployment, create, open_deployment
from huanshu.assembly.running import Running, connect
from huanshu.assembly.stack import Stack, running

__all__ = ["Deployment", "Running", "Stack", "connect", "create", "open_deployment", "running"]
