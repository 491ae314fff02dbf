"""The dashboards of what the processes stand on: sockets, Redis, PostgreSQL."""

from typing import Final

from tools.dashboards.panels import Board, Mark, panel

_R: Final = "[$__rate_interval]"


def _p(quantile: float, metric: str, by: str = "le") -> str:
    return f"histogram_quantile({quantile}, sum by ({by}) (rate({metric}_bucket{_R})))"


REALTIME: Final = Board("realtime", "Realtime", "Are sockets open, quick and in touch with the other pods?", {
    "Sockets": [
        panel("Sockets", "Open now, by api pod.", "short",
              {"{{instance}}": "sum by (instance) (afterbell_realtime_sockets)"}),
        panel("Handshakes", "A second, by result.", "ops",
              {"{{result}}": f"sum by (result) (rate(afterbell_realtime_handshakes_total{_R}))"}),
        panel("Disconnects", "A second, by reason.", "ops",
              {"{{reason}}": f"sum by (reason) (rate(afterbell_realtime_disconnects_total{_R}))"}),
        panel("Closed by us", "Sockets a minute, by reason: slow readers, expired tokens, floods, a drain.", "opm",
              {"{{reason}}": f"60 * sum by (reason) (rate(afterbell_realtime_closed_total{_R})) or vector(0)"}),
        panel("Time to acknowledge", "From a client's event to its acknowledgement. Promised in 20 ms.", "s",
              {"half {{event}}": _p(0.5, "afterbell_realtime_event_seconds", "le, event"),
               "99 % {{event}}": _p(0.99, "afterbell_realtime_event_seconds", "le, event")},
              marks=(Mark(0.02, "orange"),)),
        panel("Events", "A second, by name and result.", "ops",
              {"{{event}} {{result}}": f"sum by (event, result) (rate(afterbell_realtime_event_seconds_count{_R}))"}),
        panel("Copies handed out", "To sockets, a second; progress not sent to slow readers.", "ops",
              {"delivered": f"sum(rate(afterbell_realtime_delivered_total{_R}))",
               "skipped": f"sum(rate(afterbell_realtime_skipped_total{_R}))"}),
        panel("Fan-out", "Sockets here that one event goes to, on average.", "none",
              {"sockets": f"sum(rate(afterbell_realtime_fanout_sockets_sum{_R}))"
                          f" / sum(rate(afterbell_realtime_fanout_sockets_count{_R}))"}),
        panel("Time to hand out", "One event to all sockets of its room on a pod, 99 %.", "s",
              {"{{instance}}": _p(0.99, "afterbell_realtime_emit_seconds", "le, instance")}),
        panel("Rooms", "With a member, by pod.", "short",
              {"{{instance}}": "sum by (instance) (afterbell_realtime_rooms)"}),
        panel("Caught up", "Messages read again by clients, a second, and pages of them.", "ops",
              {"messages": f"sum(rate(afterbell_realtime_catchup_rows_total{_R}))",
               "pages": f"sum(rate(afterbell_realtime_catchups_total{_R}))"}),
        panel("Slowest reader", "Bytes it has not taken yet.", "bytes",
              {"{{instance}}": "max by (instance) (afterbell_realtime_unread_max_bytes)"}),
    ],
    "Between pods": [
        panel("In touch", "1 while other api pods are within reach.", "bool",
              {"{{instance}}": "max by (instance) (afterbell_realtime_bus_connected)"}),
        panel("Published", "A second, and what other pods did not get.", "ops",
              {"published": f"sum(rate(afterbell_realtime_bus_published_total{_R}))",
               "dropped": f"sum(rate(afterbell_realtime_bus_dropped_total{_R}))"}),
        panel("Wait to publish", "Messages queued for other pods.", "short",
              {"{{instance}}": "max by (instance) (afterbell_realtime_bus_queue_depth)"}),
        panel("Time to publish", "One pipeline of messages to Redis, 99 %.", "s",
              {"{{instance}}": _p(0.99, "afterbell_realtime_bus_publish_seconds", "le, instance")}),
        panel("Own echo", "Age of the newest own sign of life that came back through Redis.", "s",
              {"{{instance}}": "max by (instance) (afterbell_realtime_bus_echo_age_seconds)"}),
        panel("Came up again", "Times the bus came (back) up, in the last quarter of an hour.", "short",
              {"{{instance}}": "sum by (instance) (increase(afterbell_realtime_bus_resubscribes_total[15m]))"}),
    ],
    "The process": [
        panel("Event loop", "How late its last one-second tick came.", "s",
              {"{{instance}}": "max by (instance) (afterbell_realtime_loop_lag_seconds)"}, marks=(Mark(0.5, "red"),)),
        panel("Tasks", "Of the event loop; three or four a socket.", "short",
              {"{{instance}}": "max by (instance) (afterbell_realtime_tasks)"}),
        panel("Draining", "1 while a pod sends its sockets away.", "bool",
              {"{{instance}}": "max by (instance) (afterbell_realtime_draining)"}),
    ],
}, instances_of="api")  # fmt: skip

STORES: Final = Board("stores", "Redis & PostgreSQL", "Do the stores answer, how fast, how near their limits?", {
    "Redis": [
        panel("Commands", "A minute, by purpose: what a hosted Redis bills.", "opm",
              {"{{purpose}}": f"60 * sum by (purpose) (rate(afterbell_redis_commands_total{_R}))"}, stacked=True),
        panel("Today", "Commands since midnight UTC, as the queue counts them.", "short",
              {"commands": "max(afterbell_redis_commands_today)"}, marks=(Mark(10_000, "red"),)),
        panel("Of the day's budget", "Commands today / AFTERBELL_REDIS_COMMANDS_PER_DAY; 0: no budget is set.",
              "percentunit", {"used": "max(afterbell_redis_budget_used_ratio)"}, marks=(Mark(0.9, "red"),)),
        panel("Time of a verb", "99 % of the queue's scripts, by verb.", "s",
              {"{{purpose}}": _p(0.99, "afterbell_redis_command_duration_seconds", "le, purpose")}),
        panel("Unanswered", "Verbs of the queue Redis did not answer, a minute.", "opm",
              {"errors": f"60 * (sum(rate(afterbell_redis_errors_total{_R})) or vector(0))"}),
        panel("Memory", "As the operator saw it last, and the limit where one is set.", "bytes",
              {"used": "max(afterbell_redis_memory_bytes)", "maxmemory": "max(afterbell_redis_memory_max_bytes)"},
              marks=(Mark(256e6, "red"),)),
        panel("Connections", "To Redis, by process.", "short",
              {"{{instance}}": "sum by (instance) (afterbell_redis_connections)"}),
    ],
    "PostgreSQL": [
        panel("Pool", "Connections in use, and how many there may be.", "short",
              {"busy": "sum(afterbell_postgres_pool_busy_connections)",
               "allowed": "sum(afterbell_postgres_pool_connections)"}),
        panel("Wait for a connection", "99 %, by process.", "s",
              {"{{instance}}": _p(0.99, "afterbell_postgres_pool_wait_seconds", "le, instance")}),
        panel("Unanswered", "Times PostgreSQL did not answer, a minute.", "opm",
              {"errors": f"60 * sum(rate(afterbell_postgres_unavailable_total{_R}))"}),
    ],
})  # fmt: skip
