"""Logs: set up once, to standard error, with facts that are known to be harmless.

A log line is a constant dotted event name and facts under known keys. Keys outside the list are
dropped, so a value that nobody thought of cannot slip through; an exception is never formatted,
because its text may hold a row's values.
"""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from enum import StrEnum
from typing import Any, Final
from uuid import uuid4

import structlog


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """Return the standard library's number of the level."""
        return int(getattr(logging, self.name))


DEFAULT_LEVEL: Final = LogLevel.WARNING

ALLOWED_KEYS: Final = frozenset(
    {
        # about the line itself
        "event", "level", "run_id", "timestamp",
        # where
        "application", "column", "constraint", "database", "direction", "directory", "file",
        "function", "gid", "line", "pid", "schema", "server_version", "table", "user", "version",
        # what and how much
        "attempt", "attempts", "command", "count", "error_class", "exit_code", "outcome",
        "patients", "query_begins", "rows", "seconds", "seed", "setting", "sqlstate", "state",
        "statement", "statements", "step", "transaction", "verdict", "wait_seconds",
    }
)  # fmt: skip

_EVENT: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


def configure(level: LogLevel = DEFAULT_LEVEL) -> None:
    """Send events of at least this level to standard error, and bind a run id to all of them.

    On a terminal the lines are coloured unless ``NO_COLOR`` is set (no-color.org); elsewhere they
    are logfmt, one event a line.
    """
    renderer: Any
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer(
            colors=not os.environ.get("NO_COLOR"), pad_event_to=0
        )
    else:
        renderer = structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event", "run_id"], bool_as_flag=False
        )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            keep_known_facts,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level.number),
        # looked up for each line: whoever redirects standard error means the log, too
        logger_factory=lambda *_: structlog.PrintLogger(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(run_id=uuid4().hex[:12])
    _silence_driver()


def keep_known_facts(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep allowed keys with plain values; an event name that is not constant is not kept either.

    A structlog processor.
    """
    kept = {
        key: value
        for key, value in event.items()
        if key in ALLOWED_KEYS and (value is None or isinstance(value, str | int | float))
    }
    if not _EVENT.fullmatch(str(event.get("event", ""))):
        kept["event"] = "event.unnamed"
    return kept


def _silence_driver() -> None:
    """Keep psycopg's own log lines, which quote server messages, out of standard error."""
    driver = logging.getLogger("psycopg")
    driver.propagate = False
    if not driver.handlers:
        driver.addHandler(logging.NullHandler())
