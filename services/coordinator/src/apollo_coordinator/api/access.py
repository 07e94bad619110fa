"""Who may call what: bearer tokens (RFC 6750), roles, owners, and web pages of other sites."""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from apollo_coordinator.api.problem import ApiProblem
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.callers import ANYONE, TOKEN, Authenticator, Caller, Role

CALLER = web.RequestKey("caller", Caller)


def authenticate(authenticator: Authenticator | None, public: frozenset[str]) -> Middleware:
    """Note the CALLER of every request but those of the `public` routes (templates). None: everybody may do all."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if authenticator is None:
            request[CALLER] = ANYONE
        elif resource is None or resource.canonical not in public:
            request[CALLER] = await _caller(authenticator, request)
        return await handler(request)

    return middleware


async def _caller(authenticator: Authenticator, request: web.Request) -> Caller:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        detail = "This coordinator asks who calls: send Authorization: Bearer TOKEN."
        raise ApiProblem(401, detail, reason="token_missing", headers={"WWW-Authenticate": "Bearer"})
    caller = await authenticator.authenticate(token, request.remote or "") if TOKEN.fullmatch(token) else None
    if caller is None:
        detail = "The token is unknown, has expired, or was made for another audience."
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise ApiProblem(401, detail, reason="token_invalid", headers=challenge)
    return caller


def require(request: web.Request, role: Role) -> None:
    """403 unless the caller has the role."""
    caller = request[CALLER]
    if caller.may(role):
        return
    has = f"{caller.user} is {caller.role}" if caller.role else f"{caller.user} has no role here"
    detail = f"This needs the role {role}; {has}."
    challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{role}"'}
    raise ApiProblem(403, detail, reason="role_missing", headers=challenge)


def refuse_other_sites(settings: ApiSettings, *, open_to_all: bool) -> Middleware:
    """Keep web pages of other sites from doing anything through a visitor's browser.

    A page may have had its own name resolve to this machine (DNS rebinding), and would then read answers as its own:
    where only local names are right, Host must be one. Browsers send Origin with what another site asks for; where no
    token is asked for it must also name this machine by address or as localhost.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get(hdrs.HOST)
        if settings.local_names_only and host is not None and not _is_local_name(f"//{host}"):
            detail = "This coordinator is for this machine alone: call it by its address, or as localhost."
            raise ApiProblem(403, detail, reason="foreign_host")
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None:
            is_same = origin.partition("://")[2] == request.host
            if not is_same or (open_to_all and not _is_local_name(origin)):
                raise ApiProblem(403, "Pages of other sites may not use this coordinator.", reason="foreign_origin")
        return await handler(request)

    return middleware


def _is_local_name(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:  # half an IPv6 address
        return False
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        return host == "localhost"
    return True
