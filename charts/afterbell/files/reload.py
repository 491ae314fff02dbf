"""For development: runs `afterbell ARGUMENTS` from a copy of the code that may be changed, anew after each change."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCE, COPY = Path(sys.argv[1]), Path(sys.argv[2])
LOOK_S = 0.5
ENDING_S = 10


def main() -> None:
    shutil.copytree(SOURCE, COPY, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    seen, process = stamps(), start()
    try:
        while True:
            time.sleep(LOOK_S)
            if (now := stamps()) != seen:
                print("the code changed: starting anew", file=sys.stderr, flush=True)
                end(process)
                seen, process = now, start()
    finally:
        end(process)


def stamps() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in COPY.rglob("*.py")}


def start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "afterbell", *sys.argv[3:]])


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


main()
