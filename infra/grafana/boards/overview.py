"""Is it healthy, how much work is there, how fast is it done?"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from boards.panels import Panel, Runbook, Unit, graph, number
from boards.panels import board as make_board


def board() -> Dashboard:
    return make_board(
        "apollo-overview",
        "Apollo / Overview",
        "Is Apollo healthy, how much work has it, and how fast does it go?",
        {"Is it healthy?": _health(), "How much work?": _work(), "How fast?": _speed()},
    )


def _health() -> list[Panel]:
    return [
        number(
            "Takes jobs",
            Unit.YES_NO,
            "Whether the coordinator (of several, each) is up, has read its journal and has room for more jobs.",
            Runbook.COORDINATOR_DOWN,
            # 0 also for a namespace whose coordinator is no target any more
            "min(max by (namespace) (apollo_ready) or 0 * max by (namespace) "
            '(max_over_time(up{job="apollo-coordinator"}[1d]))) or vector(0)',
            bad_below=1,
        ),
        number(
            "Alerts that fire",
            Unit.COUNT,
            "Apollo's own. Prometheus shows which; each has an entry in the runbook.",
            Runbook.ALERTS,
            'count(ALERTS{alertname=~"Apollo.*", alertstate="firing"}) or vector(0)',
            bad_from=1,
        ),
        number(
            "Jobs that fail",
            Unit.SHARE,
            "Of the jobs that ended in the last 30 minutes; those that were stopped do not count.",
            Runbook.JOBS_FAILING,
            "max(namespace:apollo_jobs_failed:ratio_increase30m) >= 0",  # none of none is no share
            bad_from=0.5,
        ),
        number(
            "Longest without progress",
            Unit.SECONDS,
            "The job that has gone longest without reading input, finishing a task or beginning a stage.",
            Runbook.NO_PROGRESS,
            "max(apollo_job_progress_age_seconds)",
            bad_from=900,
        ),
        number(
            "Volume space left",
            Unit.SHARE,
            "Of the fullest volume: the coordinator's, the one with map outputs, or a worker's own disk.",
            Runbook.VOLUME_NEARLY_FULL,
            "min(namespace_volume:apollo_volume_free:ratio)",
            bad_below=0.1,
        ),
        number(
            "S3 requests that fail",
            Unit.SHARE,
            "Refused or not answered, after the repeats that are made for each; of all, in five minutes.",
            Runbook.S3_ERRORS,
            "max(namespace_job:apollo_s3_errors:ratio_rate5m) >= 0",
            bad_from=0.05,
        ),
    ]


def _work() -> list[Panel]:
    return [
        graph(
            "Jobs at hand",
            Unit.COUNT,
            "Jobs that have not ended. Queued ones wait for others, within the limit on running jobs.",
            Runbook.WAITING,
            {"{{status}}": "sum by (status) (apollo_jobs)"},
            stacked=True,
        ),
        graph(
            "Jobs ended",
            Unit.COUNT,
            "In each interval of the graph.",
            Runbook.JOBS_FAILING,
            {"{{status}}": "sum by (status) (increase(apollo_jobs_ended_total[$__rate_interval]))"},
            stacked=True,
        ),
        graph(
            "Waiting in the queue",
            Unit.SECONDS,
            "How long the job that has waited longest for its start has done so.",
            Runbook.WAITING,
            {"oldest": "max(apollo_oldest_queued_job_age_seconds)"},
        ),
        graph(
            "Tasks at hand",
            Unit.COUNT,
            "Of planned jobs that have not ended. Completed ones stay until their job ends.",
            Runbook.STRAGGLERS,
            {"{{phase}} {{status}}": "sum by (phase, status) (apollo_tasks)"},
            stacked=True,
        ),
        graph(
            "Workers",
            Unit.COUNT,
            "Those that are there, by what they do, and how many the pool was last asked for.",
            Runbook.WAITING,
            {"{{state}}": "sum by (state) (apollo_workers)", "wanted": "sum(apollo_workers_wanted)"},
        ),
        graph(
            "Jobs that wait for something",
            Unit.COUNT,
            "Jobs whose `trouble` says what for: a full volume, pods that cannot start, a store that is away.",
            Runbook.WAITING,
            {"troubled": "sum(apollo_jobs_troubled)"},
        ),
    ]


def _speed() -> list[Panel]:
    return [
        graph(
            "Data of accepted attempts",
            Unit.BYTES_PER_SECOND,
            "Input, map output and output, told when an attempt is accepted: in steps, but all of it.",
            Runbook.SIZING,
            {
                "input": "sum(rate(apollo_input_bytes_total[$__rate_interval]))",
                "shuffle": "sum(rate(apollo_shuffle_bytes_total[$__rate_interval]))",
                "output": "sum(rate(apollo_output_bytes_total[$__rate_interval]))",
            },
        ),
        graph(
            "Tasks done",
            Unit.PER_SECOND,
            "Attempts that were accepted, one for each task.",
            Runbook.SIZING,
            {"{{phase}}": 'sum by (phase) (rate(apollo_attempts_total{outcome="succeeded"}[$__rate_interval]))'},
        ),
        graph(
            "How long jobs take",
            Unit.SECONDS,
            "Of those that succeeded: from accepted to published.",
            Runbook.STRAGGLERS,
            {
                "median": _job_seconds(0.5),
                "95 %": _job_seconds(0.95),
            },
        ),
    ]


def _job_seconds(quantile: float) -> str:
    buckets = 'sum by (le) (rate(apollo_job_duration_seconds_bucket{status="succeeded"}[$__rate_interval]))'
    return f"histogram_quantile({quantile}, {buckets})"
