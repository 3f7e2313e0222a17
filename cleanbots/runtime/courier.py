"""The entry of a courier's process: ``python -m cleanbots.runtime.courier SNAPSHOT CHANNEL``.

It makes and hands over the deliveries of one channel until SIGTERM. Several may run: one holds the lease, the others
say who does, and wait.
"""

import argparse
import logging
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from ..broker.protocol import Broker
from ..clearinghouse.crew import Team
from ..clearinghouse.equipment import Equipment
from ..clearinghouse.outbox import Outbox
from ..clearinghouse.settings import store_address
from ..clearinghouse.witness import Witness
from ..clock import Clock, clock_at
from ..config.model import Settings
from ..errors import CleanbotsError, Retry
from ..services.logs import setup
from ..services.watch import Watch
from .assembly import Assembly, load_settings
from .faults import Backoff
from .stop import InterruptedWork, Stop
from .worker import EXIT_FAILED, EXIT_LOCKED, EXIT_OK, SlotTakenError, slot_lock

log = logging.getLogger("cleanbots.courier")

_IDLE = 0.5
_SHUT = 2.0
_PAUSE = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the courier of one channel; give the exit code (0 clean, 1 failed, 75 another process has this slot)."""
    args = _parse(arguments)
    setup(args.log_level, sys.stderr)
    stop = Stop()
    stop.install()
    try:
        settings = load_settings(args.snapshot)
        with slot_lock(settings, args.host, f"courier-{args.channel}", 0):
            run(settings, args.channel, args.host, stop, clock_at(args.at), once=args.once)
    except InterruptedWork:
        return EXIT_OK
    except SlotTakenError as error:
        log.error("%s", error)  # noqa: TRY400  # a sentence, no traceback
        return EXIT_LOCKED
    except CleanbotsError as error:
        log.error("%s", error)  # noqa: TRY400
        stop.wait(_PAUSE)  # whoever starts this process again shall not spin
        return EXIT_FAILED
    except Exception:
        log.exception("courier %s: ended by an unexpected error", args.channel)
        stop.wait(_PAUSE)
        return EXIT_FAILED
    return EXIT_OK


def run(
    settings: Settings, channel: str, host: str, stop: Stop, clock: Clock | None = None, *, once: bool = False
) -> None:
    """Work for a channel until asked to stop; a store that is away is waited for.

    Args:
        settings: the snapshot.
        channel: which.
        host: this host's name in the configuration.
        stop: the request to stop.
        clock: what time it is.
        once: end when nothing is due for now.
    """
    assembly = Assembly(settings, clock)
    equipment = Equipment(settings, assembly.registry, assembly.clock)
    try:
        crew = equipment.crew(channel)
        broker = assembly.broker()
        try:
            _work(equipment, broker, crew, channel, _owner(settings, host), stop, once=once)
        finally:
            broker.close()
        crew.close()
    finally:
        equipment.close()


def _work(
    equipment: Equipment, broker: Broker, crew: Team, channel: str, owner: str, stop: Stop, *, once: bool
) -> None:
    witness: Witness | None = None
    backoff = Backoff(0.1, 30.0)
    outbox: Outbox | None = None
    said = ""
    watch = _watch(equipment.settings)
    log.info("courier %s: delivery.mode is %s", channel, equipment.hub.mode)
    while not stop.requested:
        try:
            witness = witness or Witness(equipment.store, broker, equipment.clock)
            witness.look()
            outbox = outbox or _outbox(equipment, crew, channel, owner, stop)
            step = outbox.step()
            if not step.shut:
                _purge(equipment)
            backoff.reset()
        except Retry as error:
            stop.wait(backoff.told(error, log))
            continue
        if step.shut != said:
            log.warning("courier %s: %s", channel, step.shut or "goes on")
            said = step.shut
        if once and not (step.made or step.offered or step.away):
            break
        if step.shut:
            stop.wait(_SHUT)
        elif watch.wait(0.0 if step.offered else _IDLE, crew.bell):
            outbox.wake()
    watch.close()
    if outbox is not None:
        outbox.release()


def _owner(settings: Settings, host: str) -> str:
    """Name this installation: after a restart it is the same, a clone in another folder or machine is another one."""
    about = Path(settings.state).stat()
    boot = Path("/proc/sys/kernel/random/boot_id")
    machine = boot.read_text("ascii")[:8] if boot.exists() else ""
    return f"{host} ({platform.node()}, {settings.state}, {machine}-{about.st_dev:x}-{about.st_ino:x})"


def _outbox(equipment: Equipment, crew: Team, channel: str, owner: str, stop: Stop) -> Outbox:
    return Outbox(
        equipment.kit,
        crew,
        channel=channel,
        owner=owner,
        clock=equipment.clock,
        stopping=lambda: stop.requested,
    )


def _watch(settings: Settings) -> Watch:
    """Give what tells when somebody has written to the store; of a server's store it is not told."""
    address = store_address(settings)
    return Watch() if "://" in address else Watch(Path(address).parent)


def _purge(equipment: Equipment) -> None:
    """Once a day, remove what is past its retention."""
    now, store, hub = equipment.clock.now(), equipment.store, equipment.hub
    today = f"{now:%Y-%m-%d}"
    if store.flag("purged") != today:
        store.flag("purged", today)
        removed = store.purge(now, hub.keep_sent, hub.keep_ledger)
        log.info("removed what is past its retention: %s", removed)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cleanbots.runtime.courier", description="Run the courier of a channel.")
    parser.add_argument("snapshot", type=Path, help="the snapshot's file")
    parser.add_argument("channel", help="the channel's name in delivery.couriers")
    parser.add_argument("--host", default="main", help="this host's name in the configuration")
    parser.add_argument("--once", action="store_true", help="end when nothing is due for now")
    parser.add_argument("--at", default="", help="pretend that it is this time now")
    parser.add_argument("--log-level", default="INFO", help="DEBUG, INFO, WARNING or ERROR")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
