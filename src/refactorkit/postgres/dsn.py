"""Where the database is: connection strings, parsed here so that no driver echoes them.

A connection string holds a password, and the driver's own message about a malformed one repeats
parts of it. So both forms of the PostgreSQL manual, section 34.1.1 "Connection Strings" (URLs and
``key=value`` pairs), are read here, strictly: whatever could be a piece of a password that was not
percent-encoded is refused, and never repeated.

What a string leaves out still comes from libpq: ``PG*`` variables, the passfile, the service file.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from psycopg import pq

from refactorkit.errors import NOTHING_CHANGED, UsageError

_SCHEMES: Final = ("postgresql://", "postgres://")
_HIDDEN: Final = frozenset(
    {"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"}
)
_HOST: Final = re.compile(r"[A-Za-z0-9._-]*|/[^,@]*|\[[0-9A-Fa-f:.%A-Za-z]+\]")
_PORT: Final = re.compile(r"[0-9]{0,5}")
_PERCENT: Final = re.compile(r"%([0-9A-Fa-f]{2})?")
_KEY: Final = re.compile(r"\s*([A-Za-z_]+)\s*=\s*")
_ENCODE_HINT: Final = (
    "Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with every @ : / ? # % of the password "
    "percent-encoded, or keep the password in a passfile."
)


@dataclass(frozen=True, kw_only=True)
class Dsn:
    """A parsed connection string; its representation holds no secret.

    Attributes:
        parameters: libpq keywords (``host``, ``dbname``, …) and their values.
    """

    parameters: Mapping[str, str] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Dsn":
        """Read a URL or a ``key=value`` string.

        Raises:
            UsageError: the string is malformed; the message repeats no part of it.
        """
        stripped = text.strip()
        for scheme in _SCHEMES:
            if stripped.startswith(scheme):
                return cls(parameters=_checked(_parse_url(stripped.removeprefix(scheme))))
        if "://" in stripped:
            raise _malformed("it begins with neither postgresql:// nor postgres://")
        return cls(parameters=_checked(dict(_parse_pairs(stripped))))

    @property
    def database(self) -> str | None:
        """Return the database that is meant, or None where only libpq's service file knows."""
        return self._value("dbname", "PGDATABASE")

    @property
    def names_database(self) -> bool:
        """Tell whether somebody said which database is meant; libpq would guess the user's name."""
        return self.database is not None or self._value("service", "PGSERVICE") is not None

    def with_database(self, name: str) -> "Dsn":
        """Return the same server and user with another database."""
        return Dsn(parameters={**self.parameters, "dbname": name})

    def describe(self) -> str:
        """Return "database … on …" for messages: names of places, nothing secret."""
        service = self._value("service", "PGSERVICE")
        host = self._value("host", "PGHOST") or self._value("hostaddr", "PGHOSTADDR")
        port = self._value("port", "PGPORT")
        database = f'database "{self.database}"' if self.database else "the database"
        if host is None:
            place = f'service "{service}"' if service else "the local default server"
        else:
            place = f"{host} port {port}" if port else host
        return f"{database} on {place}"

    def environment(self) -> dict[str, str]:
        """Return the ``PG*`` variables that mean the same, for programs such as pg_dump.

        A child's environment is private to its user; its arguments are not.

        Raises:
            UsageError: a parameter has no variable.
        """
        variables = {
            option.keyword.decode(): option.envvar.decode()
            for option in pq.Conninfo.get_defaults()
            if option.envvar
        }
        missing = sorted(set(self.parameters) - set(variables))
        if missing:
            raise UsageError(
                f"The connection parameters {', '.join(missing)} cannot be handed to the "
                "PostgreSQL programs.",
                hint="Leave them out of the connection string.",
            )
        return {variables[key]: value for key, value in self.parameters.items()}

    def __repr__(self) -> str:
        shown = {k: "***" if k in _HIDDEN else v for k, v in self.parameters.items()}
        return f"Dsn({shown})"

    __str__ = __repr__

    def _value(self, key: str, variable: str) -> str | None:
        return self.parameters.get(key) or os.environ.get(variable) or None


def _malformed(what: str) -> UsageError:
    return UsageError(
        f"The database URL is malformed: {what}.", state=NOTHING_CHANGED, hint=_ENCODE_HINT
    )


def _checked(parameters: dict[str, str]) -> dict[str, str]:
    """Refuse keywords that libpq does not know, and numbers that are none."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    for number, (key, value) in enumerate(parameters.items(), start=1):
        if key not in known:
            raise _malformed(f"parameter {number} is not a connection parameter of libpq")
        if "\0" in value:
            raise _malformed(f"parameter {number} holds a zero byte")
    for port in parameters.get("port", "").split(","):
        if not _PORT.fullmatch(port) or (port and not 1 <= int(port) <= 65535):  # noqa: PLR2004
            raise _malformed("the port is not a number from 1 to 65535")
    if not re.fullmatch(r"-?[0-9]{0,9}", parameters.get("connect_timeout", "").strip()):
        raise _malformed("connect_timeout is not a number of seconds")
    return parameters


def _decode(text: str) -> str:
    """Undo percent-encoding as libpq does: strictly, and without zero bytes."""
    if any(match[1] in (None, "00") for match in _PERCENT.finditer(text)):
        raise _malformed("a % is not followed by two hexadecimal digits other than 00")
    raw = text.encode("utf-8", "surrogateescape")
    decoded = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), raw)
    try:
        return decoded.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("its percent-encoded bytes are not UTF-8") from None


def _parse_url(rest: str) -> dict[str, str]:
    """Read what follows ``postgresql://``."""
    place, question, query = rest.partition("?")
    place, slash, database = place.partition("/")
    credentials, at, hosts = place.rpartition("@")
    if "@" in credentials or "@" in database or "/" in database or "#" in rest:
        raise _malformed("it has an @, / or # where none can be")
    parameters: dict[str, str] = {}
    if at:
        user, colon, password = credentials.partition(":")
        if ":" in password:
            raise _malformed("its user and password part has more than one :")
        _put(parameters, "user", user)
        if colon:
            _put(parameters, "password", password)
    names, ports = _parse_hosts(hosts)
    _put(parameters, "host", names)
    _put(parameters, "port", ports)
    if slash:
        _put(parameters, "dbname", database)
    if question:
        for number, pair in enumerate(query.split("&") if query else (), start=1):
            key, equals, value = pair.partition("=")
            if not equals or "=" in value:
                raise _malformed(f"part {number} after the ? is not key=value")
            parameters[_decode(key)] = _decode(value)
    return parameters


def _put(parameters: dict[str, str], key: str, encoded: str) -> None:
    if encoded:
        parameters[key] = _decode(encoded)


def _parse_hosts(text: str) -> tuple[str, str]:
    """Split ``host:port,host:port`` into the two lists that libpq wants, still encoded."""
    hosts: list[str] = []
    ports: list[str] = []
    for item in text.split(","):
        if item.startswith("["):
            inside, bracket, after = item[1:].partition("]")
            if not bracket or (after and not after.startswith(":")):
                raise _malformed("a [ of an IPv6 address is not closed by ]")
            host, port = inside, after[1:]
            valid = re.fullmatch(r"[0-9A-Fa-f:.]+(%25[A-Za-z0-9._-]+)?", host)
        else:
            host, _, port = item.partition(":")
            valid = _HOST.fullmatch(_decode(host))
        if not valid:
            raise _malformed("the host is neither a name, an address nor a folder")
        if not _PORT.fullmatch(port):
            raise _malformed("the port is not a number from 1 to 65535")
        hosts.append(host)
        ports.append(port)
    return ",".join(hosts), ",".join(ports) if any(ports) else ""


def _parse_pairs(text: str) -> Iterator[tuple[str, str]]:
    """Read ``key=value key='quoted value'``, with backslash escapes, as libpq does."""
    position, number = 0, 0
    while text[position:].strip():
        number += 1
        match = _KEY.match(text, position)
        if match is None:
            raise _malformed(f"part {number} is not key=value")
        value, position = _parse_value(text, match.end(), number)
        yield match[1], value


def _parse_value(text: str, position: int, number: int) -> tuple[str, int]:
    """Return the value that begins at position, and where it ends."""
    quoted = text[position : position + 1] == "'"
    position += quoted
    value: list[str] = []
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            position += 1
            value.append(text[position])
        elif quoted and character == "'":
            if text[position + 1 : position + 2].strip():
                raise _malformed(f"part {number} goes on after its closing quote")
            return "".join(value), position + 1
        elif not quoted and character.isspace():
            return "".join(value), position
        else:
            value.append(character)
        position += 1
    if quoted:
        raise _malformed(f"part {number} has no closing quote")
    return "".join(value), position
