"""The page beside an API that holds what would take long to run: many jobs, many attempts, people with tokens."""

import asyncio

import pytest
from selenium.webdriver.common.keys import Keys

from apollo_common.ids import JobId, attempt_id, map_task_id
from apollo_coordinator.api.problem import ApiProblem
from apollo_coordinator.auth.static_tokens import TokensFile
from apollo_coordinator.core.model import JobStatus
from support.api_server import running_api
from support.tokens import TOKENS, bearer, tokens_file

WORKERS, ROUNDS = 50, 100
BODY = {"inputPath": "s3://in/a", "outputPath": "s3://out/b", "mapperName": "shell:cat", "nReducers": 0}


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path) as running:
        yield running


async def submit(api, headers=None, **fields):
    status, answer = await api.call("POST", "/api/v1/jobs", json=BODY | fields, headers=headers)
    assert status == 201, answer
    return api.jobs.job(JobId(answer["job"]["id"]))


async def in_thread(work, *arguments):
    """The browser is driven synchronously, while the server goes on."""
    return await asyncio.to_thread(work, *arguments)


async def test_a_list_of_many_jobs_is_paged_and_filtered(api, browser):
    for number in range(230):
        await submit(api, name=f"job number {number}")

    def look():
        browser.open(f"http://127.0.0.1:{api.port}/")
        browser.shows("job number 229")
        assert browser.evaluate("return document.querySelectorAll('a.row').length") == 100
        for shown in (200, 230):
            browser.evaluate("document.querySelector('main > button').click()")
            browser.until(f"document.querySelectorAll('a.row').length === {shown}", f"{shown} jobs")
        assert browser.evaluate("return document.querySelector('main > button').hidden")
        browser.press("/", "number 17")
        browser.until("document.querySelectorAll('a.row').length === 11", "17 and 170 to 179")
        first = browser.evaluate("return document.querySelector('a.row').textContent")
        assert first == "job number 179"
        browser.press("x")
        browser.shows("No job is like that.")

    await in_thread(look)


async def test_a_list_that_is_not_given_at_once_is_asked_for_again(api, tab, monkeypatch):
    """The browser complains of the refusals, and may."""
    await submit(api, name="known at last")
    given, refusals = api.jobs.jobs, [1, 2]

    def jobs(**asked):
        if refusals:
            refusals.pop()
            raise ApiProblem(503, "Not now.")
        return given(**asked)

    monkeypatch.setattr(api.jobs, "jobs", jobs)

    def look():
        tab.open(f"http://127.0.0.1:{api.port}/")
        tab.shows("known at last")
        tab.until("document.getElementById('connection').hidden", "the end of the notice")
        tab.open(f"http://127.0.0.1:{api.port}/#/jobs/%")
        tab.shows("Try again")  # no address of the page
        tab.open("about:blank")

    await in_thread(look)
    assert not refusals


async def ended_job(api, workers, rounds):
    """Each worker ran one attempt after the other."""
    job = await submit(api)
    api.jobs.start(job, maps=1, reduces=0)
    job.created_ms = 1_000
    for round_ in range(rounds):
        names = [attempt_id(map_task_id(job.id, round_ * workers + worker), 0) for worker in range(workers)]
        for worker, name in enumerate(names):
            api.jobs.tell(job, "attempt-started", task=name.rpartition("-")[0], attempt=name, worker=f"w{worker}")
        for name in names:
            api.jobs.tell(job, "attempt-accepted", task=name.rpartition("-")[0], attempt=name)
    job.status, job.ended_ms = JobStatus.SUCCEEDED, 30_000
    api.jobs.tell(job, "job-ended", last=True, status="succeeded")
    return job


async def test_workers_beyond_the_bound_are_counted(api, browser):
    job = await ended_job(api, workers=2_010, rounds=1)

    def look():
        browser.open(f"http://127.0.0.1:{api.port}/#/jobs/{job.id}")
        browser.shows("10 more attempts not drawn", "figure")
        browser.until("document.querySelector('canvas').ariaLabel.startsWith('2,010 attempts on 2,000 ')", "the label")

    await in_thread(look)


async def test_thousands_of_attempts_are_one_drawing(api, browser):
    job = await ended_job(api, WORKERS, ROUNDS)

    def look():
        browser.open(f"http://127.0.0.1:{api.port}/#/jobs/{job.id}")
        total = f"{WORKERS * ROUNDS:,}"
        browser.until(f"document.querySelector('canvas')?.ariaLabel?.startsWith('{total} attempts')", "the timeline")
        assert browser.evaluate("return document.querySelectorAll('main *').length") < 1_000
        browser.evaluate("document.querySelector('canvas').focus()")
        browser.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
        browser.shows(f"m-{WORKERS + 1:05}-0 · map · w1 · ", "#timeline-chosen")

    await in_thread(look)


async def test_who_has_no_token_is_asked_for_it_once_in_a_tab(tmp_path, tab):
    """The browser complains of the refusals, and may."""
    authenticator = await TokensFile.open(tokens_file(tmp_path / "tokens"))
    async with running_api(tmp_path, authenticator=authenticator) as api:
        job = await submit(api, bearer("alice"), name="job of alice")

        def look():
            tab.open(f"http://127.0.0.1:{api.port}/")
            tab.shows("Who calls?", "#token")
            tab.press("wrong", Keys.ENTER)
            tab.shows("The token is unknown", "#token-why")
            tab.press(TOKENS["vera"][1], Keys.ENTER)
            tab.shows("job of alice")
            tab.open(f"http://127.0.0.1:{api.port}/#/jobs/{job.id}")
            tab.shows("Counters")
            kept = "return JSON.stringify(localStorage) + document.cookie + location.href"
            assert TOKENS["vera"][1] not in tab.evaluate(kept)
            assert not tab.evaluate("return document.getElementById('token').open")
            tab.click("[data-name=stop]")  # vera only looks
            tab.click("#confirm-yes")
            tab.shows("This needs the role submitter; vera is viewer.")
            tab.open("about:blank")

        await in_thread(look)
