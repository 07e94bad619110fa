"""What every service serves of its own process: its version, its use of the machine, the lag of its event loop."""

import asyncio
import platform
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector

from apollo_common.metrics.families import CALL_BUCKETS_SECONDS, AnyFamily, Label, counter, gauge, histogram

MEASURE_EVERY_SECONDS: Final = 0.5

BUILD: Final = gauge(
    "apollo_build_info",
    "What runs; always 1.",
    {
        "service": Label(("coordinator", "worker"), at_once=False),
        "version": Label(words="of the service"),
        "python": Label(words="version of Python"),
    },
)
LAG: Final = histogram(
    "apollo_event_loop_lag_seconds",
    "How late a timer of the event loop fired, twice a second.",
    buckets=CALL_BUCKETS_SECONDS,
)

FROM_THE_LIBRARY: Final = (
    counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds."),
    gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
    gauge("process_virtual_memory_bytes", "Virtual memory size in bytes."),
    gauge("process_open_fds", "Number of open file descriptors."),
    gauge("process_max_fds", "Maximum number of open file descriptors."),
    gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
)
"""Served by prometheus_client's ProcessCollector; declared for the page of all metrics."""

FAMILIES: Final[tuple[AnyFamily, ...]] = (BUILD, LAG, *FROM_THE_LIBRARY)


class ProcessMetrics:
    def __init__(self, registry: CollectorRegistry, *, service: str, version: str) -> None:
        ProcessCollector(registry=registry)
        BUILD.on(registry).of(service, version, platform.python_version()).set(1)
        self._lag = LAG.on(registry).of()

    async def measure_until_cancelled(self) -> None:
        """Watch the event loop that this runs on."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + MEASURE_EVERY_SECONDS
            await asyncio.sleep(MEASURE_EVERY_SECONDS)
            self._lag.observe(max(0.0, clock() - due))
