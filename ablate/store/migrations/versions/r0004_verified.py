"""What was trained again with later code, and whether it came out bit-equal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "verified",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("code_x", sa.Text(), nullable=False),
        sa.Column("code_y", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("equal", sa.Boolean(), nullable=False),
        sa.Column("difference", sa.Double(), nullable=True),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "code_x", "code_y", "fingerprint"),
        sqlite_with_rowid=False,
    )
