"""The schema's history: Alembic versions whose content is plain SQL files, applied by `migrations.runner`."""


class MigrationError(RuntimeError):
    """The database cannot be migrated; the message is one sentence that says why."""
