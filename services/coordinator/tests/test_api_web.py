"""The web page's files: whole, from here alone, for everybody, and asked for again only when they have changed."""

import re
from importlib import resources

import pytest

from apollo_coordinator.auth.static_tokens import TokensFile
from support.api_server import running_api
from support.tokens import tokens_file

FILES = {
    entry.name: entry.read_bytes()
    for entry in resources.files("apollo_coordinator.web").iterdir()
    if entry.name.endswith((".html", ".js", ".css", ".svg"))
}
MODULES = sorted(name for name in FILES if name.endswith(".js"))


@pytest.fixture
async def api(tmp_path):
    authenticator = await TokensFile.open(tokens_file(tmp_path / "tokens"))
    async with running_api(tmp_path, authenticator=authenticator) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "name", "content_type"),
    [
        ("/", "index.html", "text/html"),
        ("/web/main.js", "main.js", "text/javascript"),
        ("/web/style.css", "style.css", "text/css"),
        ("/web/icon.svg", "icon.svg", "image/svg+xml"),
    ],
)
async def test_a_file_is_served_as_it_is_without_a_token(api, path, name, content_type):
    async with api.http.get(path) as answer:
        assert (answer.status, answer.content_type, answer.charset) == (200, content_type, "utf-8")
        assert await answer.read() == FILES[name]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self';" in policy
    assert "unsafe" not in policy
    async with api.http.head(path) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_a_file_that_has_not_changed_is_not_sent_again(api):
    async with api.http.get("/") as answer:
        tag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "no-cache"
    async with api.http.get("/", headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read(), answer.headers["ETag"]) == (304, b"", tag)
    async with api.http.get("/", headers={"If-None-Match": '"another"'}) as answer:
        assert (answer.status, await answer.read()) == (200, FILES["index.html"])


async def test_the_page_names_no_place_but_its_own(api):
    """And every file that one of them names is there."""
    for name, content in FILES.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|[\"'(]//", text), name
    page = FILES["index.html"].decode()
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page)
    named = set(re.findall(r'(?:href|src)="(web/[^"]*)"', page))
    named |= {f"web/{name}" for module in MODULES for name in re.findall(r'from "\./([^"]*)"', FILES[module].decode())}
    assert {f"web/{module}" for module in MODULES} <= named
    for path in named:
        async with api.http.get(f"/{path}") as answer:
            assert answer.status == 200, path


@pytest.mark.parametrize("module", MODULES)
def test_no_module_makes_html_of_text(module):
    """The policy would stop it in browsers that know trusted types; nobody should rely on that."""
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(", FILES[module].decode()
    )
