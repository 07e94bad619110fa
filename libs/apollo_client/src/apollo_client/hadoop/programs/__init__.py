"""Programs that run beside a job's own ones, on workers: nothing here may import anything of Apollo's."""
