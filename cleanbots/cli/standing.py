"""How deliveries stand, for ``cleanbots status``: read from the store, which looking never makes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.model import Settings
from ..errors import CleanbotsError
from ..supervisor.status import Deliveries

if TYPE_CHECKING:
    from ..clearinghouse.store.protocol import Store


def standing(settings: Settings) -> Deliveries | None:
    """Tell how deliveries stand; None if there is no store yet, or it is another host's file."""
    if settings.members is None:
        return None
    try:
        return _read(settings)
    except ImportError as error:
        return Deliveries(settings.delivery.mode, error=f"deliveries: {error}; pip install 'cleanbots[members]'")
    except CleanbotsError as error:
        return Deliveries(settings.delivery.mode, error=f"deliveries can't be told of: {error}")


def _read(settings: Settings) -> Deliveries | None:
    from ..clearinghouse import door
    from ..clearinghouse.freezing import UNFINISHED

    with opened(settings) as store:
        if store is None:
            return None
        held = [row for row in store.rows(state="held", most=100_000) if row.why != UNFINISHED]
        return Deliveries(
            settings.delivery.mode,
            stopped=sorted(door.stops(store).names),
            held={row.reference: f"{row.member}/{row.delivery}: {row.why}" for row in held},
            error=f"deliveries wait: {wrong}" if (wrong := store.check()) else "",
        )


@contextmanager
def opened(settings: Settings) -> Iterator["Store | None"]:
    """Open the store, or give None if there is none yet.

    Raises:
        Retry: if it can't be used for now.
        ConfigError: if it can't be a store, or a newer cleanbots made it.
    """
    from ..clearinghouse.settings import journal_folder, store_address
    from ..clearinghouse.store import open_store
    from ..clock import SystemClock

    address = store_address(settings)
    if not _is_there(address):
        yield None
        return
    store = open_store(address, SystemClock(), journal_folder(settings))
    try:
        yield store
    finally:
        store.close_connections()


def _is_there(address: str) -> bool:
    if "://" not in address:
        return Path(address).exists()
    from ..clearinghouse.store.database import Database, run

    database = Database(address)
    try:
        with database.reading() as connection:
            return run(connection, "SELECT to_regclass('schema_version')").scalar() is not None
    finally:
        database.close()
