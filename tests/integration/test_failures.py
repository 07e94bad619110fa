"""A program that fails on every split, on real workers: one cause, told everywhere, and soon the job's end."""

import re
from pathlib import Path

from support.apollo_cli import apollo
from support.coordinator_process import CoordinatorProcess, wait_for

SPLITS = 12
MAPPER = """shell:while read -r word; do
  case $word in bad*) echo "line 7: no such word: '$word'" >&2; exit 3;; esac
  echo "$word"
done"""


def job(folder: Path, mapper: str = MAPPER, **more: object) -> dict[str, object]:
    """Of SPLITS files, each with a record that the mapper does not take."""
    (folder / "in").mkdir(exist_ok=True)
    for number in range(SPLITS):
        (folder / f"in/{number:02}.txt").write_text(f"good\nbad{number}\n")
    paths = {"inputPath": f"file://{folder}/in/", "outputPath": f"file://{folder}/out", "splitPolicy": "apart"}
    return {"mapperName": mapper, "reducerName": "builtin:count", "nReducers": 1, **paths, **more}


def failed_attempts(site: CoordinatorProcess, job: str) -> list[dict[str, str]]:
    """As the list of attempts has them."""
    attempts = [a for task in site.request("GET", f"/jobs/{job}/tasks") for a in _attempts(site, task["id"])]
    return [attempt for attempt in attempts if attempt["status"] == "failed"]


def _attempts(site: CoordinatorProcess, task: str) -> list[dict[str, str]]:
    return list(site.request("GET", f"/tasks/{task}/attempts"))


def have_both_workers(site: CoordinatorProcess, folder: Path) -> None:
    """So that no task has to be tried again where it has failed."""
    site.ended(site.submit(**job(folder, "shell:sleep 0.2; cat", overwrite=True)))
    wait_for(
        lambda: [worker["status"] for worker in site.request("GET", "/workers")] == ["idle", "idle"], "two workers"
    )


def test_one_cause_is_told_once_and_ends_the_job_early(tmp_path: Path) -> None:
    with CoordinatorProcess(tmp_path / "site", {}, workers=2) as site:
        have_both_workers(site, tmp_path)
        name = site.submit(**job(tmp_path, maxAttempts=50, overwrite=True))
        ended = site.ended(name)
        failed = failed_attempts(site, name)
        (group,) = site.request("GET", f"/jobs/{name}/failures")
        assert ended["status"] == "failed"
        assert "failed twice in the same way on different workers" in ended["failure"]["message"]
        assert len(failed) < SPLITS + 2  # each task at most once, and one of them twice
        assert group["attempts"] == len(failed)
        assert group["tasks"] == len({attempt["task"] for attempt in failed}) == len(failed) - 1
        assert group["workers"] == len({attempt["worker"] for attempt in failed}) == 2
        assert {attempt["failure"]["fingerprint"] for attempt in failed} == {group["fingerprint"]}
        assert re.fullmatch(r"line 7: no such word: 'bad\d+'", group["lines"][0])
        first_ms = min(attempt["endTime"] for attempt in failed)
        assert group["firstTime"] == first_ms
        assert group["firstTask"] in {attempt["task"] for attempt in failed if attempt["endTime"] == first_ms}
        record = group["firstRecord"]
        source = Path(record["input"].removeprefix("file://"))
        assert source.parent == tmp_path / "in"
        assert record["offset"] == source.read_bytes().index(b"bad")
        assert record["preview"] == f"bad{int(source.stem)}"
        assert ended["failures"] == [group]

        logged = (tmp_path / "site/coordinator.log").read_text()
        assert len(re.findall("attempt failed", logged)) == 1

        said = apollo("wait", name, APOLLO_COORDINATOR=site.url)
        alike = f"{len(failed)} attempts of {len(failed) - 1} tasks on {group['workers']} workers failed alike"
        assert said.status == 1
        assert alike in said.stderr
        assert f"record: {record['preview']} at byte {record['offset']} of {record['input']}" in said.stderr
        listed = apollo("failures", name, APOLLO_COORDINATOR=site.url)
        assert listed.stdout.startswith(f"{alike}: the map program"), listed
        assert apollo("failures", name, "--json", APOLLO_COORDINATOR=site.url).documents == [group]

        site.kill()
        site.start()
        assert site.request("GET", f"/jobs/{name}/failures") == [group]


def test_causes_are_apart_and_a_job_that_succeeds_has_them_too(tmp_path: Path) -> None:
    """Each map fails once in a way of its kind, and then does not: both kinds have six tasks."""
    (tmp_path / "met").mkdir()
    mapper = (
        f'shell:n=$(basename "$APOLLO_INPUT" .txt); cat; [ -e {tmp_path}/met/$n ] && exit 0; touch {tmp_path}/met/$n; '
        'case $n in *[02468]) echo "even: $n" >&2; exit 3;; esac; echo "odd: $n" >&2; exit 4'
    )
    with CoordinatorProcess(tmp_path / "site", {}, workers=2) as site:
        name = site.submit(**job(tmp_path, mapper))
        assert site.ended(name)["status"] == "succeeded"
        groups = site.request("GET", f"/jobs/{name}/failures")
        told = sorted((group["exitStatus"], group["attempts"], group["tasks"]) for group in groups)
        assert told == [(3, 6, 6), (4, 6, 6)]
        shown = apollo("job", name, APOLLO_COORDINATOR=site.url).stdout
        assert len(re.findall(r"\nfailed    6 attempts of 6 tasks on \d workers? failed alike: ", shown)) == 2
        none = site.submit(**job(tmp_path, "shell:cat", overwrite=True))
        assert site.ended(none)["status"] == "succeeded"
        assert site.request("GET", f"/jobs/{none}/failures") == []
        assert "No attempt" in apollo("failures", none, APOLLO_COORDINATOR=site.url).stderr
