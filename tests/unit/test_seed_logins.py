"""Demo logins: passwords that nobody had before, and hashes that say how to check them."""

import base64
import hashlib

from refactorkit.commands.demo_logins import Login, new_password, password_hash


def test_a_hash_names_its_scheme_and_its_parameters() -> None:
    _, scheme, parameters, salt, key = password_hash("secret").split("$")
    assert (scheme, parameters) == ("scrypt", "ln=14,r=8,p=1")
    assert len(base64.b64decode(salt + "==")) == 16
    assert len(base64.b64decode(key + "=")) == 32


def test_a_hash_can_be_checked_with_the_standard_library() -> None:
    _, _, _, salt, key = password_hash("p\u00e4ss").split("$")
    expected = hashlib.scrypt(
        "p\u00e4ss".encode(), salt=base64.b64decode(salt + "=="), n=2**14, r=8, p=1, dklen=32
    )
    assert base64.b64decode(key + "=") == expected


def test_the_same_salt_gives_the_same_hash_for_the_same_password_only() -> None:
    assert password_hash("x", salt=b"0" * 16) == password_hash("x", salt=b"0" * 16)
    assert password_hash("x", salt=b"0" * 16) != password_hash("y", salt=b"0" * 16)


def test_passwords_and_salts_are_new_each_time() -> None:
    assert len({new_password() for _ in range(100)}) == 100
    assert password_hash("x") != password_hash("x")
    assert len(new_password()) == 20


def test_a_login_that_is_printed_by_accident_shows_no_password() -> None:
    password = new_password()
    assert password not in repr(Login(role="admin", email="a@seed.invalid", password=password))
