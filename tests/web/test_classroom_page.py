"""The classroom page as the API serves it: complete, strict, and absent where nobody asked for it."""

import re
from collections.abc import Iterator
from typing import Any, Final

import httpx2
import jwt
import pytest
from tests.architecture.repository import SERVICES
from tests.support.api import SECRET, Api, api_on, fresh_api

from afterbell.api import classroom
from afterbell.dev.engines.engines import EngineUrls
from afterbell.settings import ApiSettings, read

pytestmark = pytest.mark.engines
WEB: Final = SERVICES / "afterbell" / "web"
FOREIGN: Final = re.compile(r"""(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9-]+\.[a-z]""")


@pytest.fixture(scope="module")
def api(engine_urls: EngineUrls) -> Iterator[Api]:
    with fresh_api(engine_urls) as served:
        yield served


def anonymous(api: Api) -> httpx2.Client:
    return api.client(token="")


def policy_of(answer: httpx2.Response) -> dict[str, list[str]]:
    parts = (part.split() for part in answer.headers["content-security-policy"].split(";"))
    return {name: sources for name, *sources in parts}


def test_development_serves_the_page_at_the_root(api: Api) -> None:
    with anonymous(api) as client:
        answer = client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_everything_the_page_names_is_served_with_its_type(api: Api) -> None:
    with anonymous(api) as client:
        named = set(re.findall(r'(?:src|href)="(/web/[^"]+)"', client.get("/").text))
        scripts = [f"/web/{path.relative_to(WEB).as_posix()}" for path in WEB.glob("cl*/*.js")]
        answers = {path: client.get(path) for path in [*named, *scripts]}
    assert len(answers) > 10
    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code != 200} == {}
    kinds = {
        path.rpartition(".")[2]: answer.headers["content-type"].partition(";")[0] for path, answer in answers.items()
    }
    assert kinds == {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


def test_the_policy_lets_nothing_in_from_elsewhere_and_no_inline_script(api: Api) -> None:
    with anonymous(api) as client:
        for path in ("/", "/web/classroom/main.js"):
            policy = policy_of(client.get(path))
            assert policy["default-src"] == ["'none'"]
            assert policy["script-src"] == policy["connect-src"] == ["'self'"]
            assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == ["'none'"]
            assert not any("unsafe" in source or "*" in source for sources in policy.values() for source in sources)


def test_no_file_of_the_page_names_another_host() -> None:
    files = [path for folder in ("classroom", "client") for path in (WEB / folder).iterdir()]
    assert [path.name for path in files if FOREIGN.search(path.read_text("utf-8"))] == []


def test_only_the_pages_own_folders_are_served(api: Api) -> None:
    with anonymous(api) as client:
        for path in ("/web/package.json", "/web/node_modules/ws/index.js", "/web/client/..%2fpackage.json", "/web/"):
            assert client.get(path).status_code == 404, path


@pytest.mark.parametrize(
    ("seat", "role", "students"),
    [("tutor", "tutor", None), ("student", "student", None), ("parent", "parent", ["student"])],
)
def test_a_seat_is_a_token_for_an_hour(api: Api, seat: str, role: str, students: Any) -> None:
    with anonymous(api) as client:
        answer = client.post("/classroom/seat", params={"as": seat})
    claims = jwt.decode(answer.json()["token"], SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["role"], claims["tenant"], claims.get("students")) == (seat, role, "dev", students)
    assert claims["exp"] - claims["iat"] == 3600


def test_there_is_no_seat_for_the_staff(api: Api) -> None:
    with anonymous(api) as client:
        assert client.post("/classroom/seat", params={"as": "staff"}).status_code == 422


def test_a_seat_is_not_given_to_pages_of_other_sites(api: Api) -> None:
    with anonymous(api) as client:
        answer = client.post("/classroom/seat?as=tutor", headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        assert answer.json()["code"] == "forbidden"


def test_production_has_no_page_and_where_it_is_enabled_no_seats(api: Api) -> None:
    production = {"app_env": "production", "host": "127.0.0.1"}
    with api_on(api.redis_url, api.database_url, **production) as closed, anonymous(closed) as client:
        assert client.get("/").status_code == client.get("/web/client/index.js").status_code == 404
        assert client.post("/classroom/seat?as=tutor").status_code == 404
    with api_on(api.redis_url, api.database_url, **production, classroom=True) as opened, anonymous(opened) as client:
        assert client.get("/").status_code == client.get("/web/client/index.js").status_code == 200
        assert client.post("/classroom/seat?as=tutor").status_code == 404


def test_the_page_can_be_turned_off_in_development() -> None:
    assert read(ApiSettings, jwt_secret=SECRET).serves_classroom
    assert not read(ApiSettings, jwt_secret=SECRET, classroom=False).serves_classroom


def test_without_npm_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classroom, "LIVE_CLIENT", WEB / "vendor" / "nothing.js")
    assert "make web" in (classroom.missing() or "")


def test_the_lock_file_names_no_registry_and_pins_every_package() -> None:
    lock = (WEB / "package-lock.json").read_text("utf-8")
    assert "://registry" not in lock
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') >= 10
