"""The independent verifier: believes no code and no word of the platform, only arithmetic and one public key.

Imports nothing of ``huanshu`` and shares no line with it; it was written from docs/FORMAT.md. It reads the
log's tables and, when told where they are, the receivers' stores; it opens no value and changes nothing.

Steps, in order (``fsck`` runs them all and reports every failure, the first of each step in detail):

    1  indices   the entries' indices are 0, 1, 2 … without a gap
    2  leaves    each leaf hash is SHA-256(0x00 ‖ leaf); each leaf is canonical JSON and says its own index
    3  tree      every checkpoint is signed by the log's key and is the RFC 6962 root at its size; the last one
                 covers every entry; the keeper's head, when given, is the tree's root at its size
    4  bitmaps   every attachment that an entry binds is there and has that digest; none lies there uncited
    5  loans     every loan cites an authorising entry and only its fields; every delivery that carried
                 values has loans; every authorised delivery is settled, or told as under way
    6  slices    (with receivers) each inbox line and arrived entry agree both ways; each row has its digest;
                 each slice is the one that its last arrived entry binds
    7  store     (with data) each batch's lists are those that its entry binds; each row of the district store is
                 as its list says, and each listed row is there
    8  published (with the published folder) tiles, bundles and bitmaps are those of this log, and a quorum of the
                 policy's witnesses has cosigned it
    9  origins   every note is of the origin that the log had at its size; where acknowledged entries were given up
                 after a loss, two persons signed what is missing
    10 subjects  (with data) an entry by which one record was read is about the subjects of that record

The log is read from its database, from its published folder (then steps 5 to 7 say less), or from the one against the
other. ``fsck`` can begin where an earlier run ended; what lies before is then believed as that run saw it.
"""

from huanshu_verify.fsck import STEPS, Rule, fsck
from huanshu_verify.report import Gap, Options, Problem, Report, Step

__all__ = ["STEPS", "Gap", "Options", "Problem", "Report", "Rule", "Step", "fsck"]
