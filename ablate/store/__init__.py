"""WHERE results are kept: SQLite (or PostgreSQL) through SQLAlchemy. No ORM object leaves this package.

Import from `ablate.store.store`, which is slow to import; this package itself costs nothing.
"""
