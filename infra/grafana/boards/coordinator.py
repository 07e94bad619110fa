"""The coordinator from the inside: its API, journal, event loop and scheduling, and its lines to workers."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from boards.panels import Panel, Runbook, Unit, graph
from boards.panels import board as make_board

_RATE = "[$__rate_interval]"
_COORDINATOR = 'job="apollo-coordinator"'


def board() -> Dashboard:
    return make_board(
        "apollo-coordinator",
        "Apollo / Coordinator",
        "Its API, its journal, its event loop, how soon it schedules, and how it gets on with workers.",
        {
            "API": _api(),
            "Journal": _journal(),
            "Event loop and process": _process(),
            "Scheduling": _scheduling(),
            "Workers and stores": _outside(),
        },
    )


def _api() -> list[Panel]:
    return [
        graph(
            "Requests by status",
            Unit.REQUESTS_PER_SECOND,
            "5xx are the coordinator's own troubles: a full volume, a cluster that is silent about tokens, a defect.",
            Runbook.COORDINATOR_DOWN,
            {"{{status}}": f"sum by (status) (rate(apollo_http_requests_total{_RATE}))"},
            stacked=True,
        ),
        graph(
            "How long answers take",
            Unit.SECONDS,
            "95th percentile by route, without event and log streams.",
            Runbook.EVENT_LOOP_LAG,
            {
                "{{method}} {{route}}": "histogram_quantile(0.95, sum by (method, route, le) "
                f"(rate(apollo_http_request_duration_seconds_bucket{_RATE})))"
            },
        ),
        graph(
            "Under way",
            Unit.COUNT,
            "Requests that are not answered yet; event streams stay open while they are followed.",
            Runbook.EVENT_LOOP_LAG,
            {"active": "sum(apollo_http_requests_active)"},
        ),
        graph(
            "Callers who were refused",
            Unit.REQUESTS_PER_SECOND,
            "By reason. The audit lines of the log say who asked for what.",
            Runbook.REFUSED,
            {"{{reason}}": f"sum by (reason) (rate(apollo_http_refusals_total{_RATE}))"},
        ),
        graph(
            "Jobs submitted",
            Unit.COUNT,
            "Accepted in each interval of the graph.",
            Runbook.WAITING,
            {"submitted": f"sum(increase(apollo_jobs_submitted_total{_RATE}))"},
        ),
        graph(
            "Artifacts",
            Unit.BYTES,
            "Programs and files that were uploaded, on the coordinator's volume.",
            Runbook.VOLUME_NEARLY_FULL,
            {"store": "sum(apollo_artifact_store_bytes)"},
        ),
    ]


def _journal() -> list[Panel]:
    return [
        graph(
            "How long an append takes",
            Unit.SECONDS,
            "One group commit with its fsync. Every decision waits for one.",
            Runbook.JOURNAL_SLOW,
            {
                "mean": "max(namespace:apollo_journal_append_duration_seconds:mean_rate5m)",
                "99 %": "histogram_quantile(0.99, sum by (le) "
                f"(rate(apollo_journal_append_duration_seconds_bucket{_RATE})))",
            },
        ),
        graph(
            "Facts written",
            Unit.PER_SECOND,
            "What happened to jobs, tasks and attempts.",
            Runbook.JOURNAL_SLOW,
            {"facts": f"sum(rate(apollo_journal_facts_total{_RATE}))"},
        ),
        graph(
            "Append under way",
            Unit.SECONDS,
            "How long the one has taken that has not ended. It grows while the disk hangs.",
            Runbook.JOURNAL_SLOW,
            {"age": "max(apollo_journal_append_age_seconds)"},
        ),
        graph(
            "Facts that wait",
            Unit.COUNT,
            "Not written yet. They gather while an append is slow.",
            Runbook.JOURNAL_SLOW,
            {"waiting": "sum(apollo_journal_waiting_facts)"},
        ),
        graph(
            "Appends that failed",
            Unit.COUNT,
            "In each interval; they are tried again, those of new jobs by who submits them. `stalled`: none succeeds.",
            Runbook.JOURNAL_SLOW,
            {
                "failed": f"sum(increase(apollo_journal_append_failures_total{_RATE}))",
                "stalled": "max(apollo_journal_stalled)",
            },
        ),
        graph(
            "Size",
            Unit.BYTES,
            "The journal's file and its write-ahead log.",
            Runbook.SIZING,
            {"journal": "sum(apollo_journal_size_bytes)"},
        ),
        graph(
            "Space left",
            Unit.SHARE,
            "Of the volumes that the coordinator mounts: its own (data), and the one with map outputs (intermediate).",
            Runbook.VOLUME_NEARLY_FULL,
            {
                "{{volume}}": f"min by (volume) (apollo_volume_free_bytes{{{_COORDINATOR}}} "
                f"/ apollo_volume_size_bytes{{{_COORDINATOR}}})"
            },
        ),
    ]


def _process() -> list[Panel]:
    return [
        graph(
            "Event-loop lag",
            Unit.SECONDS,
            "99th percentile of how late timers fire, in five minutes.",
            Runbook.EVENT_LOOP_LAG,
            {"99 %": f"max(namespace_job:apollo_event_loop_lag_seconds:p99_rate5m{{{_COORDINATOR}}})"},
        ),
        graph(
            "Processor",
            Unit.SHARE,
            "Of one processor. The event loop has no more than one: near 1 everything is late.",
            Runbook.SIZING,
            {"used": f"sum(rate(process_cpu_seconds_total{{{_COORDINATOR}}}{_RATE}))"},
        ),
        graph(
            "Memory",
            Unit.BYTES,
            "Resident size. It grows with unfinished tasks and ended jobs that are kept, not with data.",
            Runbook.SIZING,
            {"resident": f"max(process_resident_memory_bytes{{{_COORDINATOR}}})"},
        ),
    ]


def _scheduling() -> list[Panel]:
    return [
        graph(
            "From ready to started",
            Unit.SECONDS,
            "A task's wait for its attempt, median and 99th percentile. With idle workers it is some milliseconds.",
            Runbook.WAITING,
            {
                "{{phase}} median": _latency(0.5),
                "{{phase}} 99 %": _latency(0.99),
            },
        ),
        graph(
            "Events",
            Unit.PER_SECOND,
            "Handled by the scheduling core, the busiest kinds.",
            Runbook.EVENT_LOOP_LAG,
            {"{{event}}": f"topk(8, sum by (event) (rate(apollo_scheduler_events_total{_RATE})))"},
        ),
        graph(
            "Attempts started",
            Unit.PER_SECOND,
            "With backup attempts.",
            Runbook.STRAGGLERS,
            {"{{phase}}": f"sum by (phase) (rate(apollo_attempts_started_total{_RATE}))"},
        ),
    ]


def _outside() -> list[Panel]:
    return [
        graph(
            "Calls to workers",
            Unit.REQUESTS_PER_SECOND,
            "By method and result, without the streams of attempts.",
            Runbook.WORKERS_FLAPPING,
            {"{{method}}: {{result}}": f"sum by (method, result) (rate(apollo_grpc_calls_total{_RATE}))"},
        ),
        graph(
            "How long calls take",
            Unit.SECONDS,
            "95th percentile, without the streams of attempts.",
            Runbook.WORKERS_FLAPPING,
            {
                "{{method}}": "histogram_quantile(0.95, sum by (method, le) "
                f"(rate(apollo_grpc_call_duration_seconds_bucket{_RATE})))"
            },
        ),
        graph(
            "Streams",
            Unit.COUNT,
            "Of running attempts. Opening for long: workers that do not answer.",
            Runbook.WORKERS_FLAPPING,
            {"{{state}}": "sum by (state) (apollo_grpc_streams)"},
        ),
        graph(
            "Streams that broke",
            Unit.COUNT,
            "Before their attempt had ended, in each interval. They are opened again where the worker still lives.",
            Runbook.WORKERS_FLAPPING,
            {"broken": f"sum(increase(apollo_grpc_stream_breaks_total{_RATE}))"},
        ),
        graph(
            "S3 requests",
            Unit.REQUESTS_PER_SECOND,
            "By the coordinator: inputs are listed, outputs begun and published.",
            Runbook.S3_ERRORS,
            {
                "{{operation}}: {{result}}": (
                    f"sum by (operation, result) (rate(apollo_s3_requests_total{{{_COORDINATOR}}}{_RATE})) > 0"
                )
            },
        ),
        graph(
            "How long S3 requests take",
            Unit.SECONDS,
            "95th percentile with repeats.",
            Runbook.S3_ERRORS,
            {
                "{{operation}}": "histogram_quantile(0.95, sum by (operation, le) "
                f"(rate(apollo_s3_request_duration_seconds_bucket{{{_COORDINATOR}}}{_RATE})))"
            },
        ),
    ]


def _latency(quantile: float) -> str:
    return f"histogram_quantile({quantile}, sum by (phase, le) (rate(apollo_scheduling_latency_seconds_bucket{_RATE})))"
