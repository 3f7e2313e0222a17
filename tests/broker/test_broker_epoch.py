"""Data that are not those that a host worked with are noticed, and nobody works on before somebody has said so."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cleanbots.broker import EmbeddedServer, RedisBroker
from cleanbots.broker.epoch import TOLERANCE
from cleanbots.broker.protocol import DONE, Answer, Commit, ReportGuard
from cleanbots.errors import BrokerRefused, BrokerReplaced

Host = Callable[[str], RedisBroker]


@pytest.fixture
def host(server: EmbeddedServer, name: str, tmp_path: Path) -> Iterator[Host]:
    """Connect as a host: each name has a state directory of its own."""
    with ExitStack() as stack:

        def connected(folder: str) -> RedisBroker:
            broker = RedisBroker(server.address, name, tmp_path / folder)
            stack.callback(broker.close)
            return broker

        yield connected


def _set_back(broker: RedisBroker, seconds: int) -> None:
    """Let the server's data look like a copy that was made so many seconds ago."""
    mark = int(broker._client.call("GET", broker._keys.mark))
    broker._client.call("SET", broker._keys.mark, mark - seconds)


def _write_mark(file: Path, mark: int) -> None:
    epoch = file.read_text().split()[0]
    file.write_text(f"{epoch} {mark}\n")


def test_epoch_is_kept_on_both_sides(host: Host, tmp_path: Path) -> None:
    """The first look settles the epoch; another host of the same graph takes it over."""
    for folder in ("one", "two", "one"):
        host(folder).verify()

    one, two = ((tmp_path / folder / "epoch").read_text().split()[0] for folder in ("one", "two"))
    assert one == two != ""


def test_the_mark_moves_on(host: Host, tmp_path: Path) -> None:
    """Each look notes on both sides how far in time the data reach."""
    broker = host("one")
    broker.verify()
    _set_back(broker, 20)
    broker.verify()

    mark = int(broker._client.call("GET", broker._keys.mark))
    assert mark >= broker._client.call("TIME")[0] - 10
    assert (tmp_path / "one" / "epoch").read_text().split()[1] == str(mark)


def test_emptied_data_are_told(host: Host) -> None:
    """Where nothing lies any more, workers wait and the check at start refuses, with the remedy."""
    broker = host("one")
    broker.verify()
    broker._client.call("DEL", broker._keys.epoch)

    with pytest.raises(BrokerReplaced, match=r"was emptied.*cleanbots queues adopt"):
        broker.verify()
    with pytest.raises(BrokerRefused, match="was emptied"):
        broker.check()


def test_another_installation_is_told(host: Host) -> None:
    """Where another graph's data lie under the same name, nobody works on them."""
    broker = host("one")
    broker.verify()
    broker._client.call("SET", broker._keys.epoch, "another")

    with pytest.raises(BrokerReplaced, match="another installation"):
        broker.verify()


def test_an_older_copy_is_told(host: Host) -> None:
    """Data that were set back by hours are told, again and again, and their mark stays as it is."""
    broker = host("one")
    broker.verify()
    _set_back(broker, 3 * 3600)

    for _ in range(2):
        with pytest.raises(BrokerReplaced, match="3 hours older"):
            broker.verify()


def test_a_lost_tail_is_no_older_copy(host: Host) -> None:
    """What a crash under 'everysec' loses comes back by itself: no operator is asked."""
    broker = host("one")
    broker.verify()
    _set_back(broker, TOLERANCE - 5)

    broker.verify()


def test_adopting_once_is_enough_for_all_hosts(host: Host, tmp_path: Path) -> None:
    """After one operator accepted what is there, every host that knew the former data goes on by itself."""
    one, two = host("one"), host("two")
    one.verify()
    two.verify()
    one._client.call("DEL", one._keys.epoch)

    one.adopt()

    one.verify()
    two.verify()
    assert two.check() == []
    assert (tmp_path / "one" / "epoch").read_text().split()[0] == (tmp_path / "two" / "epoch").read_text().split()[0]


def test_an_adopted_copy_begins_anew(host: Host) -> None:
    """An older copy that was accepted is other data: if the newer ones come back after all, that is told."""
    one, two = host("one"), host("two")
    one.verify()
    two.verify()
    former = one._client.call("GET", one._keys.epoch)
    _set_back(one, 3 * 3600)
    one.adopt()
    two.verify()

    one._client.call("SET", one._keys.epoch, former)
    one._client.call("DEL", one._keys.adopted)
    for broker in (one, two):
        with pytest.raises(BrokerReplaced, match="another installation"):
            broker.verify()


def test_a_waiting_worker_notices_that_the_server_was_emptied(host: Host) -> None:
    """A queue that vanished under a waiting consumer is made again only if the data are the right ones."""
    broker = host("one")
    broker.verify()
    assert broker.take(["a"], "one", 0.01) is None
    broker._client.call("DEL", broker._keys.queue("a"), broker._keys.epoch)

    with pytest.raises(BrokerReplaced, match="was emptied"):
        broker.take(["a"], "one", 0.01)


def test_a_restored_data_folder_is_noticed(start_server: Callable[..., EmbeddedServer], tmp_path: Path) -> None:
    """A real server whose folder was exchanged for a copy is told from one that was only restarted."""
    server = start_server({})
    mark = _look(server, tmp_path)
    server.stop()
    shutil.copytree(server.folder / "appendonlydir", tmp_path / "copy")
    server.start()
    assert _look(server, tmp_path) >= mark
    _write_mark(tmp_path / "epoch", mark + 2 * 3600)  # as if the server had gone on for two hours

    server.stop()
    shutil.rmtree(server.folder / "appendonlydir")
    shutil.copytree(tmp_path / "copy", server.folder / "appendonlydir")
    server.start()

    with pytest.raises(BrokerReplaced, match=r"(2 hours|119 minutes) older"):
        _look(server, tmp_path)


def _look(server: EmbeddedServer, folder: Path) -> int:
    broker = RedisBroker(server.address, "g", folder)
    try:
        broker.verify()
        return int(broker._client.call("GET", broker._keys.mark))
    finally:
        broker.close()


def test_without_a_folder_nothing_is_known(server: EmbeddedServer, name: str) -> None:
    """A broker that has no state directory takes the data as they are."""
    broker = RedisBroker(server.address, name)
    broker.verify()
    broker._client.call("SET", broker._keys.epoch, "another")
    broker.verify()
    result = broker.commit(Commit(ReportGuard("c", "r", "", DONE)))
    assert result.answer is Answer.COMMITTED
    broker.close()
