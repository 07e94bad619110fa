"""The workers, together and the extreme ones: what they do, what they use, how they get at their data."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from boards.panels import Panel, Runbook, Unit, graph
from boards.panels import board as make_board

_RATE = "[$__rate_interval]"
_WORKER = 'job="apollo-worker"'
# An idle worker and one at a reduce read no input, and are not slow.
_READING = f"(rate(apollo_worker_input_bytes_total{_RATE}) > 0 and on (namespace, instance) apollo_worker_busy == 1)"


def board() -> Dashboard:
    return make_board(
        "apollo-workers",
        "Apollo / Workers",
        "What workers do and use. Where there are many, the panels show the ones that stand out.",
        {
            "What they do": _work(),
            "What goes through them": _data(),
            "What they use": _resources(),
            "Object stores": _stores(),
        },
    )


def _work() -> list[Panel]:
    return [
        graph(
            "Busy, idle, leaving",
            Unit.COUNT,
            "Workers that run an attempt, those that do not, and those that were told to end.",
            Runbook.WORKERS_FLAPPING,
            {
                "busy": "sum(apollo_worker_busy)",
                "idle": "count(apollo_worker_busy == 0) or vector(0)",
                "draining": "sum(apollo_worker_draining)",
            },
        ),
        graph(
            "Come and gone",
            Unit.COUNT,
            "In each interval of the graph. Released: idle or told to end. After a restart all join anew.",
            Runbook.WORKERS_FLAPPING,
            {
                "joined": f"sum(increase(apollo_workers_joined_total{_RATE}))",
                "{{cause}}": f"sum by (cause) (increase(apollo_workers_left_total{_RATE}))",
            },
        ),
        graph(
            "Cut off",
            Unit.COUNT,
            "Busy workers whose attempt nobody follows: the coordinator is away, or cannot reach them.",
            Runbook.WORKERS_FLAPPING,
            {"cut off": "count(apollo_worker_busy == 1 and apollo_worker_streams == 0) or vector(0)"},
        ),
        graph(
            "Attempts ended",
            Unit.PER_SECOND,
            "As the workers saw it.",
            Runbook.FAILING,
            {"{{phase}} {{outcome}}": f"sum by (phase, outcome) (rate(apollo_worker_attempts_total{_RATE}))"},
            stacked=True,
        ),
        graph(
            "How long attempts take",
            Unit.SECONDS,
            "95th percentile, of all outcomes.",
            Runbook.STRAGGLERS,
            {
                "{{phase}}": "histogram_quantile(0.95, sum by (phase, le) "
                f"(rate(apollo_worker_attempt_duration_seconds_bucket{_RATE})))"
            },
        ),
        graph(
            "Input of the fastest and the slowest",
            Unit.BYTES_PER_SECOND,
            "Bytes read by each worker that is at a map; a slow one beside fast ones may sit on a bad node.",
            Runbook.STRAGGLERS,
            {
                "fastest: {{instance}}": f"topk(3, {_READING})",
                "slowest: {{instance}}": f"bottomk(3, {_READING})",
            },
        ),
    ]


def _data() -> list[Panel]:
    """Live, but what a worker did after its last scrape is lost with it: the job flow's board is exact."""
    return [
        graph(
            "Bytes",
            Unit.BYTES_PER_SECOND,
            "As they are read, of attempts that fail later too; map output and output when one is complete.",
            Runbook.SIZING,
            {
                "input": _through("input_bytes"),
                "map output": _through("shuffle_bytes"),
                "map output read": _through("shuffle_read_bytes"),
                "output": _through("output_bytes"),
            },
        ),
        graph(
            "Records",
            Unit.RECORDS_PER_SECOND,
            "As they pass, of attempts that fail later too; records out when a part is complete.",
            Runbook.SIZING,
            {
                "read": _through("input_records"),
                "emitted": _through("map_output_records"),
                "combined": _through("combine_output_records"),
                "spilled": _through("spilled_records"),
                "keys": _through("reduce_input_groups"),
                "records out": _through("output_records"),
            },
        ),
        graph(
            "Sorted runs",
            Unit.PER_SECOND,
            "Each fills an attempt's memory budget, but for its last. Many for each attempt make reduces slow.",
            Runbook.SIZING,
            {"spills": _through("spills")},
        ),
    ]


def _resources() -> list[Panel]:
    return [
        graph(
            "Memory of its limit",
            Unit.SHARE,
            "Largest resident size of the worker's own process so far; programs come on top. The five nearest to it.",
            Runbook.SIZING,
            {"{{instance}}": "topk(5, apollo_worker_peak_memory_bytes / apollo_worker_memory_limit_bytes)"},
        ),
        graph(
            "Resident memory",
            Unit.BYTES,
            "Of workers' own processes, without their programs.",
            Runbook.SIZING,
            {
                "largest": f"max(process_resident_memory_bytes{{{_WORKER}}})",
                "median": f"quantile(0.5, process_resident_memory_bytes{{{_WORKER}}})",
            },
        ),
        graph(
            "Processors",
            Unit.SHARE,
            "Of one processor, used by the worker's own process, without its programs.",
            Runbook.SIZING,
            {
                "most": f"max(rate(process_cpu_seconds_total{{{_WORKER}}}{_RATE}))",
                "mean": f"avg(rate(process_cpu_seconds_total{{{_WORKER}}}{_RATE}))",
            },
        ),
        graph(
            "Space left",
            Unit.SHARE,
            "Of workers' own disks (work) and the volume with map outputs (intermediate): the fullest.",
            Runbook.VOLUME_NEARLY_FULL,
            {
                "{{volume}}": (
                    f"min by (volume) (apollo_volume_free_bytes{{{_WORKER}}} / apollo_volume_size_bytes{{{_WORKER}}})"
                )
            },
        ),
        graph(
            "Artifacts kept",
            Unit.BYTES,
            "Programs and files that a worker has installed, at most APOLLO_ARTIFACT_CACHE_BYTES.",
            Runbook.SIZING,
            {"largest": "max(apollo_worker_artifact_cache_bytes)"},
        ),
        graph(
            "Event-loop lag",
            Unit.SECONDS,
            "99th percentile of how late timers fire. Sorting and reading are done beside the loop.",
            Runbook.EVENT_LOOP_LAG,
            {"99 %": f"max(namespace_job:apollo_event_loop_lag_seconds:p99_rate5m{{{_WORKER}}})"},
        ),
    ]


def _stores() -> list[Panel]:
    return [
        graph(
            "Requests by operation",
            Unit.REQUESTS_PER_SECOND,
            "To S3, by workers.",
            Runbook.S3_ERRORS,
            {"{{operation}}": f"sum by (operation) (rate(apollo_s3_requests_total{{{_WORKER}}}{_RATE})) > 0"},
            stacked=True,
        ),
        graph(
            "Requests that did not go well",
            Unit.REQUESTS_PER_SECOND,
            "By operation and result. `object_not_found` is normal where something is only looked for.",
            Runbook.S3_ERRORS,
            {
                "{{operation}}: {{result}}": (
                    f'sum by (operation, result) (rate(apollo_s3_requests_total{{{_WORKER}, result!="ok"}}{_RATE})) > 0'
                )
            },
        ),
        graph(
            "How long requests take",
            Unit.SECONDS,
            "95th percentile with repeats; of reads until the answer's head.",
            Runbook.S3_ERRORS,
            {
                "{{operation}}": "histogram_quantile(0.95, sum by (operation, le) "
                f"(rate(apollo_s3_request_duration_seconds_bucket{{{_WORKER}}}{_RATE})))"
            },
        ),
        graph(
            "Repeats",
            Unit.REQUESTS_PER_SECOND,
            "Repeats within requests, and bodies that were cut off or slow and read on.",
            Runbook.S3_ERRORS,
            {
                "{{operation}}": f"sum by (operation) (rate(apollo_s3_request_retries_total{{{_WORKER}}}{_RATE}))",
                "reads resumed": f"sum(rate(apollo_s3_read_resumes_total{{{_WORKER}}}{_RATE}))",
            },
        ),
        graph(
            "Bodies",
            Unit.BYTES_PER_SECOND,
            "Bytes of objects, received from and sent to S3 by workers.",
            Runbook.S3_ERRORS,
            {
                "received": f"sum(rate(apollo_s3_received_bytes_total{{{_WORKER}}}{_RATE}))",
                "sent": f"sum(rate(apollo_s3_sent_bytes_total{{{_WORKER}}}{_RATE}))",
            },
        ),
        graph(
            "Requests that fail",
            Unit.SHARE,
            "Refused or not answered, of all requests of workers in five minutes.",
            Runbook.S3_ERRORS,
            {"failed": f"max(namespace_job:apollo_s3_errors:ratio_rate5m{{{_WORKER}}})"},
        ),
    ]


def _through(counter: str) -> str:
    return f"sum(rate(apollo_worker_{counter}_total{_RATE}))"
