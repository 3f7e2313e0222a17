"""The worker of a collector: collect, cut into chunks, commit each with the ledger, then tell the source.

The ledger's position of a report says how far it is collected; a report that is known as complete is only told to
its source again. So a crash at any point neither loses nor doubles a chunk.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any, BinaryIO, cast

import msgspec

from ..bot import Collector, Parser
from ..broker.protocol import DONE, FEEDS, Answer, Broker, Commit, Output, ReportGuard
from ..clock import iso
from ..config.values import resolve
from ..cutter import Piece, Position, cut
from ..errors import BrokerUnavailable, InvalidRow, UnreadableReport
from ..frame import encode_chunks
from ..report import Chunk, Cut, Report
from ..services.archive import Archive, Recording, Tee
from .assembly import Assembly, report_fields
from .commits import FAILED_IS_FULL, Commits
from .faults import Backoff, world_at_fault
from .schedule import tick_guard
from .stop import InterruptedWork, Stop

log = logging.getLogger("cleanbots.worker")

_TELL_AFTER = 100  # reports whose sources wait for durability at most
_DURABLE = 30.0  # seconds to wait for it
_LEDGER = "/ledger"  # no bot can have this name
_KNOWN = timedelta(days=30)  # how long a complete report is known after its source showed it last
_LOOK_AGAIN = 1.0  # seconds at most that a continuous collector waits while nothing is there
_SOON = 0.2  # seconds until the next look at what is about to be there


class _Collected(msgspec.Struct, frozen=True, array_like=True):
    """The ledger's position of a report that is not complete.

    Args:
        offset: how many bytes of the payload are committed.
        line: the physical line after them.
        error: why it could not be read further, if somebody was told already.
    """

    offset: int = 0
    line: int = 1
    error: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Collected).decode


class _LostError(Exception):
    """Another process collects this report."""


class CollectorWorker:
    """Runs one collector: once through what is there, or for ever if it is continuous.

    Args:
        assembly: the graph's.
        bot: the collector's id.
        stop: the request to stop.
    """

    def __init__(self, assembly: Assembly, bot: str, stop: Stop) -> None:
        self._assembly = assembly
        self._settings = assembly.settings
        self._id = bot
        self._stop = stop
        self._broker: Broker = assembly.broker()
        self._lender = assembly.lender(self._broker)
        self._targets = [target for targets in self._settings.bots[bot].to.values() for target in targets]
        self._cut = self._common_cut()
        self._commits = Commits(assembly)
        keep = self._settings.archive
        self._archive = None if keep is None else Archive(assembly.state / "archive")
        self._untold: list[Report] = []

    def run(self, slot: str = "", *, once: bool = True, wait: bool = False) -> None:
        """Collect.

        Args:
            slot: the time slot that this run is for; it is marked as done at the end.
            once: False goes on when nothing is there for now.
            wait: look again, until nothing is about to be there soon.

        Raises:
            Exception: what the collector raised; whoever started this process tries again later.
        """
        self._broker.verify()
        bot = cast("Collector[Any]", self._assembly.bot(self._id, self._lender, self._broker.cursor(self._id)))
        bot.open()
        try:
            while self._collect(bot, once=once) and wait and not self._stop.wait(_SOON):
                pass
            self._tell(bot)
            if slot:
                now = self._assembly.clock.now()
                self._broker.commit(Commit(tick_guard(self._id, slot, now, self._broker.last_slot)))
            self._purge()
        finally:
            bot.close()
            self._broker.close()

    def _collect(self, bot: Collector[Any], *, once: bool) -> bool:
        """Collect what is there; True if something is about to be there soon."""
        for report in bot.collect():
            if self._stop.requested:
                return False
            if report is None:
                self._tell(bot)
                if once or self._stop.requested:
                    return True
                bot.wait(_LOOK_AGAIN)
                continue
            if self._take(report):
                self._untold.append(report)
            if len(self._untold) >= _TELL_AFTER:
                self._tell(bot)
        return False

    def _common_cut(self) -> Cut:
        cuts = set()
        for target in self._targets:
            settings = self._settings.bots[target]
            cls = self._assembly.registry.load(settings.use)
            if not issubclass(cls, Parser):
                raise TypeError(f"{self._id} feeds {target}, which is no parser")
            params = resolve(settings.params, cls.params_type(), self._assembly.base)
            cuts.add(cls.cut(params))
        if len(cuts) != 1:
            raise TypeError(f"the parsers that {self._id} feeds cut reports differently; use a collector for each")
        return cuts.pop()

    # -- one report

    def _take(self, report: Report) -> bool:
        """Collect one report; True if it is complete. Waits while the server is away."""
        backoff = Backoff(0.05, 5.0)
        while True:
            try:
                return self._collect_report(report)
            except _LostError:
                log.warning("%s: report %s is collected by somebody else", self._id, report.id)
                return False
            except BrokerUnavailable as error:
                if self._stop.wait(backoff.told(error, log)):
                    raise InterruptedWork from error

    def _collect_report(self, report: Report) -> bool:
        text = self._broker.position(report.id)
        if text == DONE:
            return True
        known = _decode(text) if text else _Collected()
        recording: Recording | None = None
        try:
            stream = _open(report)
            if self._archive is not None:
                recording = self._archive.record(report.id, self._assembly.clock.now())
                stream = cast("BinaryIO", Tee(stream, recording))
            try:
                fields = self._fields(report)
                start = Position(known.offset, known.line)
                for piece in cut(stream, self._cut, start=start, encoding=report.encoding):
                    text = self._commit_piece(report, fields, piece, text)
                    known = _Collected(piece.end.offset, piece.end.line)
            finally:
                stream.close()
            if recording is not None:
                recording.finish(self._facts(report, fields))
                recording = None
        except (_LostError, InterruptedWork):
            raise
        except Exception as error:
            if world_at_fault(error):
                raise
            self._set_aside(report, error, text, known)
            return False
        finally:
            if recording is not None:
                recording.abandon()
        return True

    def _fields(self, report: Report) -> dict[str, Any]:
        fields = report_fields(self._settings.bots[self._id], self._assembly.clock)
        if report.url:
            fields["feed.url"] = report.url
        fields.update(report.fields)
        return fields

    def _facts(self, report: Report, fields: dict[str, Any]) -> dict[str, Any]:
        return {
            "collector": self._id,
            "key": report.key,
            "name": report.name,
            "url": report.url,
            "encoding": report.encoding,
            "time": fields["time.observation"],
            "fields": fields,
        }

    def _commit_piece(self, report: Report, fields: dict[str, Any], piece: Piece, text: str) -> str:
        chunk = Chunk(
            id=report.id,
            payload=piece.payload,
            line=piece.line,
            header=piece.header,
            name=report.name,
            encoding=piece.encoding,
            final=piece.final,
            fields=fields,
        )
        then = DONE if piece.final else _encode(_Collected(piece.end.offset, piece.end.line)).decode()
        counters = {f"{self._id}:bytes": len(piece.payload)}
        state: dict[str, dict[str, bytes | None]] = {}
        if piece.final:
            counters[f"{self._id}:reports"] = 1
            state[FEEDS] = {self._id: iso(self._assembly.clock.now().replace(microsecond=0)).encode()}
        outputs = []
        if piece.payload:
            data = encode_chunks([chunk])
            outputs = [Output(target, data, 1) for target in self._targets]
        broken = self._broken(chunk, piece, counters)
        guard = ReportGuard(self._id, report.id, text, then, report.cursor if piece.final else None)
        self._commit(self._commits.make(guard, outputs, broken, counters, state))
        return then

    def _broken(self, chunk: Chunk, piece: Piece, counters: dict[str, int]) -> list[Output]:
        """Make dead letters, for the parsers, of the records that can't be cut."""
        items = [
            (
                msgspec.structs.replace(chunk, payload=broken.payload, line=broken.line),
                InvalidRow(f"line {broken.line}: {broken.reason}"),
            )
            for broken in piece.broken
        ]
        if not items:
            return []
        for target in self._targets:
            counters[f"{target}:in"] = counters[f"{target}:failed"] = len(items)
        return [self._commits.letters(target, items) for target in self._targets]

    def _set_aside(self, report: Report, error: Exception, text: str, known: _Collected) -> None:
        """Put a report that can't be read into the collector's failed, once; it is tried again with each slot."""
        sentence = f"{report.name or report.key}: {error}"
        if known.error == sentence:
            return
        log.error("%s: %s", self._id, sentence)
        chunk = Chunk(report.id, b"", known.line, name=report.name)
        then = _encode(_Collected(known.offset, known.line, sentence)).decode()
        guard = ReportGuard(self._id, report.id, text, then)
        self._commit(self._commits.failure(guard, self._id, chunk, UnreadableReport(sentence)))

    def _commit(self, commit: Commit) -> None:
        backoff = Backoff(0.02, 1.0)
        while True:
            result = self._broker.commit(commit)
            if result.answer is Answer.COMMITTED:
                return
            if result.answer is Answer.LOST:
                raise _LostError
            if result.answer is Answer.FAILED_FULL and backoff.tries % 60 == 0:
                log.error(FAILED_IS_FULL, result.name, result.name)
            if self._stop.wait(backoff.next()):
                raise InterruptedWork

    # -- afterwards

    def _tell(self, bot: Collector[Any]) -> None:
        """Tell the sources of complete reports, once that is durable."""
        if not self._untold:
            return
        if not self._broker.durable(_DURABLE):
            log.warning("%s: the server did not confirm durability; the sources are told next time", self._id)
            self._untold.clear()
            return
        self._broker.verify()
        for report in self._untold:
            try:
                bot.done(report)
            except OSError as error:
                log.warning("%s: %s: can't be told that it is collected: %s", self._id, report.name, error)
        self._untold.clear()

    def _purge(self) -> None:
        """Let go of what is past its time: archived reports, and once a day reports that no source shows any more."""
        now = self._assembly.clock.now()
        self._forget(now)
        keep = self._settings.archive
        if self._archive is not None and keep is not None:
            self._archive.purge(self._assembly.clock.now(), keep.keep, keep.max)

    def _forget(self, now: datetime) -> None:
        """Let the ledger forget, once a day; not if that is far after the last time, as the clock may be wrong."""
        last = self._broker.last_slot(_LEDGER)
        today = f"{now:%Y-%m-%d}"
        if self._broker.commit(Commit(tick_guard(_LEDGER, today, now, self._broker.last_slot))).answer is Answer.LOST:
            return
        if last and now - datetime.fromisoformat(f"{last}T00:00:00+00:00") < _KNOWN:
            self._broker.forget_reports(now - _KNOWN)


def _open(report: Report) -> BinaryIO:
    return BytesIO(report.payload) if isinstance(report.payload, bytes) else report.payload()


def pieces_of(report: Report, how: Cut) -> Iterator[Piece]:
    """Cut a report as a collector's worker does: for `try`, `explain` and tests."""
    stream = _open(report)
    try:
        yield from cut(stream, how, encoding=report.encoding)
    finally:
        stream.close()
