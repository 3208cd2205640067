"""Connections that do not say what they want, or take long to say it, do not keep others out."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from tfen.app.guard import failure

TOO_MANY = failure(503, "too many connections; try again later")


def patient_for(seconds: float, most: int) -> type[H11Protocol]:
    """Return uvicorn's protocol with a limit on how long a client may take to send a request's head, and on connections.

    Args:
        seconds: that a head may take.
        most: connections at a time; when one more comes, the one that has waited longest without a head goes.
    """

    class Protocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._whole: Any = self.config.loaded_app
            self.app = self._app_or_sentence  # for requests; a camera's connection goes by its own limit
            if len(self.connections) >= most - 1 and silent:
                oldest = next(iter(silent))
                oldest._unwatch()
                oldest.transport.close()
            self._watch()

        async def _app_or_sentence(self, scope: Any, receive: Any, send: Any) -> None:
            await (TOO_MANY if len(self.connections) > most else self._whole)(scope, receive, send)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Start the clock where a head is waited for; stop it where one came."""
            heard = self.cycle is not None and not self.cycle.response_complete
            upgraded = self.transport.get_protocol() is not self
            if heard or upgraded or self.transport.is_closing():
                self._unwatch()
            elif self._timer is None:
                silent[self] = None
                self._timer = self.loop.call_later(seconds, self._too_slow)

        def _unwatch(self) -> None:
            silent.pop(self, None)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _too_slow(self) -> None:
            self._timer = None
            silent.pop(self, None)
            if not self.transport.is_closing():
                self.transport.close()

    silent: dict[Protocol, None] = {}
    return Protocol
