"""Bad input to the routes of people: names, addresses, passwords, tokens, headers, keys, and clocks that step back."""

# ruff: noqa: RUF001 - letters that look alike are what is tried

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest

from api.gateway.access_tokens import CLOCKS_DIFFER, LIFETIME, MOST_CHARACTERS, access_key
from api.people.bodies import MOST_STATED
from domain.people.names import MOST_EMAIL, MOST_MARKS, MOST_NAME
from eventstore.credentials.mail_tokens import LIFETIMES
from eventstore.credentials.password_rules import MOST
from eventstore.credentials.totp_codes import STEP_SECONDS
from tests.support.credentials import MovedClock
from tests.support.ledger import MASTER_KEY, NOW
from tests.support.people import PASSWORD, Somebody, key, people_of, registered, signed_in, verified, visit
from tests.support.postgres import Server
from tests.support.service import Service, service_on
from tests.support.waiting import wait_until

LONGEST_EMAIL = f"{'a' * 64}@{'.'.join(['b' * 61] * 3)}.com"
WRONG_TOKEN = ("unauthenticated", "wrong_tokens")
"""Codes of the answer to a token that is worth nothing: after some of them from one address, that of the second."""


@pytest.fixture(scope="module")
def clock() -> MovedClock:
    return MovedClock(NOW)


@pytest.fixture(scope="module")
def service(postgres18: Server, clock: MovedClock) -> Iterator[Service]:
    with postgres18.database() as database, service_on(database, clock=clock) as running:
        registered(running)  # the first one makes the log's key of hashes
        yield running


@pytest.fixture(autouse=True)
def later(clock: MovedClock) -> None:
    """Each test begins an hour after the one before, so that no waits are left."""
    clock.move(hours=1)


def registration(**more: Any) -> dict[str, Any]:
    username = f"name-{uuid4().hex[:12]}"
    return {"username": username, "email": f"{username}@example.com", "name": "Ada", "password": PASSWORD, **more}


def refused(service: Service, body: Any, path: str = "people") -> dict[str, Any]:
    """The problem of a request that is refused, and leaves neither an event nor a name that is taken."""
    before = service.log_digest().events
    response = visit(service, path, body)
    problem: dict[str, Any] = response.json()
    assert response.status_code in (400, 422), response.text
    assert service.log_digest().events == before
    return problem


def shown(person: Somebody) -> dict[str, Any]:
    """What a person reads about themselves, once it is folded."""
    wait_until(lambda: person.get(f"people/{person.id}").status_code == 200, "the fold of the person")
    read: dict[str, Any] = person.get(f"people/{person.id}").json()
    return read


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name",
    [
        "Ада Lovelace",
        "Ἀδα 山田 Łucja",
        "میلاد می\u200cخواهم",
        "क्\u200dष",
        "محمد Smith",
        "שָׁלוֹם",
        "Nguyễn Thị Ánh",
        "Nguye\u0302\u0303n",
        "A" + "\u0323" * MOST_MARKS,
        "👩🏽‍🔬 Ada",
        "𝒜da",
        "x" * MOST_NAME,
        "O’Hara; DROP TABLE persons --",
        "<script>alert(1)</script>",
        "null",
    ],
)
def test_a_name_in_any_script_comes_back_as_it_was(service: Service, name: str) -> None:
    ada = signed_in(service, name=name)
    assert shown(ada)["name"] == name
    assert ada.own("profile", {"name": name, "biography": name[::-1]}).status_code == 200
    now = shown(ada)
    assert (now["name"], now["biography"]) == (name, name[::-1])


@pytest.mark.parametrize(
    "name",
    [
        "Ada\u202eecalevoL",
        "\u2067Ada",
        "Ada\u2069",
        "Ada\u200fLovelace",
        "Ada\u200bLovelace",
        "Ada\ufeff",
        "Ada\u2060L",
        "Ada\u00adL",
        "\u200dAda",
        "Ada\u200d\u200dL",
        "A" + "\u0301" * (MOST_MARKS + 1),
        "Z" + "\u0335\u0336\u0337\u0338\u0321\u0322",
        "Ada\tL",
        "Ada\u0085L",
        "Ada\u2028L",
        "Ada\ue000",
        "Ada\ufffe",
        "\U000e0041Ada",
        " Ada",
        "Ada\u00a0",
    ],
)
def test_a_name_that_hides_or_turns_text_is_refused(service: Service, name: str) -> None:
    """The sentence says why and has nothing of the name. The username and the address are free."""
    body = registration(name=name)
    problem = refused(service, body)
    assert problem["code"] == "name_malformed"
    assert "no control or invisible characters" in problem["detail"]
    assert name.strip() not in json.dumps(problem, ensure_ascii=False)
    assert visit(service, "people", {**body, "name": "Ada"}).status_code == 201
    ada = signed_in(service)
    before = service.log_digest().events
    assert ada.own("profile", {"name": name}).json()["code"] == "name_malformed"
    assert service.log_digest().events == before


@pytest.mark.parametrize("escaped", ["Ada\\u0000", "\\ud800Ada", "Ada\\udc00", "\\udc00\\ud800"])
@pytest.mark.parametrize("member", ["username", "email", "name", "password"])
def test_no_text_has_a_nul_or_half_a_character(service: Service, member: str, escaped: str) -> None:
    content = json.dumps(registration(**{member: "HERE"})).replace("HERE", escaped)
    before = service.log_digest()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key()}
    response = service.http.post("/v1/people", content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert service.log_digest() == before


@pytest.mark.parametrize(
    "username", ["Ada", "аda", "ad\u200da", "ada\u0301", "ａｄａ", "ada.b", "ada@b", "-ada", "add\u202e"]
)
def test_a_username_has_plain_letters(service: Service, username: str) -> None:
    """So no two usernames look alike."""
    assert refused(service, registration(username=username))["code"] == "username_malformed"


# ---------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "email",
    [
        "{}+tag+tag@example.com",
        "{}.b.c@sub.sub.example.co.uk",
        "{}!#$%&'*/=?^_`|~-@example.com",
        "{}@xn--bcher-kva.example",
        "1{}@1.example",
        "ýždý-{}@example.com",
        "用户{}@example.com",
        "{}@EXAMPLE.Com",
    ],
)
def test_an_odd_but_valid_address(service: Service, email: str) -> None:
    """It comes back as it was, and signs its person in however it is written."""
    address = email.format(uuid4().hex[:8])
    ada = signed_in(service, email=address)
    assert shown(ada)["email"] == address
    for written in (address, address.upper(), address.swapcase()):
        done = visit(service, "sign-in", {"name": written, "password": PASSWORD})
        assert done.json()["person"] == ada.id, written
        assert refused(service, registration(email=written))["code"] == "email_taken"


def test_the_longest_address(service: Service) -> None:
    assert len(LONGEST_EMAIL) == MOST_EMAIL
    assert registered(service, email=LONGEST_EMAIL).email == LONGEST_EMAIL
    assert refused(service, registration(email=f"{LONGEST_EMAIL}m"))["code"] == "malformed"


@pytest.mark.parametrize(
    "email",
    [
        '"ada lovelace"@example.com',
        '"ada"@example.com',
        "ada@[127.0.0.1]",
        "ada@[IPv6:::1]",
        "ada@bücher.example",
        "ada@localhost",
        "ada@127.0.0.1",
        "Ada <ada@example.com>",
        "ada@example.com, eve@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\n",
        "ada(comment)@example.com",
        "ada@@example.com",
        "ada@example..com",
        "ada@.example.com",
        "ada@example.com.",
        ".ada@example.com",
        "ada.@example.com",
        "a..da@example.com",
        "ada\u202e@example.com",
        "ada\u200d@example.com",
        "ada\u200b@example.com",
        "ada @example.com",
        "ada＠example.com",
        "@example.com",
        "ada",
        f"{'a' * 65}@example.com",
        f"ada@{'b' * 64}.com",
        "ada@-example.com",
        "ada@exa_mple.com",
    ],
)
def test_what_is_no_address_that_mail_can_be_sent_to(service: Service, email: str) -> None:
    """Quoted parts, addresses of hosts, and domains that are not in ASCII are refused too. The sentence says so."""
    problem = refused(service, registration(email=email))
    assert problem["code"] == "email_malformed"
    assert "no quoted part" in problem["detail"]
    assert "xn--" in problem["detail"]
    assert email.strip() not in problem["detail"]


# ---------------------------------------------------------------------- passwords


def of_length(length: int) -> str:
    return ("Vq7!" + "kzRw" * length)[:length]


def test_the_longest_password(service: Service) -> None:
    longest = of_length(MOST)
    assert len(longest) == MOST
    ada = signed_in(service, password=longest)
    assert ada.sign_in(password=longest[:-1]).status_code == 401, "all of it counts"
    problem = refused(service, registration(password=longest + "x"))
    assert (problem["code"], problem["figures"]["rules"]) == ("password_rules", ["length"])
    assert f"it has {MOST + 1} characters" in problem["detail"]


@pytest.mark.parametrize("one", ["x", "\ufdfa", "é", "👩"], ids=["ascii", "expands to 18", "accent", "4 bytes"])
def test_a_password_of_a_thousand_characters_is_nobodys(service: Service, one: str) -> None:
    """It costs what every wrong password costs, one call of argon2. One more character is malformed."""
    argon2 = people_of(service).passwords._argon2
    ada = verified(service)
    calls = argon2.calls
    longest = one * MOST_STATED
    wrong = ada.sign_in(password=longest)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "sign_in_failed")
    assert argon2.calls == calls + 1
    assert refused(service, registration(password=longest))["code"] == "password_rules"
    assert argon2.calls == calls + 1, "what breaks a rule is not hashed"
    assert refused(service, {"name": ada.username, "password": longest + one}, "sign-in")["code"] == "malformed"
    assert refused(service, registration(password=longest + one))["code"] == "malformed"
    assert argon2.calls == calls + 1


@pytest.mark.parametrize(
    ("set_as", "written"),
    [
        ("Vq7!kzRw-e\u0301", "Vq7!kzRw-é"),
        ("Vq7!kzRw-é", "Vq7!kzRw-e\u0301"),
        ("Vq7!kzRw-ﬁ", "Vq7!kzRw-fi"),
        ("Ｖｑ７！ｋｚＲｗ-x", "Vq7!kzRw-x"),
        ("Vq7!kzRw-\u00a0x", "Vq7!kzRw- x"),
        ("Vq7!kzRw-Å", "Vq7!kzRw-\u212b"),
    ],
)
def test_two_spellings_of_one_password_sign_in(service: Service, set_as: str, written: str) -> None:
    ada = verified(service, password=set_as)
    assert set_as != written
    assert ada.sign_in(password=written).status_code == 201
    assert ada.sign_in(password=set_as).status_code == 201


@pytest.mark.parametrize("other", ["vq7!kzRw-x", "Vq7!kzRw-x ", " Vq7!kzRw-x", "Vq7!kzRw-х", "Vq7!kzRw-x\u200b"])
def test_another_password_does_not(service: Service, other: str) -> None:
    """Case, blanks at the ends, letters that look alike and invisible characters count."""
    ada = verified(service, password="Vq7!kzRw-x")
    assert ada.sign_in(password=other).status_code == 401
    assert ada.sign_in(password="Vq7!kzRw-x").status_code == 201


# ---------------------------------------------------------------------- access tokens


@pytest.fixture(scope="module")
def ada(service: Service) -> Somebody:
    return signed_in(service)


@pytest.fixture
def claims(service: Service, ada: Somebody) -> dict[str, Any]:
    """Those of a good token."""
    assert ada.sign_in().status_code == 201
    read: dict[str, Any] = jwt.decode(ada.access, options={"verify_signature": False})
    return read


def made(claims: Any, secret: bytes = b"", algorithm: str = "HS256", **head: Any) -> str:
    """A token with these claims, signed with the key of the service unless another is given."""
    signed = f"{part({'alg': algorithm, 'typ': 'JWT', **head})}.{part(claims)}"
    digest = hmac.digest(secret or access_key(MASTER_KEY), signed.encode(), algorithm.replace("HS", "sha"))
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def whose(service: Service, token: str) -> tuple[int, dict[str, Any]]:
    response = service.get("me", token=token, fresh=False)
    return response.status_code, response.json()


def assert_worthless(service: Service, token: str, *codes: str) -> None:
    status, answer = whose(service, token)
    assert answer["code"] in (codes or WRONG_TOKEN), answer
    assert status in (401, 429)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_that_is_made_like_ours_is_good(service: Service, claims: dict[str, Any], ada: Somebody) -> None:
    """So the tokens below are refused for what is wrong with them."""
    assert whose(service, made(claims))[1]["person"] == ada.id


def test_a_token_of_another_log(service: Service, claims: dict[str, Any]) -> None:
    assert_worthless(service, made({**claims, "log": str(uuid4())}))
    assert_worthless(service, made({**claims, "log": claims["log"].upper()}))
    assert_worthless(service, made({**claims, "iss": "another"}))


@pytest.mark.parametrize("epoch", [0, -1, 2, 2**62, 2**70])
def test_a_token_of_another_epoch(service: Service, claims: dict[str, Any], epoch: int) -> None:
    """It names a history that a restore has removed."""
    status, answer = whose(service, made({**claims, "epoch": epoch}))
    assert status in (401, 429)
    assert answer["code"] in WRONG_TOKEN


def test_a_token_of_the_future_and_an_expired_one(service: Service, claims: dict[str, Any], clock: MovedClock) -> None:
    now, differ, life = int(clock.now.timestamp()), int(CLOCKS_DIFFER.total_seconds()), int(LIFETIME.total_seconds())
    assert whose(service, made({**claims, "iat": now + differ}))[0] == 200, "clocks differ by so much"
    assert_worthless(service, made({**claims, "iat": now + differ + 1, "exp": now + 10 * life}))
    assert whose(service, made({**claims, "exp": now + 1}))[0] == 200
    assert_worthless(service, made({**claims, "exp": now}), "token_expired")
    assert_worthless(service, made({**claims, "iat": now - 10 * life, "exp": now - 9 * life}), "token_expired")


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "", None, 7, ["HS256"]]
)
def test_a_token_of_another_algorithm(service: Service, claims: dict[str, Any], algorithm: Any) -> None:
    """Whatever its head says, only the one algorithm with the key of this log counts."""
    body = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}"
    good = made(claims).rpartition(".")[2]
    for signature in ("", good, base64.urlsafe_b64encode(b"x" * 256).decode()):
        assert_worthless(service, f"{body}.{signature}")
    if algorithm in ("HS384", "HS512"):
        assert_worthless(service, made(claims, algorithm=algorithm))


def test_a_token_of_another_key(service: Service, claims: dict[str, Any]) -> None:
    """Also not of the master key itself, or of the public parts of a token."""
    for secret in (b"x" * 32, MASTER_KEY, claims["log"].encode(), access_key(b"y" * 32)):
        assert_worthless(service, made(claims, secret))
    head, body, signature = made(claims).split(".")
    other = part({**claims, "exp": claims["exp"] + 1})
    for text in (f"{head}.{other}.{signature}", f"{head}.{body}.{signature[:-2]}", f"{head}.{body}.", f"{head}.{body}"):
        assert_worthless(service, text)


@pytest.mark.parametrize("name", ["iss", "log", "epoch", "sub", "sid", "iat", "exp"])
@pytest.mark.parametrize(
    "value", [..., None, True, [], {}, 1.5, -1, 10**30, -(10**30), "", "x", "\0", "acct_x", "sign_in_policy"], ids=repr
)
def test_a_claim_that_is_missing_or_of_another_type(
    service: Service, claims: dict[str, Any], name: str, value: Any
) -> None:
    changed = {key: kept for key, kept in claims.items() if key != name} | ({} if value is ... else {name: value})
    past = ("token_expired",) if name == "exp" and value == -1 else ()
    if name == "iat" and value == -1:
        assert whose(service, made(changed))[0] == 200, "it was issued long ago, and has not expired"
    else:
        assert_worthless(service, made(changed), *WRONG_TOKEN, *past)


def test_a_token_of_a_session_of_somebody_else(service: Service, claims: dict[str, Any], ada: Somebody) -> None:
    eve = signed_in(service)
    for changed in ({"sub": eve.id}, {"sid": eve.session}, {"sub": eve.session, "sid": ada.id}, {"sub": ada.session}):
        assert_worthless(service, made({**claims, **changed}))


def test_more_claims_give_nothing(service: Service, claims: dict[str, Any], ada: Somebody) -> None:
    """Roles are of the log. What says that it must be understood is refused."""
    more = {"roles": ["administrator"], "role": "operator", "aud": "x", "nbf": 10**12, "scope": "*", "grants": [{}]}
    status, me = whose(service, made({**claims, **more}))
    assert (status, me["roles"]) == (200, ["person"])
    assert service.get("log", token=made({**claims, **more})).status_code == 403
    assert_worthless(service, made(claims, crit=["exp"]))


@pytest.mark.parametrize("kid", ["../../etc/passwd", "' OR 1=1", 7, None, ["x"]])
def test_a_head_names_no_key(service: Service, claims: dict[str, Any], ada: Somebody, kid: Any) -> None:
    head = part({"alg": "HS256", "typ": "JWT", "kid": kid, "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"})
    assert_worthless(service, f"{head}.{part(claims)}.{made(claims).rpartition('.')[2]}")


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000,
        ".".join(["x" * 3_000] * 3),
        f"{base64.urlsafe_b64encode(b'[' * 700).decode()}..",
        base64.urlsafe_b64encode(b'{"a":' * 140).decode() + ".x.x",
        "..",
        "...",
        ".",
        "a.b.c",
        "e30.e30.",
        "bnVsbA.bnVsbA.",
        "dbk_",
        "dbk_" + "x" * 49,
        "dbk_" + "x" * 5_000,
        "dbr_x",
        "\xff\xfe",
        "%00",
        "${jndi:ldap://127.0.0.1/x}",
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_token_at_all(service: Service, text: str) -> None:
    headers = {b"Authorization": b"Bearer " + text.encode("latin-1")}
    response = service.http.get("/v1/me", headers=headers)
    assert response.status_code in (401, 429), response.text
    assert response.json()["code"] in WRONG_TOKEN
    assert text not in response.text or text == "."


def test_a_token_longer_than_any_of_ours_is_not_read(service: Service, claims: dict[str, Any]) -> None:
    room = MOST_CHARACTERS - len(made({**claims, "x": ""}))
    fits = made({**claims, "x": "y" * (room * 3 // 4 - 4)})
    assert len(fits) <= MOST_CHARACTERS
    assert whose(service, fits)[0] == 200
    assert_worthless(service, made({**claims, "x": "y" * room}))


# ---------------------------------------------------------------------- the head of a request


def get_me(service: Service, *authorization: str) -> httpx.Response:
    return service.http.get("/v1/me", headers=[("Authorization", one) for one in authorization])


def test_authorization_headers_of_odd_forms(service: Service, ada: Somebody) -> None:
    ada.sign_in()
    token = ada.access
    for good in (f"Bearer {token}", f"bearer {token}", f"BEARER {token}", f"Bearer  {token}"):
        assert get_me(service, good).status_code == 200, good
    for bad in (
        *("", "Bearer", token, f"Bearer\t{token}", f"Token {token}", f"Bearer,{token}", f'Bearer "{token}"'),
        *(f"Bearer {token},{token}", f"Bearer {token} {token}", f"Basic {token}", f"Bearer {token[:9]} {token[9:]}"),
        "Basic " + base64.b64encode(f"{ada.username}:{PASSWORD}".encode()).decode(),
    ):
        refusal = get_me(service, bad)
        assert refusal.status_code in (401, 429), bad
        assert token not in refusal.text
        assert refusal.headers.get("WWW-Authenticate", "Bearer") == "Bearer"
    for two in ((f"Bearer {token}", f"Bearer {token}"), (f"Bearer {token}", "Basic x"), ("", f"Bearer {token}")):
        twice = get_me(service, *two)
        assert (twice.status_code, twice.json()["figures"]) == (400, {"header": "Authorization", "times": 2})
    assert service.http.get("/v1/me", params={"access_token": token}).status_code == 401
    assert service.http.get("/v1/me", headers={"Cookie": f"access_token={token}"}).status_code == 401


def test_an_expired_token_beside_a_request_that_needs_none(service: Service, clock: MovedClock) -> None:
    """A client that always sends its token can still refresh it, and sign in. A wrong one is refused as everywhere."""
    eve = signed_in(service)
    old = {"Authorization": f"Bearer {eve.access}"}
    clock.move(minutes=16)
    assert get_me(service, f"Bearer {eve.access}").json()["code"] == "token_expired"
    fresh = service.http.post("/v1/sessions/refresh", json={"refresh_token": eve.refresh}, headers=old)
    assert fresh.status_code == 200, fresh.text
    eve.keep(fresh)
    assert eve.post(f"sessions/{eve.session}/end").status_code == 200
    ended = {"Authorization": f"Bearer {eve.access}", "Idempotency-Key": key()}
    wait_until(lambda: eve.get("me").status_code == 401, "the end of the session")
    body = {"name": eve.username, "password": PASSWORD}
    assert service.http.post("/v1/sign-in", json=body, headers=ended).status_code == 201
    wrong = {"Authorization": f"Bearer {eve.access}x", "Idempotency-Key": key()}
    assert service.http.post("/v1/sign-in", json=body, headers=wrong).status_code in (401, 429)


# ---------------------------------------------------------------------- keys and bodies of visitors


@pytest.mark.parametrize("idempotency", ["", "k" * 15, "é" * 20, "k" * 256, "k\tk" * 8])
def test_a_key_of_a_visitor_that_is_none(service: Service, idempotency: str) -> None:
    before = service.log_digest()
    headers = {b"Idempotency-Key": idempotency.encode("latin-1")}
    response = service.http.post("/v1/people", json=registration(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "key_missing")
    assert service.log_digest() == before


def test_a_key_that_another_visitor_used(service: Service) -> None:
    """Whoever knows the key and not the body learns nothing and changes nothing."""
    body, once = registration(), f"{key()}!"
    first = visit(service, "people", body, idempotency=once)
    assert first.status_code == 201
    before = service.log_digest()._replace(events="")  # the key that would seal the names of somebody is made before
    for other in ({**body, "password": "Another-1-word!"}, registration(), {**body, "name": "Eve"}):
        answer = visit(service, "people", other, idempotency=once)
        assert answer.status_code in (409, 422), answer.text
        assert first.json()["person"] not in answer.text
        assert "Idempotency-Replayed" not in answer.headers
    assert service.log_digest()._replace(events="") == before
    assert visit(service, "people", body, idempotency=once).json() == first.json()
    own = Somebody(service, first.json()["person"], body["username"], body["email"])
    assert own.sign_in(password="Another-1-word!").status_code == 401, "no password was written"


def test_who_is_signed_in_does_not_sign_in(service: Service, ada: Somebody) -> None:
    """The key of a visitor's request is none of a person's, who may choose the same."""
    ada.sign_in()
    once = key()
    body = {"name": ada.username, "password": PASSWORD}
    assert visit(service, "sign-in", body, idempotency=once).status_code == 201
    assert ada.post("sign-in", body, key=once).json()["code"] == "forbidden"


@pytest.mark.parametrize(
    "more",
    [
        '"password": "x"',
        '"p\\u0061ssword": "x"',
        '"name": "x"',
        '"code": null, "code": null',
        '"expected_versions": {"a": 1, "a": 2}',
    ],
)
def test_a_sign_in_that_says_something_twice(service: Service, ada: Somebody, more: str) -> None:
    """Two readers could use different values of it. It is no attempt: nothing waits."""
    argon2 = people_of(service).passwords._argon2
    calls = argon2.calls
    content = f'{{"name": "{ada.username}", "password": "{PASSWORD}", {more}}}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": key()}
    response = service.http.post("/v1/sign-in", content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert "twice in one object" in response.json()["detail"]
    assert PASSWORD not in response.text
    assert argon2.calls == calls


# ---------------------------------------------------------------------- clocks that step back


def test_a_clock_steps_back_after_a_sign_in(service: Service, clock: MovedClock) -> None:
    """The access token is refused while it is of the future by more than clocks differ. A refresh gives one that works,
    and the session goes on."""
    eve = signed_in(service)
    old = eve.access
    clock.move(seconds=-CLOCKS_DIFFER.total_seconds())
    assert whose(service, old)[0] == 200
    clock.move(hours=-3)
    assert_worthless(service, old)
    assert "in the future" in whose(service, old)[1]["detail"] or whose(service, old)[0] == 429
    again = service.http.post("/v1/sessions/refresh", json={"refresh_token": eve.refresh})
    assert again.status_code == 200, again.text
    used = eve.refresh
    eve.keep(again)
    assert whose(service, eve.access)[0] == 200
    reused = service.http.post("/v1/sessions/refresh", json={"refresh_token": used})
    assert reused.json()["code"] == "session_ended", "it was used, whatever the clock says"
    wait_until(lambda: whose(service, eve.access)[0] in (401, 429), "the end of the session")


def test_what_was_found_expired_does_not_come_back(service: Service, clock: MovedClock) -> None:
    """Neither a session nor an API key, if the clock steps back to when it was valid."""
    eve = signed_in(service, "operator")
    until = (clock.now + timedelta(hours=1)).isoformat()
    made_key = eve.own("api-keys", {"name": "k", "areas": ["accounts"], "until": until}).json()["api_key"]
    assert service.get("accounts", token=made_key).status_code == 200
    clock.move(days=31)
    assert service.get("accounts", token=made_key).status_code in (401, 429)
    expired = service.http.post("/v1/sessions/refresh", json={"refresh_token": eve.refresh})
    assert expired.json()["code"] == "session_ended"
    clock.move(days=-31)
    assert service.get("accounts", token=made_key).status_code in (401, 429)
    again = service.http.post("/v1/sessions/refresh", json={"refresh_token": eve.refresh})
    assert again.json()["code"] == "session_ended"
    wait_until(lambda: whose(service, eve.access)[0] in (401, 429), "the end of the session")


def test_a_clock_steps_back_after_a_key_was_made(service: Service, clock: MovedClock) -> None:
    eve = signed_in(service, "operator")
    until = (clock.now + timedelta(hours=1)).isoformat()
    made_key = eve.own("api-keys", {"name": "k", "areas": ["accounts"], "until": until}).json()["api_key"]
    clock.move(hours=-2)
    assert service.get("accounts", token=made_key).status_code == 200
    clock.move(hours=3)
    assert service.get("accounts", token=made_key).status_code in (401, 429)


def test_a_clock_steps_back_after_a_mail(service: Service, clock: MovedClock) -> None:
    """A good token stays good, and one that was found expired stays so."""
    eve, mallory = registered(service), registered(service)
    tokens = people_of(service).mail_tokens
    good, late = tokens.issue(eve.id, "verify", 1), tokens.issue(mallory.id, "verify", 1)
    assert good is not None
    assert late is not None
    clock.move(hours=-2)
    assert visit(service, "people/verify-email", {"token": good.reveal()}).status_code == 200
    moved = LIFETIMES["verify"] + timedelta(hours=2)
    clock.now += moved
    for _ in range(2):
        refusal = visit(service, "people/verify-email", {"token": late.reveal()})
        assert (refusal.json()["code"], refusal.json()["figures"]) == ("mail_token", {"reason": "expired"})
        clock.now -= moved
    clock.now += moved


def test_a_clock_steps_back_after_a_code(service: Service, clock: MovedClock) -> None:
    """No code works again, nor one of a step before. A recovery code does, and the next code once its step comes."""
    eve = signed_in(service)
    recovery = eve.set_second_factor()
    clock.move(seconds=10 * STEP_SECONDS)
    assert eve.sign_in().status_code == 201
    clock.move(seconds=-5 * STEP_SECONDS)
    assert eve.sign_in().status_code == 401
    assert eve.sign_in(code=recovery[0]).status_code == 201
    clock.move(seconds=5 * STEP_SECONDS)
    assert eve.sign_in().status_code == 401, "this code was used"
    clock.move(seconds=STEP_SECONDS)
    assert eve.sign_in().status_code == 201


def test_a_clock_steps_back_while_somebody_waits(service: Service, clock: MovedClock) -> None:
    """Nobody waits for as long as the clock stepped back."""
    eve = verified(service)
    while eve.sign_in(password="Wrong-Pass-9!").status_code == 401:
        pass
    before: datetime = clock.now
    clock.move(days=-1)
    waiting = eve.sign_in()
    assert waiting.status_code == 429
    assert int(waiting.headers["Retry-After"]) <= 2
    clock.move(seconds=2)
    assert eve.sign_in().status_code == 201
    clock.now = before


@pytest.mark.parametrize("days", [0, 31])
def test_an_old_sign_in_that_is_sent_again_opens_nothing(service: Service, clock: MovedClock, days: int) -> None:
    """At once, a retry makes the row that a crash prevented. Later the row may have been swept, and the code is old."""
    eve = signed_in(service)
    eve.set_second_factor()
    clock.move(seconds=STEP_SECONDS)
    once, body = key(), {"name": eve.username, "password": PASSWORD, "code": eve.code()}
    first = visit(service, "sign-in", body, idempotency=once)
    assert first.status_code == 201
    with psycopg.connect(service.database.url) as owner:
        for table in ("refresh_tokens", "sessions"):
            owner.execute(f"DELETE FROM credentials.{table} WHERE session = %s".encode(), (first.json()["session"],))
    before: datetime = clock.now
    clock.now = max(before, datetime.now(UTC)) + timedelta(days=days)
    again = visit(service, "sign-in", body, idempotency=once)
    clock.now = before  # else a month would have passed for the test that comes next, which may be the other one
    assert (again.status_code, again.json()["session"]) == (201, first.json()["session"])
    assert ("refresh_token" in again.json(), again.json().get("shown_before", False)) == (days == 0, days > 0)
