"""The words before an engine's command: die with the guardian, never be root. Standard library only."""

import os
import pwd
import shutil
import signal
import sys
from pathlib import Path


def postgres_account(data: Path) -> tuple[int, int] | None:
    """(uid, gid) for PostgreSQL, which refuses to be root; None where we are not root and stay who we are.

    Existing data is served by its owner, so a folder made by an ordinary user also works for root later.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return data.stat().st_uid, data.stat().st_gid
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known.get("nobody")
    if entry is None:
        raise OSError("PostgreSQL refuses to run as root and there is no user postgres or nobody to run it as")
    return entry.pw_uid, entry.pw_gid


def launcher(death_signal: signal.Signals, account: tuple[int, int] | None = None) -> list[str]:
    """``setpriv`` and its options: the kernel sends ``death_signal`` to the engine when the guardian dies.

    Another account keeps CAP_DAC_OVERRIDE, so that it can enter a data directory or a virtualenv below a
    folder like /root (0700) without changing the mode of any folder. Plain containers have that
    capability. Without ``setpriv`` (not on Linux) a leftover engine is stopped by the next start instead.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None and account is not None:
        raise OSError("PostgreSQL refuses to run as root: install setpriv (util-linux) or run as another user")
    if setpriv is None:
        return []
    words = [setpriv, "--pdeathsig", death_signal.name]
    if account is not None:
        words += ["--reuid", str(account[0]), "--regid", str(account[1]), "--clear-groups"]
        words += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return [*words, "--"]
