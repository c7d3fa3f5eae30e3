"""Read models, in the areas of the domain, and the engine that folds the log into them.

A simple read model is one module: its tables, one function per event type, its reporting views, its queries. A hot one
is a folder: ``tables.py``, ``fold.py`` with SQL written by hand, ``queries.py``. `projections.registry` lists them all.
The SQL that is derived from the tables is committed beside them, as ``<read model>.sql``; `make sql` writes it.

The engine: `columns` declares tables, `declared` folds simple read models, `ddl`, `reporting`, `writing` and `listing`
derive SQL. `tables` makes what read models need, `runner` folds page by page, `follow` keeps doing so, `rebuild` folds
new tables and replaces the old ones, `lag` and `verify` report on them, `waiting` lets a reader wait for its own write.
"""
