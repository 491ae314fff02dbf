#!/usr/bin/env python3
"""Send one session to a running Afterbell, follow its report, print what the parent reads.

    python3 run.py http://127.0.0.1:5000 TOKEN

Standard library only: these four requests are all a platform has to make.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

SESSION = Path(__file__).with_name("session.json")
POLL_S = 1.0


def main(url: str, token: str) -> int:
    session = json.loads(SESSION.read_text("utf-8"))
    report_path = f"/api/reports/session/{session['id']}"

    stored = call(url, token, "PUT", f"/api/sessions/{session['id']}", session)
    print(f"session {stored['sessionId']}: {'stored' if stored['changed'] else 'known already'}")

    asked = call(url, token, "POST", report_path)
    print(f"{asked['jobId']}: {asked['status']}")

    status = call(url, token, "GET", asked["statusUrl"])
    while status["status"] in ("waiting", "active"):
        print(f"  {status['progress']:3} %  {status['stage']}")
        time.sleep(POLL_S)
        status = call(url, token, "GET", asked["statusUrl"])
    if status["status"] == "failed":
        print(f"failed: {status.get('error', 'no reason given')}")
        return 1

    report = call(url, token, "GET", report_path)["report"]
    print(f"\n{report['headline']}\n\n{report['summary']}")
    return 0


def call(url: str, token: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    """One request. A refusal is a problem-details body, and its ``detail`` says what to do."""
    request = urllib.request.Request(  # noqa: S310  # the address is the caller's own
        url.rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # the same
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        sys.exit(f"{method} {path}: {refused.code} {json.load(refused)['detail']}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
