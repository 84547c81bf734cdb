"""A network that fails on command: between a client and a PostgreSQL server on a socket.

Stands on a Unix socket of its own. What a client sends at once is one message here; a COMMIT is
known by its text in a simple query.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Self


class Cut(Enum):
    """How the line is cut, once, at a message of the client."""

    BEFORE = auto()  # the message is lost, and the server sees the client go
    HALF_OPEN = auto()  # the message is lost, and the server hears nothing any more
    AFTER = auto()  # the server does what the message says, its answer is lost


def is_commit(message: bytes) -> bool:
    """Tell whether a message of the client is a COMMIT."""
    return b"COMMIT\0" in message


def is_any(message: bytes) -> bool:
    """Count every message."""
    return bool(message)


class CuttingProxy:
    """Forwards connections, and cuts one, at the nth message of a kind, counted over all."""

    def __init__(
        self,
        server_socket: Path,
        directory: Path,
        cut: Cut,
        *,
        nth: int,
        counts: Callable[[bytes], bool] = is_commit,
    ) -> None:
        self._server_socket = server_socket
        self._cut = cut
        self._counts = counts
        self._left = nth
        self.has_cut = False
        self._kept: socket.socket | None = None
        self.path = directory / ".s.PGSQL.5432"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        self.path.unlink()
        if self._kept is not None:
            self._kept.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._server_socket))
        silent = threading.Event()
        back = threading.Thread(
            target=self._forward_answers, args=[server, client, silent], daemon=True
        )
        back.start()
        with client, server, contextlib.suppress(OSError):
            while data := client.recv(65536):
                if not self.has_cut and self._counts(data):
                    self._left -= 1
                    if self._left == 0:
                        self.has_cut = True
                        silent.set()
                        if self._cut is Cut.HALF_OPEN:
                            self._kept = server.dup()
                        if self._cut is Cut.AFTER:
                            server.sendall(data)
                            server.shutdown(socket.SHUT_WR)
                            back.join(10)
                        if self._cut is Cut.BEFORE:
                            server.shutdown(socket.SHUT_RDWR)
                        return
                server.sendall(data)

    @staticmethod
    def _forward_answers(
        server: socket.socket, client: socket.socket, silent: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if not silent.is_set():
                    client.sendall(data)
