"""A token is verified once and then remembered; what it may do still ends when it expires."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest

from afterbell.api.admin.admin_tokens import admin_of, mint_admin
from afterbell.api.auth.bearer import LEEWAY_S, Unauthenticated, Verifier, mint

SECRET = "a-secret-of-these-tests-that-is-32-bytes"
NOW = datetime.now(UTC)


def token(subject: str = "ada", lifetime: timedelta = timedelta(hours=1), secret: str = SECRET) -> str:
    return mint(secret, subject=subject, tenant="school", role="tutor", now=NOW, lifetime=lifetime)


def signatures_checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    checked: list[str] = []
    decode = jwt.decode

    def counted(token: str, *rest: object, **options: object) -> object:
        checked.append(token)
        return decode(token, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(jwt, "decode", counted)
    return checked


def test_a_remembered_token_is_refused_once_it_has_expired() -> None:
    verifier = Verifier((SECRET,), None)
    held = token(lifetime=timedelta(hours=1))
    expires = int((NOW + timedelta(hours=1)).timestamp())
    assert verifier.verified_at(held, NOW.timestamp())[0].subject == "ada"
    assert verifier.verified_at(held, expires + LEEWAY_S - 1)[0].subject == "ada"
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.verified_at(held, expires + LEEWAY_S)


def test_a_token_that_held_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked, verifier, held = signatures_checked(monkeypatch), Verifier((SECRET,), None), token()
    assert verifier.verified_at(held, NOW.timestamp())[0] is verifier.verified_at(held, NOW.timestamp())[0]
    assert checked == [held]


def test_a_token_that_did_not_hold_is_never_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    checked, verifier = signatures_checked(monkeypatch), Verifier((SECRET,), None)
    forged = token(secret="another-secret-of-at-least-32-bytes-here")
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            verifier.verified_at(forged, NOW.timestamp())
    assert checked == [forged, forged]


def test_the_claims_of_a_remembered_token_do_not_stand_for_another_signature() -> None:
    verifier, held = Verifier((SECRET,), None), token()
    verifier.verified_at(held, NOW.timestamp())
    body = held.rpartition(".")[0]
    with pytest.raises(Unauthenticated):
        verifier.verified_at(f"{body}.{token('eve').rpartition('.')[2]}", NOW.timestamp())


def test_no_more_tokens_are_remembered_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    checked, verifier = signatures_checked(monkeypatch), Verifier((SECRET,), None, remembered_max=2)
    first, second, third = token("ada"), token("bob"), token("cyd")
    for each in (first, second, third, first):
        verifier.verified_at(each, NOW.timestamp())
    assert checked == [first, second, third, first]


def test_tokens_of_the_replaced_secret_hold_until_they_expire_and_their_reasons_stay_right() -> None:
    replaced = "the-secret-before-this-one-of-at-least-32-bytes"
    verifier = Verifier((SECRET, replaced), None)
    expires = int((NOW + timedelta(hours=1)).timestamp())
    for secret in (SECRET, replaced):
        held = token(secret=secret, lifetime=timedelta(hours=1))
        assert verifier.verified_at(held, NOW.timestamp())[0].subject == "ada"
        with pytest.raises(Unauthenticated, match="expired"):
            verifier.verified_at(held, expires + LEEWAY_S)
    with pytest.raises(Unauthenticated, match="Signature"):
        verifier.verified_at(token(secret="another-secret-of-at-least-32-bytes-here"), NOW.timestamp())


def test_admin_tokens_of_the_replaced_secret_hold_as_well() -> None:
    secrets = ("the-new-secret-of-administrators-32-bytes", "the-old-secret-of-administrators-32-bytes")
    for secret in secrets:
        minted = mint_admin(secret, subject="ada", role="viewer", now=datetime.now(UTC), lifetime=timedelta(hours=1))
        assert admin_of(minted, secrets).actor == "viewer:ada"
    with pytest.raises(Unauthenticated):
        admin_of(minted, secrets[:1])
