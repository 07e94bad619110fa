"""What people do with the page, in Chromium: a real coordinator with real jobs."""

import re
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.keys import Keys

STAY = "window.stays = true"  # gone if the page was loaded anew
FAILS = """shell:echo '<img src=x onerror="document.title=1">' >&2; echo 'ValueError: no such number' >&2; exit 3"""
REVERSED = "\u202ebackwards"
HOSTILE = """<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>"""


@pytest.fixture
def done(desk):
    """A job that has succeeded."""
    job = desk.submit("words of today", "shell:cat; echo I was here >&2")
    desk.ended(job)
    return job


def test_a_job_comes_into_the_list_and_goes_on_to_its_end(browser, desk):
    browser.open(desk.at(""))
    browser.shows("Jobs", "h1")
    browser.evaluate(STAY)
    job, gate = desk.held("newcomer")
    browser.shows("newcomer")
    row = f"tr:has(a[href='#/jobs/{job}'])"
    browser.shows("running", row)
    gate.touch()
    browser.shows("succeeded", row)
    browser.shows("2 of 2 tasks", row)
    assert browser.evaluate("return window.stays")


def test_a_job_is_followed_on_its_page(browser, desk):
    job, gate = desk.held("followed")
    browser.open(desk.at(f"jobs/{job}"))
    browser.shows("0 of 1 task, 1 running", ".part-phases")
    browser.evaluate(STAY)
    browser.until("document.querySelector('canvas').ariaLabel?.startsWith('1 attempt on 1 worker ')", "the attempt")
    gate.touch()
    browser.shows("succeeded", ".part-head")
    browser.shows("done", ".part-phases")
    browser.shows("6", "table[aria-label='Counters of apollo'] tr:first-child")  # input records
    browser.until("document.querySelector('canvas').ariaLabel.startsWith('2 attempts')", "the reduce attempt")
    browser.until("!document.querySelector('[data-name=stop]')", "no button to stop what has ended")
    assert browser.evaluate("return window.stays")


def test_a_log_is_followed_while_the_program_runs(browser, desk):
    job, gate = desk.held("talkative")
    desk.runs(job)
    browser.open(desk.at(f"attempts/{job}-m-00000-0"))
    browser.shows("before the gate", "pre.log")
    assert "behind it" not in browser.text("pre.log")
    assert "running" in browser.text(".head")
    gate.touch()
    browser.shows("behind it", "pre.log")
    browser.shows("succeeded")
    browser.shows("This is all.")


def test_failures_are_told_by_cause(browser, desk):
    job = desk.submit("broken", FAILS, maxAttempts=2)
    desk.ended(job)
    browser.open(desk.at(f"jobs/{job}"))
    browser.shows("The job failed.")
    browser.shows("ValueError: no such number", ".cause pre")
    browser.shows("2 attempts of 1 task", ".cause")
    browser.shows("First record: byte 0 of ", ".cause")
    browser.click(".cause a.row")
    browser.shows("ValueError: no such number", "pre.log")


def test_a_job_is_stopped_only_after_a_confirmation(browser, desk):
    job, _ = desk.held("unwanted")
    browser.open(desk.at(f"jobs/{job}"))
    browser.shows("running", ".part-head")
    browser.click("[data-name=stop]")
    browser.shows("Stop unwanted?", "dialog[open]")
    browser.press(Keys.ENTER)  # the focus is on No
    browser.until("!document.querySelector('dialog[open]')", "the end of the dialog")
    assert desk.coordinator.job(job)["status"] == "running"
    browser.click("[data-name=stop]")
    browser.click("#confirm-yes")
    browser.shows("stopped", ".part-head")
    assert desk.ended(job)["status"] == "stopped"


def test_everything_is_reached_with_the_keyboard(browser, desk, done):
    browser.open(desk.at(""))
    browser.shows("words of today")
    browser.press("/", "words of today")
    browser.until("document.querySelectorAll('a.row').length === 1", "what the filter leaves")
    browser.press(Keys.ESCAPE, "j")
    assert browser.evaluate("return document.activeElement.getAttribute('href')") == f"#/jobs/{done}"
    assert browser.evaluate("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press(Keys.ENTER)
    browser.shows("Counters")
    browser.until("document.querySelector('canvas').ariaLabel?.startsWith('2 attempts')", "the timeline")
    for _ in range(20):
        browser.press(Keys.TAB)
        if browser.evaluate("return document.activeElement.tagName") == "CANVAS":
            break
    browser.press(Keys.ARROW_RIGHT)
    browser.shows("-00000-0 · ", "#timeline-chosen")
    browser.press(Keys.ENTER)
    browser.shows("This is all.")
    assert re.fullmatch(f"#/attempts/{done}-[mr]-00000-0", browser.place)
    browser.press("u")
    browser.shows("Counters")
    assert browser.place == f"#/jobs/{done}"
    browser.press("u")
    browser.shows("Jobs", "h1")
    browser.press("w")
    browser.shows("2 workers: ")
    browser.press("?")
    browser.shows("next and previous row", "dialog[open]")
    browser.press(Keys.ESCAPE)
    browser.until("!document.querySelector('dialog[open]')", "the end of the help")


def test_what_users_write_is_text(browser, desk):
    """Names, inputs, what programs say: markup of theirs is shown, and does nothing."""
    job = desk.submit(HOSTILE, FAILS, input_name="<i>words<b>", maxAttempts=1)
    desk.ended(job)
    for view, words in (
        ("", HOSTILE),
        (f"jobs/{job}", "<i>words<b>"),
        (f"jobs/{job}", "<img src=x onerror="),
        (f"attempts/{job}-m-00000-0", "<img src=x onerror="),
    ):
        browser.open(desk.at(view))
        browser.shows(words)
        assert browser.evaluate("return document.querySelectorAll('main :is(img, script, i, b)').length") == 0
        assert browser.evaluate("return document.title") not in ("1", "owned")


def test_marks_that_turn_text_around_are_shown(browser, desk):
    job = desk.submit(REVERSED, FAILS, maxAttempts=1)
    desk.ended(job)
    browser.open(desk.at(""))
    row = f"tr:has(a[href='#/jobs/{job}'])"
    browser.shows("\\u202ebackwards", row)
    browser.shows(job, row)  # the id of a job with a name
    browser.open(desk.at(f"jobs/{job}"))
    browser.shows("\\u202ebackwards", "h1")


def test_nothing_is_asked_of_anybody_else(browser, desk, done):
    browser.requests()
    for view, words in (
        ("", "words of today"),
        ("workers", "2 workers: "),
        (f"jobs/{done}", "Counters"),
        (f"attempts/{done}-m-00000-0", "This is all."),
    ):
        browser.open(desk.at(view))
        browser.shows(words)
    asked = [url for url in browser.requests() if not url.startswith(("about:", "data:"))]
    assert len(asked) > 20
    assert {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in asked} == {desk.coordinator.url}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_can_be_read(browser, desk, done, dark):
    """Contrast of at least 4.5 (WCAG 2.1, 1.4.3), in both themes."""
    failed = desk.submit("broken", FAILS, maxAttempts=1)
    desk.ended(failed)
    browser.look(dark=dark)
    for view, words in (("", "words of today"), (f"jobs/{done}", "succeeded"), (f"jobs/{failed}", "ValueError")):
        browser.open(desk.at(view))
        browser.shows(words)
        pairs = browser.evaluate(COLOURS)
        assert pairs
        faint = {text: round(contrast(*colours), 2) for text, *colours in pairs if contrast(*colours) < 4.5}
        assert faint == {}
        brightness = luminance(browser.evaluate("return getComputedStyle(document.body).backgroundColor"))
        assert (brightness < 0.2) == dark


def test_it_fits_a_telephone(browser, desk, done):
    browser.look(width=360, height=740)
    for view, words in (("", "words of today"), (f"jobs/{done}", "Counters"), ("workers", "2 workers")):
        browser.open(desk.at(view))
        browser.shows(words)
        assert browser.evaluate("return document.documentElement.scrollWidth") <= 360


def test_the_page_goes_on_after_a_restart_of_the_coordinator(tab, desk):
    """The browser complains of the connection meanwhile, and may."""
    job, gate = desk.held("survivor")
    tab.open(desk.at(f"jobs/{job}"))
    tab.shows("0 of 1 task, 1 running", ".part-phases")
    tab.evaluate(STAY)
    desk.coordinator.kill()
    tab.shows("The connection to the coordinator is lost.", "#connection")
    desk.coordinator.start()
    tab.until("document.getElementById('connection').hidden", "the connection")
    gate.touch()
    tab.shows("succeeded", ".part-head")
    assert tab.evaluate("return window.stays")
    tab.open(desk.at(""))
    tab.shows("survivor")
    tab.open("about:blank")


COLOURS = """
const behind = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const color = getComputedStyle(each).backgroundColor;
    if (color !== "rgba(0, 0, 0, 0)") return color;
  }
  return "rgb(255, 255, 255)";
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = [];
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("dialog, .skip")) continue;
  found.push([walker.currentNode.data.trim(), getComputedStyle(element).color, behind(element)]);
}
return found;
"""
"""Every text that can be seen, its colour and the colour behind it."""


def luminance(colour):
    """WCAG 2.1's relative luminance of `rgb(r, g, b)`."""
    parts = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
