"""A shim that makes every fdatasync of a program slow, as a busy disk does."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

int fdatasync(int file)
{
    usleep(%d);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
"""


def slow_sync(folder: Path, seconds: float) -> dict[str, str]:
    """Give an environment in which each fdatasync takes so many seconds longer; skips where there is no compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed, so the disk can't be made slow")
    source, shim = folder / "slow.c", folder / "slow.so"
    source.write_text(_SOURCE % int(seconds * 1e6))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(shim)}
