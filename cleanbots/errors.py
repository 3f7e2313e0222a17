"""Every exception that cleanbots raises on purpose, in one tree.

Two families matter to the runtime: `Retry` says that the world is at fault, so the work waits and is tried again;
anything else raised while an item is handled says that this item is at fault, at once and alone.
"""

from typing import Any


class CleanbotsError(Exception):
    """Root of all exceptions raised on purpose; its text is one clear sentence for a person."""


class Retry(CleanbotsError):
    """The world is at fault (a service is away, a disk is full): keep the work and try again.

    Args:
        message: what was wrong, and what would mend it.
        after: seconds to wait before the next try; ``None`` leaves that to the runtime's back-off.
    """

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class BrokerUnavailable(Retry):
    """The queue server can't be reached or refuses writes for now (restart, LOADING, OOM, MISCONF)."""


class BrokerReplaced(BrokerUnavailable):
    """The queue server's data are not those that this host worked with: emptied, another's, or an older copy."""


class BrokerRefused(CleanbotsError):
    """The queue server is unfit for the promise: version, eviction policy, persistence, wrong password or epoch."""


class InvalidValue(CleanbotsError, ValueError):
    """A value does not fit its field.

    Args:
        field: the field's name, for example ``source.ip``.
        value: the value as it came.
        reason: why it does not fit, and what would; a sentence without a full stop.
    """

    def __init__(self, field: str, value: Any, reason: str) -> None:
        self.field = field
        self.value = value
        self.reason = reason
        super().__init__(f"{field}: {shorten(value)}: {reason}")


class UnknownField(CleanbotsError, ValueError):
    """A field that the catalogue does not have.

    Args:
        field: the unknown name.
        hint: the closest known name, if one is close.
    """

    def __init__(self, field: str, hint: str = "") -> None:
        self.field = field
        self.hint = hint
        text = f"{field}: no such field" + (f"; did you mean {hint!r}?" if hint else "; 'cleanbots fields' lists them")
        super().__init__(text)


class InvalidRow(CleanbotsError, ValueError):
    """A piece of a report that can't be read as a row; the text says what is wrong with it."""


class UnreadableReport(CleanbotsError):
    """A report that can't be opened or read to its end; the text says which, and why."""


class FrameError(CleanbotsError):
    """Bytes from a queue that are not a frame."""


class NewerFrame(CleanbotsError):
    """A frame written by a newer cleanbots: no item is at fault, this worker must be upgraded."""


class ExpressionError(CleanbotsError, ValueError):
    """An expression that can't be compiled.

    Args:
        text: the expression.
        position: 0-based offset of the mistake in it.
        reason: what is wrong, and what is allowed there.
    """

    def __init__(self, text: str, position: int, reason: str) -> None:
        self.text = text
        self.position = position
        self.reason = reason
        super().__init__(f"{reason} (at character {position + 1} of {text!r})")


class PluginError(CleanbotsError):
    """A plugin or bot that can't be found, loaded or told apart from another."""


class ConfigError(CleanbotsError):
    """A configuration that can't be used; the text lists every mistake, one a line."""


class SecretMissing(ConfigError):
    """A reference to a secret (``${env:NAME}``, ``file:PATH``) that leads nowhere."""


def lightened(error: Exception) -> Exception:
    """Let go of all that *error* holds on to (the frames it passed, with whatever lies in them) and give it back.

    Where it was raised stays as a note (``file.py:17``), unless it is one of ours and says so itself.
    """
    origin = error.__cause__ or error
    if not isinstance(origin, CleanbotsError) and (trace := origin.__traceback__) is not None:
        while trace.tb_next is not None:
            trace = trace.tb_next
        error.add_note(f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def shorten(value: Any, limit: int = 80) -> str:
    """Give ``repr(value)``, cut to *limit* characters, for use in a sentence."""
    try:
        text = repr(value[: limit * 2] if isinstance(value, (str, bytes)) else value)
    except ValueError:  # Python refuses to write whole numbers of more than 4300 digits
        text = f"<{type(value).__name__}>"
    if len(text) <= limit:
        return text
    end = text[-1] if text[-1] in "'\"" else ""
    return f"{text[: limit - 1 - len(end)].rstrip(chr(92))}…{end}"
