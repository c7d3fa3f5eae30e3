"""Read models: one room each (its tables, its fold, its queries), and the engine that folds the log into them.

A room is a folder: ``schema.sql`` its tables, ``fold.py`` how events become rows, ``queries.py`` how rows are read,
``reporting.sql`` its views for reporting tools. `projections.registry` lists them.

The engine: `tables` makes what rooms need, `engine` folds page by page, `follow` keeps doing so, `rebuild` folds
new tables and replaces the old ones, `lag` and `verify` say how it stands, `waiting` lets a reader wait for its own write.
"""
