"""Who read what about whom: rows beside the log, written by processes of the API and read by auditors."""
