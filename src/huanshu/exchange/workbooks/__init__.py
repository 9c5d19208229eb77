"""Workbooks (工作簿): a community's slice as a spreadsheet, and what was changed in it as corrections.

    shape       what a workbook says of itself, and the text that its mark binds
    writing     the spreadsheet, in memory            reading     an upload, in memory and within bounds
    issuing     through the gate: one entry, rungs    submitting  each changed cell one correction, judged row by row

Nothing of a workbook is ever written to a disk by the platform, going out or coming in.
"""

from huanshu.exchange.workbooks.issuing import Issued, issue
from huanshu.exchange.workbooks.submitting import submit

__all__ = ["Issued", "issue", "submit"]
