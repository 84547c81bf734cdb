"""Passwords for demonstrations: made at the moment they are asked for, kept by nobody."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

_LOG2_N, _R, _P = 14, 8, 1  # 16 MiB of memory: RFC 7914, section 2, for interactive logins
_SALT_BYTES, _KEY_BYTES, _PASSWORD_BYTES = 16, 32, 15
_MAX_MEMORY: Final = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Login:
    """What somebody needs to log in; the password is shown to them once.

    Attributes:
        role: the user's role.
        email: the user's address.
        password: in clear.
    """

    role: str
    email: str
    password: str = field(repr=False)


def new_password() -> str:
    """Return a password of 20 characters that nobody has had before."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def password_hash(password: str, *, salt: bytes | None = None) -> str:
    """Return a password's scrypt hash in the PHC string format, as passlib and others read it.

    The form is ``$scrypt$ln=14,r=8,p=1$SALT$KEY``, both in base64 without padding.

    Args:
        password: in clear.
        salt: 16 random bytes by default.
    """
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    key = hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=1 << _LOG2_N,
        r=_R,
        p=_P,
        maxmem=_MAX_MEMORY,
        dklen=_KEY_BYTES,
    )
    return f"$scrypt$ln={_LOG2_N},r={_R},p={_P}${_unpadded(salt)}${_unpadded(key)}"


def _unpadded(value: bytes) -> str:
    return base64.b64encode(value).decode().rstrip("=")
