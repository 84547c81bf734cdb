"""A program that starts an embedded server, says so in one line of JSON, and waits to be ended.

Its first argument says how it is awkward; the other one, where the server's folder is made.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from refactorkit.postgres.embedded import EmbeddedServer

FOREVER_S = 300


def main() -> None:
    manner, *rest = sys.argv[1:]
    server = _start(manner, Path(rest[0]) if rest else None)
    try:
        _hold(server, manner)
    except KeyboardInterrupt:
        # Ctrl-C went to the whole process group: is the server still there for our last words?
        _say({"alive": _is_alive(server.pid)})
        server.stop()


def _hold(server: EmbeddedServer, manner: str) -> None:
    _say({"pid": server.pid, "directory": str(server.directory), "dsn": server.dsn()})
    if manner == "stops-beside-a-fork":
        server.stop()
        return
    sys.stdin.read()


def _say(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _start(manner: str, directory: Path | None) -> EmbeddedServer:
    started: list[EmbeddedServer] = []

    def start() -> None:
        started.append(EmbeddedServer.start(directory=directory, durable=False))

    if manner == "from-a-thread":
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
    else:
        start()
    if "fork" in manner and os.fork() == 0:
        # It holds whatever a fork inherits, and lives on.
        os.close(1)
        time.sleep(FOREVER_S)
        os._exit(0)
    return started[0]


def _is_alive(pid: int) -> bool:
    time.sleep(0.5)
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
