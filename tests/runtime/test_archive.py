"""The archive: what was collected can be read again, for a while."""

from datetime import UTC, datetime
from pathlib import Path

from cleanbots.services.archive import Archive

DAY = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)


def _keep(archive: Archive, report: str, payload: bytes, now: datetime) -> None:
    recording = archive.record(report, now)
    recording.write(payload)
    recording.finish({"collector": "drop", "name": f"{report}.csv"})


def test_a_report_is_found_by_its_id(tmp_path: Path) -> None:
    """Payload and facts come back as they were."""
    archive = Archive(tmp_path)
    _keep(archive, "abc", b"ip\n192.0.2.1\n", DAY)
    found = archive.find("abc")
    assert found is not None
    assert (found.day, found.facts["name"], found.facts["size"]) == ("2026-11-20", "abc.csv", 13)
    with found.open() as stream:
        assert stream.read() == b"ip\n192.0.2.1\n"


def test_a_report_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    """Half a report never passes for a whole one."""
    archive = Archive(tmp_path)
    recording = archive.record("abc", DAY)
    recording.write(b"half")
    assert archive.find("abc") is None
    recording.abandon()
    assert not list((tmp_path / "2026-11-20").iterdir())


def test_an_id_that_is_a_path_finds_nothing(tmp_path: Path) -> None:
    """Ids from outside can't leave the archive's folder."""
    assert Archive(tmp_path / "archive").find("../../etc/passwd") is None


def test_old_reports_are_purged(tmp_path: Path) -> None:
    """What is older than the limit goes, what is younger stays."""
    archive = Archive(tmp_path)
    _keep(archive, "old", b"x", datetime(2026, 11, 1, tzinfo=UTC))
    _keep(archive, "new", b"x", DAY)
    assert archive.purge(DAY, keep=7 * 86400.0, most=10**9) == 1
    assert [report.id for report in archive.reports()] == ["new"]
    assert not (tmp_path / "2026-11-01").exists()


def test_a_full_archive_loses_its_oldest(tmp_path: Path) -> None:
    """Beyond its size the archive gives up its oldest day first."""
    archive = Archive(tmp_path)
    _keep(archive, "first", bytes(range(256)), datetime(2026, 11, 18, tzinfo=UTC))
    _keep(archive, "second", bytes(range(256)), datetime(2026, 11, 19, tzinfo=UTC))
    archive.purge(DAY, keep=7 * 86400.0, most=400)
    assert [report.id for report in archive.reports()] == ["second"]
