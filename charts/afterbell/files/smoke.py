"""What `helm test` runs: the api takes a session with a token of ours and, if asked to, has a real report made."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

SESSION = "helm-test-" + os.environ["RELEASE_REVISION"]
PATIENCE_S = 240
SAID = [
    ("tutor", "Today we add fractions. How would you start with 1/2 plus 1/4?"),
    ("student", "I would add the tops and the bottoms, so it is 2/6, because that is how it looks."),
    ("tutor", "Not quite. What does the bottom number of a fraction tell us?"),
    ("student", "The size of the pieces. So 1/2 is 2/4, and 2/4 plus 1/4 makes 3/4."),
    ("tutor", "Exactly, well done. For next time, please do questions 3 to 6."),
    ("student", "Thank you! Why do we never add the bottoms?"),
]


def main() -> None:
    token = minted()
    put = ask(token, "PUT", f"/api/sessions/{SESSION}", a_session())
    print("a session was taken:", put)
    if os.environ["MAKE_REPORT"] == "true":
        print("a report was made:", list(report(token)))


def report(token: str) -> dict:
    path = f"/api/reports/session/{SESSION}"
    ask(token, "POST", path)
    deadline = time.monotonic() + PATIENCE_S
    status = ask(token, "GET", path + "/status")
    while status["status"] not in ("completed", "failed") and time.monotonic() < deadline:
        time.sleep(1)
        status = ask(token, "GET", path + "/status")
    if status["status"] != "completed":
        sys.exit(f"no report after {PATIENCE_S} s: {status}; look at `kubectl get pools` and the worker's log")
    return ask(token, "GET", path)["report"]


def ask(token: str, method: str, path: str, body: object = None) -> dict:
    """The answer's JSON; ends the test where it is no success."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["API_URL"] + path, method=method, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path} was refused: {error.code} {error.read().decode()}")
    except OSError as error:
        sys.exit(f"{os.environ['API_URL']} does not answer: {error}; is the api ready, does a NetworkPolicy let us in?")


def a_session() -> dict:
    people = [("tutor", "Okan"), ("student", "Mina")]
    return {
        "id": SESSION,
        "subject": "mathematics",
        "goals": ["Add fractions with different denominators"],
        "participants": [{"id": role, "role": role, "display_name": name} for role, name in people],
        "messages": [{"id": f"m{n}", "sender": who, "text": text} for n, (who, text) in enumerate(SAID)],
    }


def minted() -> str:
    words = [sys.executable, "-m", "afterbell", "token", "--tenant", "helm-test", "--role", "staff"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


main()
