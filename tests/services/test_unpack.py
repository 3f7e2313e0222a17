"""Archives: read as streams, by real sizes, with one sentence for whatever is wrong."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanbots.services.unpack import Limits, UnpackError, unpack

MEMBERS = {"a.csv": b"1,2\n", "b.csv": b"3,4\n"}


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Make a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def opener(data: bytes) -> Callable[[], BinaryIO]:
    """Give a function that opens *data* as a file."""
    return lambda: io.BytesIO(data)


def contents(data: bytes, name: str = "x", **limits: int) -> list[tuple[str, bytes | str]]:
    """Give name and content of each file inside, or the error's sentence."""
    found: list[tuple[str, bytes | str]] = []
    for member in unpack(opener(data), name, Limits(**limits)):
        try:
            with member.open() as stream:
                found.append((member.name, stream.read()))
        except UnpackError as error:
            found.append((member.name, str(error)))
    return found


def test_a_file_that_is_no_archive_is_its_own_member():
    """What is neither zip nor gzip, by its content, is left as it is."""
    assert contents(b"a,b\n", "x.zip") == [("x.zip", b"a,b\n")]


def test_members_of_a_zip():
    """Each file of a zip is a member, by its own name; folders are none."""
    data = zipped({"f/": b"", "f/a.csv": b"1", "../../b.csv": b"2", "c:\\d.csv": b"3"})

    assert contents(data) == [("a.csv", b"1"), ("b.csv", b"2"), ("d.csv", b"3")]


def test_gzip_loses_its_suffix():
    """A gzip file is one member with the name below `.gz`; several streams in a row are one file."""
    assert contents(gzip.compress(b"1\n") + gzip.compress(b"2\n"), "a.csv.gz") == [("a.csv", b"1\n2\n")]


def test_archives_in_archives():
    """Archives are opened two deep, and no deeper."""
    once, twice = zipped(MEMBERS), zipped({"in.zip": zipped(MEMBERS), "c.csv.gz": gzip.compress(b"5\n")})

    assert contents(gzip.compress(once)) == list(MEMBERS.items())
    assert contents(twice) == [*MEMBERS.items(), ("c.csv", b"5\n")]
    assert contents(gzip.compress(twice))[-1] == ("c.csv.gz", "more than 2 archives inside of each other")


def test_paths_tell_members_apart():
    """Members with the same name have different paths."""
    data = zipped({"a/x.csv": b"1", "b/x.csv": b"2", "in.zip": zipped({"x.csv": b"3"})})

    assert len({member.path for member in unpack(opener(data), "x")}) == 3


def test_a_bomb_is_noticed_by_what_comes_out():
    """More than the ratio stops the reading, in zip and gzip; a small repetitive file passes."""
    bomb = b"\0" * (40 * 2**20)
    for data in (zipped({"a": bomb}), gzip.compress(bomb)):
        ((_, sentence),) = contents(data)
        assert "more than 200 bytes come out for each byte that goes in" in str(sentence)
    assert contents(gzip.compress(bytes(10 * 2**20)))[0][1] == bytes(10 * 2**20)


def test_the_total_counts_all_members():
    """The limit on what comes out is for the archive as a whole."""
    found = contents(zipped({"a": b"x" * 600, "b": b"y" * 600}, zipfile.ZIP_STORED), total=1000)

    assert found[0] == ("a", b"x" * 600)
    assert "more than 1000 bytes come out" in str(found[1][1])


def test_declared_sizes_are_not_believed():
    """A size that lies in the headers doesn't let more through."""
    data = bytearray(zipped({"a": b"\0" * 2**20}))
    for at, signature in ((22, b"PK\x03\x04"), (24, b"PK\x01\x02")):
        start = data.index(signature)
        struct.pack_into("<I", data, start + at, 10)

    ((_, found),) = contents(bytes(data), total=1000)

    assert isinstance(found, str) or len(found) <= 10


def test_too_many_members():
    """Files beyond the limit are one failure."""
    found = contents(zipped({str(n): b"" for n in range(5)}), members=3)

    assert [name for name, _ in found] == ["0", "1", "2", "x"]
    assert found[-1][1] == "more than 3 files inside"


def test_a_directory_of_a_million_files_is_not_even_read():
    """The directory itself is limited, whatever the archive says of itself."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    directory = entry * 100_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), 4, 0)

    ((_, sentence),) = contents(b"PK\x03\x04" + directory + end)

    assert sentence == "a directory of too many files inside"


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04",
        zipped(MEMBERS)[:-10],
        gzip.compress(b"x" * 100)[:-9],
        gzip.compress(b"x" * 100)[:-4] + b"\0\0\0\0",
        b"\x1f\x8b" + b"\xff" * 50,
        zipped(MEMBERS).replace(zlib.compress(b"1,2\n")[2:-4], b"\xff" * len(zlib.compress(b"1,2\n")[2:-4])),
    ],
    ids=["signature", "cut zip", "cut gzip", "sum", "gzip", "deflate"],
)
def test_damage_is_one_sentence(data):
    """A damaged archive raises UnpackError and nothing else."""
    assert any(isinstance(found, str) and "archive" in found for _, found in contents(data))


def test_encrypted_members_are_named_as_such():
    """A member that needs a password says so; the others are read."""
    data = bytearray(zipped(MEMBERS))
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 8, 1)

    assert contents(bytes(data)) == [("a.csv", "encrypted; have it sent without a password"), ("b.csv", b"3,4\n")]


ARCHIVES = [zipped(MEMBERS, method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)]


@given(st.sampled_from([*ARCHIVES, zipped(MEMBERS, zipfile.ZIP_LZMA), gzip.compress(b"1,2\n" * 50)]), st.data())
def test_any_damage_ends_in_sentences(archive, data):
    """Whatever bytes are changed, reading gives content or UnpackError."""
    damaged = bytearray(archive)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))

    contents(bytes(damaged))


def test_nothing_is_written_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No member's name becomes a file."""
    monkeypatch.chdir(tmp_path)

    contents(zipped({"evil.csv": b"1", "/tmp/evil.csv": b"2", "in.zip": zipped({"evil.csv": b"3"})}))

    assert not list(tmp_path.rglob("*"))
