"""`refactorkit postgres`: a server for development, from the programs that the package brings."""

from dataclasses import dataclass
from pathlib import Path

from refactorkit.postgres.persistent import PersistentServer, ServerState, default_directory


@dataclass(frozen=True, kw_only=True)
class ServerOutcome:
    """What a command did, and what there is now.

    Attributes:
        changed: whether the server was started or stopped by this command.
        state: the server afterwards.
    """

    changed: bool
    state: ServerState


def start(directory: Path | None) -> ServerOutcome:
    """Have the server of the folder (None: the usual one) running; it is made if there is none.

    Raises:
        RefactorkitError: as `PersistentServer.start`.
    """
    server = _server(directory)
    return ServerOutcome(changed=server.start(), state=server.state())


def stop(directory: Path | None) -> ServerOutcome:
    """Have the server of the folder stopped; its data stays.

    Raises:
        RefactorkitError: as `PersistentServer.stop`.
    """
    server = _server(directory)
    return ServerOutcome(changed=server.stop(), state=server.state())


def status(directory: Path | None) -> ServerState:
    """Say what there is in the folder; change nothing.

    Raises:
        RefactorkitError: as `PersistentServer.state`.
    """
    return _server(directory).state()


def _server(directory: Path | None) -> PersistentServer:
    return PersistentServer(directory or default_directory())
