"""What becomes of the work: each phase's throughput, what holds it up, why it fails, how evenly it is spread."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from boards.panels import Panel, Runbook, Unit, graph
from boards.panels import board as make_board

_RATE = "[$__rate_interval]"
_STEPS = "apollo_attempt_step_seconds_total"


def board() -> Dashboard:
    return make_board(
        "apollo-job-flow",
        "Apollo / Job flow",
        "Where jobs spend their time, what holds them up, and why they fail.",
        {
            "Throughput of each phase": _throughput(),
            "Tasks and stragglers": _stragglers(),
            "Failures by cause": _failures(),
            "Skew": _skew(),
        },
    )


def _throughput() -> list[Panel]:
    """The coordinator's counters: exact, but in steps. What workers do meanwhile is on their board."""
    return [
        graph(
            "Tasks done",
            Unit.PER_SECOND,
            "Attempts that were accepted, one for each task. What they moved is told at the same time, in steps.",
            Runbook.SIZING,
            {"{{phase}}": f'sum by (phase) (rate(apollo_attempts_total{{outcome="succeeded"}}{_RATE}))'},
        ),
        graph(
            "Map: bytes",
            Unit.BYTES_PER_SECOND,
            "Input of accepted map attempts.",
            Runbook.SIZING,
            {"input": _accepted("input_bytes")},
        ),
        graph(
            "Map: records",
            Unit.RECORDS_PER_SECOND,
            "Read, emitted by mappers, left by combiners, and written in sorted runs.",
            Runbook.SIZING,
            {
                "read": _accepted("input_records"),
                "emitted": _accepted("map_output_records"),
                "combined": _accepted("combine_output_records"),
                "spilled": _accepted("spilled_records"),
            },
        ),
        graph(
            "Shuffle: bytes",
            Unit.BYTES_PER_SECOND,
            "Map output that was accepted; what was lost and made again counts again.",
            Runbook.SIZING,
            {"map output": _accepted("shuffle_bytes")},
        ),
        graph(
            "Reduce: keys and records",
            Unit.RECORDS_PER_SECOND,
            "Keys given to reducers, and records that came out (also of map-only jobs).",
            Runbook.SIZING,
            {"keys": _accepted("reduce_input_groups"), "records out": _accepted("output_records")},
        ),
        graph(
            "Output: bytes",
            Unit.BYTES_PER_SECOND,
            "In accepted parts. It is published when its job commits.",
            Runbook.SIZING,
            {"output": _accepted("output_bytes")},
        ),
    ]


def _stragglers() -> list[Panel]:
    return [
        graph(
            "Tasks ready, attempts running",
            Unit.COUNT,
            "Tasks that wait for a worker alone, and attempts under way. Many ready and few running: too few workers.",
            Runbook.WAITING,
            {
                "{{phase}} ready": "sum by (phase) (apollo_tasks_ready)",
                "{{phase}} running": "sum by (phase) (apollo_attempts_running)",
            },
        ),
        graph(
            "How long attempts take",
            Unit.SECONDS,
            "Of those that succeeded, median and 95th percentile.",
            Runbook.STRAGGLERS,
            {
                "{{phase}} median": _attempt_seconds(0.5),
                "{{phase}} 95 %": _attempt_seconds(0.95),
            },
        ),
        graph(
            "What holds attempts up",
            Unit.SHARE,
            "Of the time of accepted attempts. Mostly `program`: Apollo waits for the user's programs.",
            Runbook.TIME,
            {
                "{{phase}} {{step}}": (
                    f"sum by (phase, step) (rate({_STEPS}{_RATE})) "
                    f"/ on (phase) group_left () sum by (phase) (rate({_STEPS}{_RATE})) > 0"
                )
            },
        ),
        graph(
            "Oldest running attempt",
            Unit.SECONDS,
            "Beside it what 95 % of the attempts took in the last hour. Far above: a straggler, or one that hangs.",
            Runbook.STRAGGLERS,
            {
                "{{phase}} oldest": "max by (phase) (apollo_oldest_running_attempt_age_seconds)",
                "{{phase}} usual": "max by (phase) (namespace_phase:apollo_attempt_duration_seconds:p95_rate1h)",
            },
        ),
        graph(
            "Backup attempts",
            Unit.COUNT,
            "Started for stragglers, and those that were done first, in each interval of the graph.",
            Runbook.STRAGGLERS,
            {
                "{{phase}} started": f"sum by (phase) (increase(apollo_speculative_attempts_total{_RATE}))",
                "{{phase}} won": f"sum by (phase) (increase(apollo_speculative_attempts_won_total{_RATE}))",
            },
        ),
        graph(
            "From ready to started",
            Unit.SECONDS,
            "95th percentile of a task's wait for a worker. It grows when there are more tasks than workers.",
            Runbook.WAITING,
            {"{{phase}}": "max by (phase) (namespace_phase:apollo_scheduling_latency_seconds:p95_rate5m)"},
        ),
        graph(
            "Waiting for the start",
            Unit.SECONDS,
            "95th percentile of the time between a job's acceptance and its start.",
            Runbook.WAITING,
            {"95 %": f"histogram_quantile(0.95, sum by (le) (rate(apollo_job_queue_duration_seconds_bucket{_RATE})))"},
        ),
    ]


def _failures() -> list[Panel]:
    return [
        graph(
            "Attempts by outcome",
            Unit.PER_SECOND,
            "Lost ones say nothing of the program: their worker went. Cancelled ones were second, or their job ended.",
            Runbook.FAILING,
            {"{{phase}} {{outcome}}": f"sum by (phase, outcome) (rate(apollo_attempts_total{_RATE}))"},
            stacked=True,
        ),
        graph(
            "Attempts without result",
            Unit.SHARE,
            "Failed or lost, of those that were not cancelled, in five minutes.",
            Runbook.FAILING,
            {"{{phase}}": "max by (phase) (namespace_phase:apollo_attempts_wasted:ratio_rate5m)"},
        ),
        graph(
            "Why attempts end without result",
            Unit.PER_SECOND,
            "By the reason that the runbook's table explains.",
            Runbook.FAILING,
            {
                "{{phase}} {{outcome}}: {{reason}}": (
                    f"sum by (phase, outcome, reason) (rate(apollo_attempt_setbacks_total{_RATE})) > 0"
                )
            },
            stacked=True,
        ),
        graph(
            "Why jobs fail",
            Unit.COUNT,
            "Jobs that failed in each interval of the graph, by reason.",
            Runbook.FAILING,
            {"{{reason}}": f"sum by (reason) (increase(apollo_job_failures_total{_RATE})) > 0"},
            stacked=True,
        ),
        graph(
            "Map outputs that were gone",
            Unit.COUNT,
            "Reduce attempts that could not read one, and outputs that were given up, so that their map ran again.",
            Runbook.FAILING,
            {
                "fetch failures": f"sum(increase(apollo_fetch_failures_total{_RATE}))",
                "given up": f"sum(increase(apollo_map_outputs_lost_total{_RATE}))",
            },
        ),
        graph(
            "Workers lost",
            Unit.COUNT,
            "That ended by themselves, ran out of memory or fell silent; and those in quarantine for failing in a row.",
            Runbook.WORKERS_FLAPPING,
            {
                "{{cause}}": 'sum by (cause) (increase(apollo_workers_left_total{cause!="released"}' + f"{_RATE}))",
                "quarantined": f"sum(increase(apollo_workers_quarantined_total{_RATE}))",
            },
        ),
    ]


def _skew() -> list[Panel]:
    return [
        graph(
            "Largest task over the median",
            Unit.TIMES,
            "Of the jobs that ended: how much longer the longest task took, and how much more it read. 1 is even.",
            Runbook.STRAGGLERS,
            {
                "{{phase}} {{measure}}": "histogram_quantile(0.95, sum by (phase, measure, le) "
                f"(rate(apollo_phase_skew_ratio_bucket{_RATE})))"
            },
        ),
        graph(
            "Input of an attempt",
            Unit.BYTES,
            "Median and 99th percentile. Far apart in reduce: a few keys have most of the values.",
            Runbook.STRAGGLERS,
            {
                "{{phase}} median": _attempt_bytes(0.5),
                "{{phase}} 99 %": _attempt_bytes(0.99),
            },
        ),
    ]


def _accepted(counter: str) -> str:
    return f"sum(rate(apollo_{counter}_total{_RATE}))"


def _attempt_seconds(quantile: float) -> str:
    buckets = f'rate(apollo_attempt_duration_seconds_bucket{{outcome="succeeded"}}{_RATE})'
    return f"histogram_quantile({quantile}, sum by (phase, le) ({buckets}))"


def _attempt_bytes(quantile: float) -> str:
    return f"histogram_quantile({quantile}, sum by (phase, le) (rate(apollo_attempt_input_bytes_bucket{_RATE})))"
