"""Answers that cost no more the more there is: sums of model calls by day, and a way to the reports that have an error.

A trigger, not a statement beside each close: a worker of the version before, still there while this one is rolled out,
counts as well.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COLUMNS = """day, tenant_id, model, calls, reports, input_tokens, output_tokens, cost_usd, estimated_calls,
    unpriced_calls"""
_MODEL = "coalesce(served_model, model)"


def upgrade() -> None:
    """Make the sums of what has ended, and keep them from now on."""
    op.create_index("reports_error_idx", "reports", ["created_at", "id"], postgresql_where=sa.text("error IS NOT NULL"))
    op.create_table(
        "daily_costs",
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("calls", "reports", "input_tokens", "output_tokens", "estimated_calls", "unpriced_calls")
        ),
        sa.Column("cost_usd", sa.Numeric, nullable=False),
        sa.PrimaryKeyConstraint("day", "tenant_id", "model", name="daily_costs_pkey"),
    )
    # Nothing ends between the sums and the trigger.
    op.execute("LOCK TABLE model_calls IN SHARE ROW EXCLUSIVE MODE")
    op.execute(
        f"""INSERT INTO daily_costs ({_COLUMNS})
        SELECT day, tenant_id, {_MODEL}, count(*), count(DISTINCT report_id), coalesce(sum(input_tokens), 0),
            coalesce(sum(output_tokens), 0), coalesce(sum(cost_usd), 0), count(*) FILTER (WHERE estimated),
            count(*) FILTER (WHERE cost_usd IS NULL)
        FROM model_calls WHERE outcome IS NOT NULL GROUP BY day, tenant_id, {_MODEL}"""  # noqa: S608  # all ours
    )
    op.execute(_FUNCTION)
    for act in ("INSERT", "UPDATE OF outcome"):
        was_open = "" if act == "INSERT" else "OLD.outcome IS NULL AND "
        op.execute(
            f"""CREATE TRIGGER model_calls_ended_by_{act.partition(" ")[0].lower()} AFTER {act} ON model_calls
            FOR EACH ROW WHEN ({was_open}NEW.outcome IS NOT NULL) EXECUTE FUNCTION afterbell_add_daily_costs()"""
        )


# A report counts with the first of its calls.
_FUNCTION = f"""
    CREATE FUNCTION afterbell_add_daily_costs() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE named text := coalesce(NEW.served_model, NEW.model);
    BEGIN
      INSERT INTO daily_costs AS sums ({_COLUMNS})
      VALUES (NEW.day, NEW.tenant_id, named, 1,
        (NEW.report_id IS NOT NULL AND NOT EXISTS (
          SELECT FROM model_calls WHERE report_id = NEW.report_id AND day = NEW.day AND {_MODEL} = named
            AND outcome IS NOT NULL AND id <> NEW.id))::int,
        coalesce(NEW.input_tokens, 0), coalesce(NEW.output_tokens, 0), coalesce(NEW.cost_usd, 0),
        NEW.estimated::int, (NEW.cost_usd IS NULL)::int)
      ON CONFLICT (day, tenant_id, model) DO UPDATE SET
        calls = sums.calls + excluded.calls, reports = sums.reports + excluded.reports,
        input_tokens = sums.input_tokens + excluded.input_tokens,
        output_tokens = sums.output_tokens + excluded.output_tokens, cost_usd = sums.cost_usd + excluded.cost_usd,
        estimated_calls = sums.estimated_calls + excluded.estimated_calls,
        unpriced_calls = sums.unpriced_calls + excluded.unpriced_calls;
      RETURN NULL;
    END $$"""  # noqa: S608  # all ours


def downgrade() -> None:
    """Drop them; the calls stay."""
    op.execute("DROP TRIGGER model_calls_ended_by_insert ON model_calls")
    op.execute("DROP TRIGGER model_calls_ended_by_update ON model_calls")
    op.execute("DROP FUNCTION afterbell_add_daily_costs()")
    op.drop_table("daily_costs")
    op.drop_index("reports_error_idx", "reports")
