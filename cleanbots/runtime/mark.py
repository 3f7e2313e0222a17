"""Progress marks: how far an entry is worked off, and what is known of the items that kill.

A mark is committed with each slice. After a death the slice shrinks by eight within the stretch that was being
worked on (the *danger*); at one item the mark names the bot before it is called. A bot where the same item kills
twice is not called for it again: the item goes to that bot's failed.
"""

import msgspec

SHRINK = 8
KILLS = 2


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """How far an entry is worked off.

    Args:
        item: index of the frame's item that the last finished unit belongs to; -1 before the first.
        position: the position of the last finished unit in its item.
        slice: how many units are taken at once now; 0 for the worker's own size.
        danger: how many units from here on may hold one that kills.
        calling: the bot that is being called for the next unit (only while the slice is one).
        killer: the bot that a worker died in at the next unit.
        kills: how often.
        clean: True if the worker let go of the entry by itself: whoever takes it on suspects nothing.
    """

    item: int = -1
    position: int = -1
    slice: int = 0
    danger: int = 0
    calling: str = ""
    killer: str = ""
    kills: int = 0
    clean: bool = False

    @property
    def poisoned(self) -> str:
        """The bot that must not be called for the next unit, or ""."""
        return self.killer if self.kills >= KILLS else ""

    def text(self) -> str:
        """Give the mark as the broker keeps it."""
        return _encode(self).decode()

    def after_death(self, size: int) -> "Mark":
        """Give the mark to go on with after a worker died on this one; *size* is the worker's own slice."""
        if self.clean:
            return msgspec.structs.replace(self, clean=False)
        if self.calling:
            kills = self.kills + 1 if self.calling == self.killer else 1
            return msgspec.structs.replace(self, calling="", killer=self.calling, kills=kills, slice=1, danger=1)
        tried = self.slice or size
        return msgspec.structs.replace(self, slice=max(1, tried // SHRINK), danger=tried)

    def call(self, bot: str) -> "Mark":
        """Give the mark that names *bot* before it is called for a single unit."""
        return msgspec.structs.replace(self, calling=bot)

    def advance(self, item: int, position: int, units: int) -> "Mark":
        """Give the mark after *units* more units, the last of them at (*item*, *position*)."""
        danger = max(0, self.danger - units)
        return Mark(item, position, self.slice, danger) if danger else Mark(item, position)

    def released(self) -> "Mark":
        """Give the mark of an entry that its worker lets go of by itself."""
        return msgspec.structs.replace(self, clean=True, calling="")


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Mark).decode


def read_mark(text: str) -> Mark:
    """Read a mark from the broker; "" is the start."""
    return _decode(text) if text else Mark()
