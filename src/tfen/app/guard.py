"""Who may ask: the names under which the server answers, pages from elsewhere, the token; and what every answer says."""

import asyncio
import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from tfen.app.uploads import Refused

PAGES = Path(__file__).parent / "static"
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
POLICY_OF_RUNS = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
"""A run's folder may hold anything: what is shown of it may run nothing and is not of the page's origin."""
OPEN = ("/api/health", "/login", "/style.css")
"""What can be had without the token."""
UPLOADS = ("/api/analyze", "/api/jobs")
"""What takes its body bit by bit, with limits of its own."""
MOST_BODY = 2**18
"""Bytes of any other body."""
EVERYWHERE = ("0.0.0.0", "::")
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
WRONG_TOKEN_SECONDS = 1.0
"""Until a wrong token is answered, so that trying many takes long."""


@dataclass(frozen=True)
class Names:
    """The names under which the server answers: others are refused, since a page from elsewhere may have made them
    point here (DNS rebinding). An address in numbers is no such name.

    Args:
        host: where the server listens.
        allowed: further names.
    """

    host: str
    allowed: Sequence[str] = ()

    def accepts(self, header: str) -> bool:
        """Tell whether a request's header Host is one of them."""
        name = _host_of(header)
        if name in (*THIS_MACHINE, *(one.lower() for one in self.allowed)) or name == self.host.lower():
            return True
        if self.host not in EVERYWHERE:
            return False
        return _is_address(name) or name in (socket.gethostname().lower(), socket.getfqdn().lower())


class Guard:
    """ASGI middleware: refuses who may not ask, and adds to each answer what browsers must know."""

    def __init__(self, app: Any, names: Names, token: str | None, patience: float) -> None:
        self._app, self._names, self._token, self._patience = app, names, token, patience
        self._cookie = secrets.token_urlsafe(24)
        """What a browser keeps after the token was given; another one after each start."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            if self._refusal(scope) is not None:
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(scope["path"], send)
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        answer = self._refusal(scope)
        if answer is None and scope["method"] != "GET" and scope["path"] not in UPLOADS:
            try:
                receive = await _at_once(receive, self._patience)
            except Refused as error:
                answer = failure(error.status, error.sentence)
        if answer is None and scope["path"] == "/login" and self._token is not None:
            answer = await self._login(Request(scope, receive))
        try:
            await (answer or self._app)(scope, receive, send)
        except _Enough:
            pass
        except BaseExceptionGroup as group:
            if group.subgroup(_Enough) is None:
                raise

    def _refusal(self, scope: Any) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._names.accepts(host):
            return failure(400, f"this server is not known as {_host_of(host)[:100]!r}; see `tfen app --allow-host`")
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if changes and not _same_origin(headers):
            return failure(403, "pages from elsewhere may not use this server")
        if self._token is None or scope["path"] in OPEN or self._knows_token(scope, headers):
            return None
        if (
            scope["type"] == "http"
            and "text/html" in headers.get("accept", "")
            and not scope["path"].startswith("/api")
        ):
            return _login_page(401)
        return failure(401, "a token is needed: send `Authorization: Bearer TOKEN`", {"WWW-Authenticate": "Bearer"})

    def _knows_token(self, scope: Any, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _equal(given.strip(), self._token or ""):
            return True
        cookies = Request({"type": "http", "headers": scope["headers"]}).cookies
        return _equal(cookies.get("tfen", ""), self._cookie)

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return _login_page(200)
        body = await request.body()
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if not _equal(given, self._token or ""):
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
            return _login_page(401, "That is not the token.")
        answer = RedirectResponse("/", 303)
        answer.set_cookie("tfen", self._cookie, httponly=True, samesite="strict")
        return answer


async def _at_once(receive: Any, patience: float) -> Any:
    """Return what gives a request's body, all of which has come: a client that sends it bit by bit keeps nothing busy.

    Raises:
        Refused: it is large, or takes longer than `patience` seconds.
    """
    body, more = b"", True
    try:
        async with asyncio.timeout(patience):
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
                if len(body) > MOST_BODY:
                    raise Refused(413, "the request is too large")
    except TimeoutError:
        raise Refused(408, f"the request took longer than {patience:g} seconds") from None
    come = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Any:
        return come.pop() if come else await receive()

    return receiving


class _Enough(Exception):
    """All of an answer that was wanted has been sent."""


def _with_headers(path: str, send: Any) -> Any:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            runs = path.startswith("/runs/")
            headers["Content-Security-Policy"] = POLICY_OF_RUNS if runs else POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"  # forms of this page would have no origin with less
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            if path.startswith("/api/"):
                headers["Cache-Control"] = "no-store"
        await send(message)

    return sending


def _without_body(send: Any) -> Any:
    async def sending(message: Any) -> None:
        await send(message)
        if message["type"] == "http.response.start":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            raise _Enough

    return sending


def _login_page(status: int, trouble: str = "") -> Response:
    page = (PAGES / "login.html").read_text(encoding="utf-8")
    return HTMLResponse(page.replace("<!-- trouble -->", trouble), status)


def failure(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """Return an answer that closes the connection, in the one form that all failures have."""
    return JSONResponse({"error": sentence}, status, {"Connection": "close", **(headers or {})})


def _equal(given: str, wanted: str) -> bool:
    digests = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (given, wanted))
    return hmac.compare_digest(*digests)


def _same_origin(headers: Headers) -> bool:
    """Tell whether a request comes from this server's own page, or from no page at all."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _host_of(header: str) -> str:
    """Return the name in a header Host, without port and brackets, in lower case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
