"""The security token service that a workload identity is changed for keys at, with keys that a test chooses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from aiohttp import web

_ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>
<SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
_REFUSAL = (
    """<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"""
)


class FakeSts:
    """Answers with `keys` (id, secret, session token) that last for `lifetime`, or refuses with a status and a code."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = ("key-1", "secret-1", "token-1")
        self.lifetime = timedelta(hours=1)
        self.refusal: tuple[int, str] | None = None
        self.asked: list[dict[str, str]] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeSts"]:
        app = web.Application()
        app.router.add_post("/", self._assume)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _assume(self, request: web.Request) -> web.Response:
        self.asked.append({key: str(value) for key, value in (await request.post()).items()})
        if self.refusal is not None:
            status, code = self.refusal
            return web.Response(status=status, text=_REFUSAL.format(code=code), content_type="text/xml")
        key_id, secret, token = self.keys
        expires = (datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = _ANSWER.format(key_id=key_id, secret=secret, token=token, expires=expires)
        return web.Response(text=text, content_type="text/xml")
