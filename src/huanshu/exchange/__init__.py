"""Exchange: intake, delivery, receipt. Moves sealed columns; holds plaintext only on its way in, in memory.

``manifest`` and ``extract`` read what a department sends; ``intake`` brings it into the district store;
``due``, ``delivery`` and ``receiving`` bring each community its slice; ``receipts``, ``runs``, ``plan`` and
``diagnosis`` are what people see of it. ``tables`` and ``digests`` are the shapes they share.
"""
