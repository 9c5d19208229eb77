"""The keeper (钥匙保管): the one small process that holds keys and the log's head, and its client.

Rules first
    1. No ticket, no key. A key or value leaves only against the ticket of an entry that is durably in the
       log, names that access, and is not yet settled.
    2. The keeper decides again. What a client claims about a person, a right, a flow or a digest is
       looked up here, in the keeper's own reading of the home; the client's word only selects.
    3. Every loan is a row in the log's database *before* it leaves this process.

Modules: ``establish`` (who is asking), ``admission`` (may this entry be appended, and with what in it),
``tickets`` (may this be lent) are pure: no I/O, no clock. ``vault`` keeps wrapped keys, ``service`` puts
the pieces in order, ``counting`` judges numbers, ``tallying`` makes them where a field is sealed; ``server`` and
``client`` are the two ends of the socket, ``protocol`` its frames.
"""
