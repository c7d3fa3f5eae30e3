"""Reproducible measurements, each followed by a check that what was measured is also right.

`harness` starts servers, drives load and counts; `scenarios` say what is measured, one a file; `peers` are what it is
measured beside; `reporters` write the result. `python -m bench --help` runs it; `docs/performance.md` is rendered from
a result, never typed.
"""
