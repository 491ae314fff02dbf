# ruff: noqa: T201 - its lines are what the tests read
"""A process that uses embedded engines: prints their URLs as JSON, stays until its input ends, says "left".

    python engine_user.py DATA_DIR [valkey|postgres|both]

On Ctrl-C it asks Valkey once more and prints the answer: what a process that shuts down needs.
"""

import json
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote, urlsplit

from afterbell.dev.engines.engine_errors import EnginesError
from afterbell.dev.engines.engines import engines


def main(data_dir: str, which: str = "both") -> int:
    try:
        with engines(Path(data_dir), redis=which != "postgres", postgres=which != "valkey") as urls:
            try:
                print(json.dumps(asdict(urls)), flush=True)
                sys.stdin.read()
            except KeyboardInterrupt:
                print(ping(urls.redis_url or ""), flush=True)
    except EnginesError as error:
        print(error, flush=True)
        return 2
    print("left", flush=True)
    return 0


def ping(redis_url: str) -> str:
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(unquote(urlsplit(redis_url).path))
        link.sendall(b"PING\r\n")
        return link.recv(16).decode().strip()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
