"""The dashboards of what the processes stand on: sockets, Redis, PostgreSQL."""

from typing import Final

from tools.dashboards.panels import Board, Mark, panel
from tools.dashboards.queries import RATE, quantile_of

REALTIME: Final = Board(
    "realtime",
    "Realtime",
    "Are sockets open, fast and connected to the other pods?",
    {
        "Sockets": [
            panel(
                "Sockets",
                "Open now, by api pod.",
                "short",
                {"{{instance}}": "sum by (instance) (afterbell_realtime_sockets)"},
            ),
            panel(
                "Handshakes",
                "Per second, by result.",
                "ops",
                {"{{result}}": f"sum by (result) (rate(afterbell_realtime_handshakes_total{RATE}))"},
            ),
            panel(
                "Disconnects",
                "Per second, by reason.",
                "ops",
                {"{{reason}}": f"sum by (reason) (rate(afterbell_realtime_disconnects_total{RATE}))"},
            ),
            panel(
                "Closed by the server",
                "Sockets per minute, by reason: slow readers, expired tokens, floods, draining.",
                "opm",
                {"{{reason}}": f"60 * sum by (reason) (rate(afterbell_realtime_closed_total{RATE})) or vector(0)"},
            ),
            panel(
                "Time to acknowledge",
                "From a client's event to its acknowledgement. Promised: within 20 ms.",
                "s",
                {
                    "p50 {{event}}": quantile_of(0.5, "afterbell_realtime_event_seconds", "le, event"),
                    "p99 {{event}}": quantile_of(0.99, "afterbell_realtime_event_seconds", "le, event"),
                },
                marks=(Mark(0.02, "orange"),),
            ),
            panel(
                "Events",
                "Per second, by name and result.",
                "ops",
                {
                    "{{event}} {{result}}": f"sum by (event, result) (rate(afterbell_realtime_event_seconds_count{RATE}))"
                },
            ),
            panel(
                "Copies delivered",
                "To sockets, per second; progress not sent to slow readers.",
                "ops",
                {
                    "delivered": f"sum(rate(afterbell_realtime_delivered_total{RATE}))",
                    "skipped": f"sum(rate(afterbell_realtime_skipped_total{RATE}))",
                },
            ),
            panel(
                "Fan-out",
                "Average number of local sockets per event.",
                "none",
                {
                    "sockets": f"sum(rate(afterbell_realtime_fanout_sockets_sum{RATE}))"
                    f" / sum(rate(afterbell_realtime_fanout_sockets_count{RATE}))"
                },
            ),
            panel(
                "Time to deliver",
                "One event to all sockets of its room on a pod, p99.",
                "s",
                {"{{instance}}": quantile_of(0.99, "afterbell_realtime_emit_seconds", "le, instance")},
            ),
            panel(
                "Rooms",
                "With a client, by pod.",
                "short",
                {"{{instance}}": "sum by (instance) (afterbell_realtime_rooms)"},
            ),
            panel(
                "Catch-up",
                "Messages that clients read to catch up, per second, and pages of them.",
                "ops",
                {
                    "messages": f"sum(rate(afterbell_realtime_catchup_rows_total{RATE}))",
                    "pages": f"sum(rate(afterbell_realtime_catchups_total{RATE}))",
                },
            ),
            panel(
                "Slowest reader",
                "Bytes it has not read yet.",
                "bytes",
                {"{{instance}}": "max by (instance) (afterbell_realtime_unread_max_bytes)"},
            ),
        ],
        "Between pods": [
            panel(
                "Bus connected",
                "1 while other api pods can be reached.",
                "bool",
                {"{{instance}}": "max by (instance) (afterbell_realtime_bus_connected)"},
            ),
            panel(
                "Published",
                "Messages per second, and those that other pods did not receive.",
                "ops",
                {
                    "published": f"sum(rate(afterbell_realtime_bus_published_total{RATE}))",
                    "dropped": f"sum(rate(afterbell_realtime_bus_dropped_total{RATE}))",
                },
            ),
            panel(
                "Wait to publish",
                "Messages queued for other pods.",
                "short",
                {"{{instance}}": "max by (instance) (afterbell_realtime_bus_queue_depth)"},
            ),
            panel(
                "Time to publish",
                "One batch of messages to Redis, p99.",
                "s",
                {"{{instance}}": quantile_of(0.99, "afterbell_realtime_bus_publish_seconds", "le, instance")},
            ),
            panel(
                "Own echo",
                "Age of the newest heartbeat that came back through Redis.",
                "s",
                {"{{instance}}": "max by (instance) (afterbell_realtime_bus_echo_age_seconds)"},
            ),
            panel(
                "Bus reconnects",
                "Times the bus connected or reconnected, in the last 15 minutes.",
                "short",
                {"{{instance}}": "sum by (instance) (increase(afterbell_realtime_bus_resubscribes_total[15m]))"},
            ),
        ],
        "The process": [
            panel(
                "Event loop",
                "Lateness of its last one-second tick.",
                "s",
                {"{{instance}}": "max by (instance) (afterbell_realtime_loop_lag_seconds)"},
                marks=(Mark(0.5, "red"),),
            ),
            panel(
                "Tasks",
                "In the event loop; three or four per socket.",
                "short",
                {"{{instance}}": "max by (instance) (afterbell_realtime_tasks)"},
            ),
            panel(
                "Draining",
                "1 while a pod is draining its sockets.",
                "bool",
                {"{{instance}}": "max by (instance) (afterbell_realtime_draining)"},
            ),
        ],
    },
    instances_of="api",
)

STORES: Final = Board(
    "stores",
    "Redis & PostgreSQL",
    "Do they answer, how fast, and how close are they to their limits?",
    {
        "Redis": [
            panel(
                "Commands",
                "Per minute, by purpose, as a hosted Redis bills them.",
                "opm",
                {"{{purpose}}": f"60 * sum by (purpose) (rate(afterbell_redis_commands_total{RATE}))"},
                stacked=True,
            ),
            panel(
                "Today",
                "Commands since midnight UTC, as the queue counts them.",
                "short",
                {"commands": "max(afterbell_redis_commands_today)"},
                marks=(Mark(10_000, "red"),),
            ),
            panel(
                "Share of daily budget",
                "Commands today / AFTERBELL_REDIS_COMMANDS_PER_DAY; 0 = no budget set.",
                "percentunit",
                {"used": "max(afterbell_redis_budget_used_ratio)"},
                marks=(Mark(0.9, "red"),),
            ),
            panel(
                "Operation time",
                "p99 of the queue's scripts, by operation.",
                "s",
                {"{{purpose}}": quantile_of(0.99, "afterbell_redis_command_duration_seconds", "le, purpose")},
            ),
            panel(
                "Unanswered",
                "Queue operations that Redis did not answer, per minute.",
                "opm",
                {"errors": f"60 * (sum(rate(afterbell_redis_errors_total{RATE})) or vector(0))"},
            ),
            panel(
                "Memory",
                "As the operator last read it, and the limit, if one is set.",
                "bytes",
                {"used": "max(afterbell_redis_memory_bytes)", "maxmemory": "max(afterbell_redis_memory_max_bytes)"},
                marks=(Mark(256e6, "red"),),
            ),
            panel(
                "Connections",
                "To Redis, by process.",
                "short",
                {"{{instance}}": "sum by (instance) (afterbell_redis_connections)"},
            ),
        ],
        "PostgreSQL": [
            panel(
                "Pool",
                "Connections in use, and their maximum.",
                "short",
                {
                    "busy": "sum(afterbell_postgres_pool_busy_connections)",
                    "allowed": "sum(afterbell_postgres_pool_connections)",
                },
            ),
            panel(
                "Wait for a connection",
                "p99, by process.",
                "s",
                {"{{instance}}": quantile_of(0.99, "afterbell_postgres_pool_wait_seconds", "le, instance")},
            ),
            panel(
                "Unanswered",
                "Times PostgreSQL did not answer, per minute.",
                "opm",
                {"errors": f"60 * sum(rate(afterbell_postgres_unavailable_total{RATE}))"},
            ),
        ],
    },
)
