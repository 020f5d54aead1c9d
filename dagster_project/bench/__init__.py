"""`tieout bench`: how fast the product is here, each figure beside a reference measured in the same run.

Law: a figure alone says nothing of another machine, so every one stands beside the least that the same work could cost
(a bare COPY, a plain merge) or beside the limit the product promises, and is told as a ratio. Invented worlds, a
scratch database that is dropped afterwards, a temporary folder: nothing of the project is read or changed.

``figures`` is what is told, ``scratch`` where it runs, ``measure`` how time and memory are taken; ``ledger`` (with
``ledger_load``, ``ledger_posting`` and ``ledger_reading``), ``intake``, ``matching`` and ``daily`` are what is
measured.
"""
