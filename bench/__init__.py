"""Reproducible measurements, each followed by a check that the measured work is correct.

`harness` starts servers, drives load and counts. `scenarios` has one measurement in each file. `peers` are the programs
to compare with. `reporters` write the result. `python -m bench --help` lists the options. `docs/performance.md` is
rendered from a result; no figure in it is typed by hand, except in its section of peers.
"""
