"""``token`` and ``session import`` against a running API."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.api import SECRET as API_SECRET
from tests.support.api import Api, fresh_api, lesson_json, token_for
from tests.support.command import refused, run

from afterbell.dev.engines.engines import EngineUrls

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def api(engine_urls: EngineUrls) -> Iterator[Api]:
    with fresh_api(engine_urls) as served:
        yield served


def sent(api: Api, *arguments: str, stdin: str = "", token: str | None = None, url: str | None = None) -> Any:
    bearer = token_for(role="staff", subject="boss") if token is None else token
    variables = {"AFTERBELL_URL": api.url if url is None else url, "AFTERBELL_TOKEN": bearer}
    return run("session", "import", *arguments, stdin=stdin.encode(), **variables)


def session(name: str, **changes: Any) -> str:
    return json.dumps(lesson_json(id=name, **changes), ensure_ascii=False)


def test_a_minted_token_is_one_the_api_accepts(api: Api) -> None:
    done = run("token", "--role", "tutor", "--sub", "p-tutor", "--tenant", "t", AFTERBELL_JWT_SECRET=API_SECRET)
    assert (done.returncode, done.stderr) == (0, "")
    assert API_SECRET not in done.stdout
    headers = {"Authorization": f"Bearer {done.stdout.strip()}"}
    assert httpx2.put(f"{api.url}/api/sessions/by-token", json=lesson_json(), headers=headers).status_code == 200
    assert httpx2.post(f"{api.url}/api/reports/session/by-token", headers=headers).status_code == 202


def test_a_parents_token_speaks_for_the_children_it_names(api: Api) -> None:
    arguments = ("--role", "parent", "--tenant", "school", "--student", "a", "--student", "p-student")
    done = run("token", *arguments, AFTERBELL_JWT_SECRET=API_SECRET)
    with api.client() as staff:
        staff.put("/api/sessions/of-a-child", json=lesson_json())
        staff.post("/api/reports/session/of-a-child")
    with api.client(token=done.stdout.strip()) as parent:
        assert parent.get("/api/reports/session/of-a-child/status").status_code == 200


def test_a_file_of_json_lines_is_sent_and_again_changes_nothing(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "sessions.jsonl"
    file.write_text("\n".join((session("one"), session("two", subject="a\u2028b"))), "utf-8")
    first, again = sent(api, str(file)), sent(api, str(file))
    assert (first.returncode, first.stdout, first.stderr) == (0, "one: stored\ntwo: stored\n", "")
    assert (again.returncode, again.stdout) == (0, "one: unchanged\ntwo: unchanged\n")


def test_a_dash_reads_standard_input(api: Api) -> None:
    done = sent(api, "-", stdin=json.dumps(lesson_json(id="piped"), indent=2))
    assert (done.returncode, done.stdout) == (0, "piped: stored\n")


def test_a_bad_line_is_named_with_its_number_and_nothing_is_sent(api: Api) -> None:
    done = sent(api, "-", stdin=f"{session('not-sent')}\n\n{{broken\n")
    refused(done, "-, line 3: invalid JSON")
    with api.client() as client:
        assert client.get("/api/sessions/not-sent/messages").status_code == 404


def test_what_the_api_refuses_is_told_in_its_words(api: Api) -> None:
    stranger = [{"id": "m1", "sender": "nobody", "text": "hello"}]
    refused(sent(api, "-", stdin=session("bad", messages=stranger)), "422", "messages.0.sender", "nobody", code=1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"subject": "x"}', 'add "id"'),
        ('{"id": "\\ud800"}', "surrogate"),
        ('{"id": "x", "subject": "\\ud800"}', "cannot be encoded as JSON"),
        ('{"id": "x", "subject": NaN}', "cannot be encoded as JSON"),
        ('{"id": "a/b"}', "404"),
    ],
)
def test_what_cannot_be_sent_is_told_in_one_line(api: Api, line: str, said: str) -> None:
    refused(sent(api, "-", stdin=line), said, code=1)


@pytest.mark.parametrize(
    ("url", "said", "code"),
    [
        ("http://127.0.0.1:1", "no answer (ConnectError", 1),
        ("nonsense", "no answer (UnsupportedProtocol", 1),
        ("http://[::1", "http://[::1 is not a URL", 2),
    ],
)
def test_an_api_that_is_not_there_is_told_in_one_line(api: Api, url: str, said: str, code: int) -> None:
    refused(sent(api, "-", stdin=session("x"), url=url), said, code=code)


@pytest.mark.parametrize(
    ("token", "said", "code"),
    [("", "no token", 2), ("garbage", "401", 1), ("not\u00e9ascii", "token", 2), ("two\nlines", "token", 2)],
)
def test_without_a_token_that_holds_nothing_is_sent(api: Api, token: str, said: str, code: int) -> None:
    done = sent(api, "-", stdin=session("x"), token=token)
    refused(done, said, code=code)
    assert not token or token not in done.stderr
