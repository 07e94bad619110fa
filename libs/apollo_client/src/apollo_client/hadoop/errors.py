"""What goes wrong before a job is submitted, with the exit status that Hadoop gives it."""

from apollo_common.errors import PermanentError


class HadoopUsage(PermanentError):
    """Arguments that Hadoop, too, would refuse."""

    reason = "hadoop_usage"


class UnsupportedOption(PermanentError):
    """What Hadoop knows and Apollo cannot do; the message names the option and what to do instead."""

    reason = "hadoop_unsupported"

    def __init__(self, option: str, why: str) -> None:
        super().__init__(f"{option}: {why}")
        self.option = option


class LaunchFailed(PermanentError):
    """The job cannot start: no such input, an output that exists."""

    reason = "hadoop_launch_failed"
