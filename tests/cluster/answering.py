"""A small process to deploy: answers HTTP, says what happens to it, takes a while to end.

    python -m tests.cluster.answering

LAST_WORK_S   seconds it still needs after SIGTERM
BROKEN_AT     answers 503 to this path once /break was asked for
"""

import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENVIRONMENT = os.environ  # noqa: TID251 - what it finds there is what is tested
PORT = 9000


class Handler(BaseHTTPRequestHandler):
    broken = False

    def do_GET(self) -> None:
        say(f"GET {self.path}")
        if self.path == "/break":
            Handler.broken = True
        if self.path == "/crash":
            os._exit(3)
        self.send_response(503 if Handler.broken and self.path == ENVIRONMENT.get("BROKEN_AT") else 200)
        self.end_headers()
        self.wfile.write(f"{ENVIRONMENT['HOSTNAME']} at {self.path}".encode())

    def log_message(self, *words: object) -> None:
        pass


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    # Pods without a network of their own share a loopback; with one, the whole address range is theirs.
    server = ThreadingHTTPServer((ENVIRONMENT.get("BIND") or "0.0.0.0", PORT), Handler)  # noqa: S104
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("started")
    while not stopping.wait(0.1):
        pass
    say("SIGTERM")
    time.sleep(float(ENVIRONMENT.get("LAST_WORK_S", "0")))
    say("finished")


if __name__ == "__main__":
    main()
