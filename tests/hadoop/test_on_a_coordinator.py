"""`apollo hadoop jar` with APOLLO_COORDINATOR: the same job, on a cluster, with everything in a bucket."""

import re
from pathlib import Path

from hadoop.places import copy_inputs
from hadoop.running import hadoop, streaming
from support.coordinator_process import CoordinatorProcess
from support.seaweedfs import S3Server


def test_a_job_with_files_from_a_bucket(tmp_path: Path, s3_server: S3Server, s3_bucket: str) -> None:
    copy_inputs(tmp_path)
    with CoordinatorProcess(tmp_path / "up", s3_server.environment, workers=1) as up:
        env = s3_server.environment | {"APOLLO_HDFS": f"s3://{s3_bucket}", "APOLLO_COORDINATOR": up.url}
        assert hadoop("fs", "-put", "input", "jobs", "hdfs:///", cwd=tmp_path, **env).status == 0

        done = streaming(
            "-files hdfs:///jobs/words.py,hdfs:///jobs/total.py#sum.py -input '/input/books/{sea,wood}.txt' "
            "-output /out -mapper words.py -combiner sum.py -reducer sum.py",
            tmp_path,
            **env,
        )
        assert done.status == 0, done.stderr
        counted = hadoop("fs", "-cat", "/out/part-*", cwd=tmp_path, **env)
        assert "stone\t3" in counted.stdout.splitlines()

        left = streaming("-input /input/logs -output /later -mapper cat -background", tmp_path, **env)
        assert left.status == 0, left.stderr
        job = re.search(r"Apollo's job: (\S+)", left.stderr)
        assert job is not None
        assert up.ended(job[1])["status"] == "succeeded"


def test_files_of_this_machine_mean_nothing_to_another_one(tmp_path: Path) -> None:
    copy_inputs(tmp_path)

    done = streaming("-input input/logs -output out -mapper cat", tmp_path, APOLLO_COORDINATOR="http://192.0.2.1:4750")

    assert done.status == 5
    assert "set APOLLO_HDFS" in done.stderr
