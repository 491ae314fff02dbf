"""An index for each thing that is looked for again and again, which ends where the work ends.

Made beside the traffic, one after another; a migration that was cut off goes on where it was.
"""

from afterbell.adapters.db.migrations import create_index_concurrently, drop_index_concurrently

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_UNFINISHED = "WHERE status IN ('queued', 'deferred', 'running')"
_INDEXES = {
    # Pages of the sweeper, and the position in the queue.
    "reports_unfinished_created_at_id_idx": f"reports (created_at, id) {_UNFINISHED}",
    # Lists of a tenant's jobs, of any age.
    "reports_tenant_id_created_at_id_idx": "reports (tenant_id, created_at, id)",
    # What retention deletes, oldest first.
    "sessions_transcript_idx": "sessions (updated_at) WHERE emptied_at IS NULL AND last_seq > 0",
    "reports_ended_idx": (
        "reports (coalesce(finished_at, created_at)) WHERE status IN ('succeeded', 'failed', 'cancelled')"
    ),
    "report_attempts_ended_idx": "report_attempts (ended_at) WHERE outcome IS NOT NULL",
    "webhook_deliveries_ended_idx": "webhook_deliveries (ended_at) WHERE status <> 'pending'",
    "audit_log_at_idx": "audit_log (at)",
    # The next message of each endpoint.
    "webhook_deliveries_next_idx": "webhook_deliveries (endpoint_id, due_at) WHERE status = 'pending'",
    # When the next one is due. Its condition is one that only this question names: while few were pending when the
    # table was last analysed, the planner would read this index from end to end for each endpoint.
    "webhook_deliveries_soonest_idx": "webhook_deliveries (due_at) WHERE status = 'pending' AND attempt >= 0",
}
_REPLACED = {
    "reports_unfinished_idx": f"reports (created_at) {_UNFINISHED}",
    "webhook_deliveries_due_idx": "webhook_deliveries (due_at) WHERE status = 'pending'",
}


def upgrade() -> None:
    """Make them, then drop the one that is replaced."""
    for name, on in _INDEXES.items():
        create_index_concurrently(name, on)
    for name in _REPLACED:
        drop_index_concurrently(name)


def downgrade() -> None:
    """The other way round."""
    for name, on in _REPLACED.items():
        create_index_concurrently(name, on)
    for name in _INDEXES:
        drop_index_concurrently(name)
