"""Which account a server runs as."""

import os
import pwd
from pathlib import Path

import pytest

from refactorkit.errors import FailedError
from refactorkit.postgres import account
from refactorkit.postgres.account import server_account


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "reaches", lambda *_: True)


def test_an_ordinary_user_needs_no_other_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert server_account() is None


@pytest.mark.usefixtures("as_root")
def test_root_takes_one_that_owns_nothing() -> None:
    chosen = server_account()
    assert chosen is not None
    assert chosen.uid == pwd.getpwnam("nobody").pw_uid
    assert chosen.process_arguments() == {
        "user": chosen.uid,
        "group": chosen.gid,
        "extra_groups": [],
    }


@pytest.mark.usefixtures("as_root")
def test_root_takes_the_owner_of_data_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = pwd.getpwnam("daemon")
    facts = list(tmp_path.stat())
    facts[4] = owner.pw_uid
    monkeypatch.setattr(Path, "stat", lambda *_, **__: os.stat_result(facts))
    chosen = server_account(tmp_path)
    assert chosen is not None
    assert chosen.name == "daemon"


@pytest.mark.usefixtures("as_root")
def test_an_account_that_root_cannot_become_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "reaches", lambda who, _: who.name == "daemon")
    chosen = server_account()
    assert chosen is not None
    assert chosen.name == "daemon"
    monkeypatch.setattr(account, "reaches", lambda *_: False)
    with pytest.raises(FailedError, match="can be used here"):
        server_account()
