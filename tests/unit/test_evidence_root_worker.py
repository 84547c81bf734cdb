"""Roots that a second process reckons are those of the tree."""

import os
import signal

import pytest

from refactorkit.evidence.root_worker import RootWorker
from refactorkit.evidence.tree import HASH_BYTES, root


def leaves(seed: int, count: int) -> list[bytes]:
    return [(seed * 100_000 + n).to_bytes(HASH_BYTES) for n in range(count)]


def test_roots_are_those_of_the_tree_and_come_in_order() -> None:
    sections = [leaves(number, 4096 if number % 3 else 5) for number in range(20)]
    with RootWorker() as worker:
        for section in sections[:12]:
            worker.add(b"".join(section))
        assert worker.roots() == [root(each) for each in sections[:12]]
        for section in sections[12:]:
            worker.add(b"".join(section))
        assert worker.roots() == [root(each) for each in sections[12:]]
        assert worker.roots() == []


def test_more_answers_than_a_pipe_holds_do_not_stop_it() -> None:
    with RootWorker() as worker:
        for number in range(3000):
            worker.add(b"".join(leaves(number, 2)))
        assert worker.roots() == [root(leaves(number, 2)) for number in range(3000)]


def test_a_process_that_is_gone_is_an_error_and_not_a_root() -> None:
    with RootWorker() as worker:
        worker.add(b"".join(leaves(1, 2)))
        assert worker.roots()
        process = worker._process  # noqa: SLF001 - to be killed
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with pytest.raises(OSError, match=r"gone|Broken pipe"):  # noqa: PT012 - either may say so
            worker.add(b"".join(leaves(2, 4096)))
            worker.roots()


def test_small_trees_need_no_process() -> None:
    with RootWorker() as worker:
        assert worker.roots() == []
        assert worker._process is None  # noqa: SLF001 - that is the promise
