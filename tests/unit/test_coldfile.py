"""An export is an age file: others read it, and whatever is done to one is seen."""

import hashlib
import io
import tracemalloc
from collections.abc import Iterator

import pyrage  # type: ignore[import-untyped]
import pytest

from refactorkit.coldfile import age, frames
from refactorkit.coldfile.age import DamagedError, Writer, decrypted

PASSPHRASE = "correct horse battery"  # noqa: S105 - of no file that lasts
CHUNK = 64 * 1024
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK)


def encrypted(data: bytes, passphrase: str = PASSPHRASE) -> bytes:
    out = io.BytesIO()
    writer = Writer(out, passphrase.encode(), work_factor=10)
    for start in range(0, len(data), 1000):
        writer.write(data[start : start + 1000])
    writer.finish()
    return out.getvalue()


def opened(data: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return b"".join(decrypted(io.BytesIO(data), passphrase.encode()))


@pytest.mark.parametrize("size", SIZES)
def test_another_implementation_reads_what_we_write(size: int) -> None:
    data = bytes(i * 7 % 251 for i in range(size))
    assert pyrage.passphrase.decrypt(encrypted(data), PASSPHRASE) == data
    assert opened(encrypted(data)) == data


def test_we_read_what_another_implementation_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(age, "_MOST_WORK", 24)  # it measures the machine, and takes what it can
    data = b"x" * (CHUNK + 1)
    assert opened(pyrage.passphrase.encrypt(data, PASSPHRASE)) == data


def test_two_files_of_one_text_have_nothing_in_common() -> None:
    one, other = encrypted(b"same"), encrypted(b"same")
    assert one[60:] != other[60:]


def test_a_wrong_passphrase_is_told_from_damage() -> None:
    with pytest.raises(DamagedError, match="passphrase does not open"):
        opened(encrypted(b"text"), "another one")


def test_every_bit_counts() -> None:
    whole = encrypted(b"some rows")
    for position in range(len(whole)):
        for bit in (1, 128):
            changed = bytearray(whole)
            changed[position] ^= bit
            with pytest.raises(DamagedError):
                opened(bytes(changed))


def test_every_missing_end_is_seen() -> None:
    whole = encrypted(b"y" * (2 * CHUNK + 100))
    head = whole.index(b"\n---") + 49
    ends = [*range(head), head + 10, head + 16, *(head + 16 + n * (CHUNK + 16) for n in (1, 2))]
    for end in [*ends, len(whole) - 1, len(whole) - 100]:
        with pytest.raises(DamagedError):
            opened(whole[:end])
    with pytest.raises(DamagedError, match="its end is missing"):
        opened(whole[: head + 16 + CHUNK + 16])


def test_chunks_that_are_swapped_or_added_are_seen() -> None:
    whole = encrypted(b"z" * (3 * CHUNK))
    start = whole.index(b"\n---") + 49 + 16
    size = CHUNK + 16
    chunks = [whole[start + n * size :][:size] for n in range(3)]
    for order in ((1, 0, 2), (0, 0, 2), (0, 2), (0, 1, 2, 2)):
        with pytest.raises(DamagedError):
            opened(whole[:start] + b"".join(chunks[n] for n in order))
    with pytest.raises(DamagedError):
        opened(whole + b"x")


@pytest.mark.parametrize(
    "data", [b"", b"x", b"age-encryption.org/v1\n-> X25519 abc\n", b"PGDMP" * 9]
)
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        opened(data)


def test_a_passphrase_that_costs_too_much_to_try_is_refused() -> None:
    dear = encrypted(b"").replace(b" 10\n", b" 30\n")
    with pytest.raises(DamagedError, match="more than is allowed"):
        opened(dear)


def test_frames_come_in_their_order_or_not_at_all() -> None:
    out = io.BytesIO()
    frames.write_json(out.write, b"H", {"a": 1})
    end = frames.write_table(out.write, "t", [b"1\n", b"2\t\\n\n"])
    frames.write_json(out.write, b"M", {})
    assert (end.rows, end.size_bytes) == (2, 7)
    whole = out.getvalue()
    kinds = [kind for kind, _ in frames.read([whole[i : i + 3] for i in range(0, len(whole), 3)])]
    assert kinds == [b"H", b"D", b"E", b"M"]
    for broken in (whole[:-1], whole[10:], whole + whole, b"", whole.replace(b"H", b"X", 1)):
        with pytest.raises(DamagedError):
            list(frames.read([broken]))


def test_a_fingerprint_is_of_head_and_manifest_and_so_of_every_row() -> None:
    def written(head: str, rows: bytes) -> tuple[bytes, str]:
        out = io.BytesIO()
        first = frames.write_json(out.write, b"H", {"made_at": head})
        end = frames.write_table(out.write, "t", [rows])
        last = frames.write_json(out.write, b"M", {"tables": [end.document()]})
        return out.getvalue(), frames.fingerprint(first, last)

    whole, found = written("a", b"1\n")
    head = whole[: whole.index(b"D")]
    manifest = whole[whole.rindex(b"M\0") :]
    assert found == hashlib.sha256(head + manifest).hexdigest()
    assert len({found, written("b", b"1\n")[1], written("a", b"2\n")[1]}) == 3


class Nowhere(io.RawIOBase):
    def write(self, data: object, /) -> int:
        return len(memoryview(data))  # type: ignore[arg-type]


def test_memory_is_flat_whatever_the_size() -> None:
    def rows() -> Iterator[bytes]:
        for _ in range(200):
            yield b"a row of some length\n" * 5000  # 100 kB

    peaks = []
    for times in (1, 4):
        tracemalloc.start()
        writer = Writer(Nowhere(), b"p" * 12, work_factor=10)  # type: ignore[arg-type]
        for _ in range(times):
            frames.write_table(writer.write, "t", rows())
        writer.finish()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 5_000_000
