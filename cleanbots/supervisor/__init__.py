"""supervisord: its configuration from a snapshot, and its XML-RPC."""

from .client import Process, SupervisorError
from .control import Changes, Progress, Supervisor
from .held import hold
from .programs import SCHEDULER, SERVER, Program, fingerprint, programs
from .status import BotStatus, Counts, Deliveries, Status, WorkerStatus, assess

__all__ = [
    "SCHEDULER",
    "SERVER",
    "BotStatus",
    "Changes",
    "Counts",
    "Deliveries",
    "Process",
    "Program",
    "Progress",
    "Status",
    "Supervisor",
    "SupervisorError",
    "WorkerStatus",
    "assess",
    "fingerprint",
    "hold",
    "programs",
]
