"""WHERE results are kept: SQLite (or PostgreSQL) through SQLAlchemy. No ORM object leaves this package."""
