"""The Airflow face: every flow file of a home is a DAG. The only importer of apache-airflow (``airflow.sdk``).

A DAG moves nothing by itself: its tasks call the exchange, whose keeper decides under whose name and approval
the flow runs. XCom carries codes and counts. Few fat tasks: plaintext never crosses a task boundary, and a
task batches communities rather than being one each.
"""

from huanshu.airflow.dags import build_dags

__all__ = ["build_dags"]
