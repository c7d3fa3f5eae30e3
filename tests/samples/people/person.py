"""Samples of persons."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

from domain.kernel import Principal
from domain.people.administrators import AppointAdministrator
from domain.people.names import MOST_EMAIL, MOST_NAME, MOST_USERNAME
from domain.people.person.events import PersonRole
from domain.people.person.profile import (
    MOST_BIOGRAPHY,
    OLDEST,
    ChangeProfile,
    ChangeSettings,
    GiveConsent,
    WithdrawConsent,
)
from domain.people.person.registration import ChangePassword, RegisterPerson, ResetPassword, VerifyEmail
from domain.people.person.roles import GrantRole, RevokeRole
from domain.people.person.state import MOST_CONSENTS, PERSON, Person
from domain.people.person.status import DeletePerson, ReactivatePerson, RestorePerson, SuspendPerson
from domain.people.privacy import ApprovePrivacyRequest, AskForErasure, BeginErasure
from tests.samples.sample import RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import NOW, TODAY, VISITOR, By, MemoryLedger, by_person, new_id

SAMPLE = f"{PERSON}_sample"
"""The person whose key `tests.samples.store` has."""
MACHINE = Principal("system:first-administrator", ("operator",), "system")
ADMINISTRATOR = by_person("prsn_admin", "administrator")


def registration(person: str = "prsn_ada", **more: Any) -> RegisterPerson:
    """The registration of a person whose names are their own."""
    stated = {
        "username": f"name-{person.removeprefix('prsn_')}".lower(),
        "email": f"{person}@example.com",
        "name": "Ada Lovelace",
        "username_hash": f"u-{person}",
        "email_hash": f"e-{person}",
    }
    return RegisterPerson(person, **{**stated, **more})


def registered(person: str = "prsn_ada", **more: Any) -> By:
    """A visitor registers."""
    return By(VISITOR, registration(person, **more))


def verified(person: str = "prsn_ada") -> By:
    """The mailed token came back."""
    return By(VISITOR, VerifyEmail(person, f"e-{person}"))


def active(person: str = "prsn_ada") -> tuple[By, By]:
    """A person who can sign in."""
    return registered(person), verified(person)


def by_self(command: Any) -> By:
    """The person themselves."""
    return By(by_person(command.person), command)


def by_administrator(command: Any) -> By:
    """An administrator."""
    return By(ADMINISTRATOR, command)


def one(world: World) -> str:
    """A registered person."""
    id: str = world.executed(registered(new_id(PERSON)))["person"]
    return id


MOMENT = timedelta(microseconds=1)
PROFILE = ChangeProfile("prsn_ada", "Ada King")
SUSPEND = by_administrator(SuspendPerson("prsn_ada", "Spam"))
AUTHOR = by_administrator(GrantRole("prsn_ada", "author"))
LONGEST_EMAIL = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * (MOST_EMAIL - 64 - 1 - 63 - 1 - 63 - 1 - 4)}.com"


def profile(**more: Any) -> By:
    """A change of the profile."""
    return by_self(ChangeProfile("prsn_ada", **{"name": "Ada King", **more}))


def settings(time_zone: str = "Europe/Prague", language: str = "en") -> By:
    return by_self(ChangeSettings("prsn_ada", time_zone, language))


def consent(purpose: str = "newsletter", version: str = "1") -> By:
    return by_self(GiveConsent("prsn_ada", purpose, version))


CONSENTS = tuple(consent(f"purpose-{number}") for number in range(MOST_CONSENTS))

ERASURE_APPROVED = (
    by_administrator(AskForErasure("appr_1", "prsn_ada")),
    By(by_person("prsn_other", "administrator"), ApprovePrivacyRequest("appr_1")),
)
"""Two administrators want to erase a person."""

RULES = {
    "username_malformed": RuleSample(
        given=(),
        broken=registered(username="a" * (MOST_USERNAME + 1)),
        sentence=(
            "A username has 3 to 50 characters: a-z, 0-9, hyphens and underscores, beginning with a letter or a digit."
        ),
        kept=(registered(username="a" * MOST_USERNAME),),
    ),
    "email_malformed": RuleSample(
        given=(),
        broken=registered(email=f"d{LONGEST_EMAIL.removesuffix('.com')}.info"),
        sentence="This is no e-mail address that mail can be sent to; it has at most 254 characters.",
        kept=(registered(email=LONGEST_EMAIL),),
    ),
    "name_malformed": RuleSample(
        given=(),
        broken=registered(name="n" * (MOST_NAME + 1)),
        sentence=(
            "A name has 1 to 100 visible characters, no control or invisible characters, and at most 4 combining marks "
            "in a row."
        ),
        kept=(registered(name="n" * MOST_NAME),),
    ),
    "person_status": RuleSample(
        given=(registered(),),
        broken=profile(),
        sentence="Person prsn_ada is pending; only a person who is active can be changed.",
        kept=(verified(), profile()),
    ),
    "person_exists": RuleSample(
        given=(registered(),),
        broken=registered(username="other", username_hash="u", email_hash="e"),
        sentence="Person prsn_ada exists already.",
        kept=(registered("prsn_bob"),),
    ),
    "username_taken": RuleSample(
        given=(registered(),),
        broken=registered("prsn_bob", username_hash="u-prsn_ada"),
        sentence="This username is in use.",
        kept=(registered("prsn_bob"),),
    ),
    "email_taken": RuleSample(
        given=(registered(),),
        broken=registered("prsn_bob", email_hash="e-prsn_ada"),
        sentence="This e-mail address is in use.",
        kept=(registered("prsn_bob"),),
    ),
    "email_verified_already": RuleSample(
        given=active(),
        broken=verified(),
        sentence="The e-mail address of prsn_ada is verified already.",
        kept=(*active("prsn_bob"),),
    ),
    "email_changed": RuleSample(
        given=(registered(),),
        broken=By(VISITOR, VerifyEmail("prsn_ada", "e-former")),
        sentence="The e-mail address of prsn_ada is another one now; ask for a new mail.",
        kept=(verified(),),
    ),
    "person_is_administrator": RuleSample(
        given=(*active(), By(MACHINE, AppointAdministrator("prsn_ada"))),
        broken=SUSPEND,
        sentence="Person prsn_ada is an administrator and cannot be suspended; revoke that role first.",
        kept=(*active("prsn_bob"), by_administrator(SuspendPerson("prsn_bob", "Spam"))),
    ),
    "person_erased": RuleSample(
        given=(*active(), *ERASURE_APPROVED, By(MACHINE, BeginErasure("prsn_ada", "appr_1"))),
        broken=by_administrator(RestorePerson("prsn_ada", "Asked for")),
        sentence="The erasure of prsn_ada has begun, and they cannot be restored.",
        kept=(
            *active("prsn_bob"),
            by_administrator(DeletePerson("prsn_bob", "Asked for")),
            by_administrator(RestorePerson("prsn_bob", "Asked for")),
        ),
    ),
    "profile_text": RuleSample(
        given=active(),
        broken=profile(biography="b" * (MOST_BIOGRAPHY + 1)),
        sentence="The biography has 1001 characters; it has 1 to 1000.",
        kept=(profile(biography="b" * MOST_BIOGRAPHY),),
    ),
    "website_malformed": RuleSample(
        given=active(),
        broken=profile(website="https://ada@example.com"),
        sentence="The website is no address that begins with https:// or http:// and has a host.",
        kept=(profile(website="https://example.com/ada"),),
    ),
    "birth_date": RuleSample(
        given=active(),
        broken=profile(birth_date=TODAY + timedelta(days=1)),
        sentence="The date of birth is not in the 130 years up to 2026-11-21.",
        kept=(profile(birth_date=TODAY), profile(birth_date=date(TODAY.year - OLDEST, 1, 1))),
    ),
    "time_zone_malformed": RuleSample(
        given=active(),
        broken=settings(time_zone="europe/prague"),
        sentence="'europe/prague' is no name of a time zone (IANA), such as Europe/Prague.",
        kept=(settings(time_zone="UTC"), settings(time_zone="America/Argentina/Ushuaia")),
    ),
    "language_malformed": RuleSample(
        given=active(),
        broken=settings(language="English"),
        sentence="'English' is no language tag (BCP 47), such as en or pt-BR.",
        kept=(settings(language="zh-Hant-TW"),),
    ),
    "consent_unchanged": RuleSample(
        given=(*active(), consent()),
        broken=consent(),
        sentence="prsn_ada has agreed to version 1 of newsletter already.",
        kept=(consent(version="2"),),
    ),
    "consent_missing": RuleSample(
        given=active(),
        broken=by_self(WithdrawConsent("prsn_ada", "newsletter")),
        sentence="prsn_ada has not agreed to newsletter.",
        kept=(consent(), by_self(WithdrawConsent("prsn_ada", "newsletter"))),
    ),
    "consent_count": RuleSample(
        given=(*active(), *CONSENTS),
        broken=consent("one-more"),
        sentence="prsn_ada has agreed to 50 purposes, which is the most.",
        kept=(consent("purpose-0", "2"),),
    ),
    "role_of_administrators": RuleSample(
        given=active(),
        broken=by_administrator(GrantRole("prsn_ada", "administrator")),
        sentence="The role administrator is not granted or revoked alone: another administrator approves.",
        kept=(by_administrator(GrantRole("prsn_ada", "operator")),),
    ),
    "role_of_self": RuleSample(
        given=active("prsn_admin"),
        broken=by_administrator(GrantRole("prsn_admin", "author")),
        sentence="prsn_admin cannot grant a role to themselves.",
        kept=(*active(), AUTHOR),
    ),
    "role_until": RuleSample(
        given=active(),
        broken=by_administrator(GrantRole("prsn_ada", "author", until=NOW)),
        sentence="The role would end at 2026-11-21T12:00:00+00:00, and it is 2026-11-21T12:00:00+00:00.",
        kept=(by_administrator(GrantRole("prsn_ada", "author", until=NOW + MOMENT)),),
    ),
    "role_missing": RuleSample(
        given=active(),
        broken=by_administrator(RevokeRole("prsn_ada", "author")),
        sentence="prsn_ada does not have the role author.",
        kept=(AUTHOR, by_administrator(RevokeRole("prsn_ada", "author"))),
    ),
    "not_a_code": no_code("purpose", consent(".purpose"), consent("1.purpose"), given=active()),
}

# A life

REASONS = ("Asked for", "Spam\tand more", "ü €")
ROLES: tuple[PersonRole, ...] = ("customer", "author", "moderator", "report", "audit", "operator")


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """People register under a few names, change what they say about themselves, and are suspended and deleted."""
    people = ledger.of(Person)
    if not people:
        return registered(SAMPLE)
    if chance.random() < 0.2:
        number = chance.randint(1, 40)
        return registered(ledger.new_id(PERSON), username_hash=f"u-{number}", email_hash=f"e-{number}")
    person = chance.choice(people) if chance.random() < 0.5 else people[0]
    return _change(person, chance.random(), chance)


def _change(person: Person, choice: float, chance: Random) -> Any:
    id, reason = person.id, chance.choice(REASONS)
    if person.status == "deleted":
        return by_administrator(RestorePerson(id, reason))
    if person.status == "suspended" and choice < 0.6:
        return by_administrator(ReactivatePerson(id, reason))
    if person.status == "pending" and choice < 0.6:
        return By(VISITOR, VerifyEmail(id, person.email_hash))
    if choice < 0.65:
        return by_administrator(SuspendPerson(id, reason))
    if choice < 0.68:
        return by_self(DeletePerson(id, reason))
    if choice < 0.75:
        return by_self(ChangePassword(id)) if choice < 0.7 else By(VISITOR, ResetPassword(id))
    if choice < 0.8:
        return by_self(
            ChangeProfile(id, "Grace Hopper", chance.choice((None, "Admiral")), None, None, date(1906, 12, 9))
        )
    if choice < 0.84:
        return by_self(ChangeSettings(id, "Europe/Prague", chance.choice(("en", "cs"))))
    if choice < 0.92:
        purpose = chance.choice(("newsletter", "terms"))
        return by_self(WithdrawConsent(id, purpose) if choice < 0.87 else GiveConsent(id, purpose, "2"))
    role = chance.choice(ROLES)
    if choice < 0.95:
        return by_administrator(RevokeRole(id, role))
    until = ledger_time(chance)
    return by_administrator(GrantRole(id, role, chance.choice((None, "case-7")), until))


def ledger_time(chance: Random) -> Any:
    """When a role ends; None: it does not."""
    return chance.choice((None, NOW + timedelta(days=chance.randint(1, 30))))


EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="person.registered.v1",
        stream="prsn_sample",
        version=1,
        payload='{"email":"2.vPU3dZilv_p5G4LhCOOhYaCktg_yGnp2t_eGjVeX_yGZzfoO6dxOTNwtk5NEah_CZPJT","email_hash":"e-prsn_sample","name":"2.0_2kzEzrF9VdgpkSsrmz5Kh-vsOTgNA2tqlldJfMf9hFljkVzttKvw==","person":"prsn_sample","username":"2.uMCany22SZbG40DLWbTOm71JdtBhAKM8ToU6TtFugNJsslRHES0R","username_hash":"u-prsn_sample"}',
        means={
            "person": "prsn_sample",
            "username": "name-sample",
            "email": "prsn_sample@example.com",
            "name": "Ada Lovelace",
            "username_hash": "u-prsn_sample",
            "email_hash": "e-prsn_sample",
        },
    ),
    StoredEvent(
        type="person.email_verified.v1",
        stream="prsn_sample",
        version=2,
        payload='{"email_hash":"e-prsn_sample"}',
        means={"email_hash": "e-prsn_sample"},
    ),
    StoredEvent(
        type="person.suspended.v1",
        stream="prsn_sample",
        version=3,
        payload='{"person":"prsn_sample","reason":"2.qvuClDrkvI1AF_WEQMHddWKV_L19-cs7wKstTSu65Vxnhy9fUZRzObk="}',
        means={"person": "prsn_sample", "reason": "Spam\tand more"},
    ),
    StoredEvent(
        type="person.reactivated.v1",
        stream="prsn_sample",
        version=4,
        payload='{"person":"prsn_sample","reason":"2.sT9IFpBjNVKepB7Ue7btml5sLesBKHqzpKVp1HHF4DwOLH3TOqiKZ4E="}',
        means={"person": "prsn_sample", "reason": "Spam\tand more"},
    ),
    StoredEvent(
        type="person.role_granted.v1",
        stream="prsn_sample",
        version=5,
        payload='{"context":null,"role":"administrator","until":null}',
        means={"role": "administrator", "context": None, "until": None},
    ),
    StoredEvent(
        type="person.settings_changed.v1",
        stream="prsn_sample",
        version=6,
        payload='{"language":"en","time_zone":"Europe/Prague"}',
        means={"time_zone": "Europe/Prague", "language": "en"},
    ),
    StoredEvent(
        type="person.profile_changed.v1",
        stream="prsn_sample",
        version=7,
        payload='{"biography":"2.lossTsDRchkJ1yqmwtG7JHOP9ATQvgxwleEF0Mi98GIHLoA=","birth_date":"2.bd_9txRzDZ5-O8e52963pFLhWxgBHkY5YPtLnQYlzXV3i1Hc2QY=","location":null,"name":"2.RYVzO874bGDl5rvnURko3gCjYv4BTVmIiHzKFNkKaoumE2YVA-uwFA==","person":"prsn_sample","website":null}',
        means={
            "person": "prsn_sample",
            "name": "Grace Hopper",
            "biography": "Admiral",
            "location": None,
            "website": None,
            "birth_date": "1906-12-09",
        },
    ),
    StoredEvent(
        type="person.consent_given.v1",
        stream="prsn_sample",
        version=8,
        payload='{"purpose":"newsletter","text_version":"2"}',
        means={"purpose": "newsletter", "text_version": "2"},
    ),
    StoredEvent(
        type="person.password_set.v1",
        stream="prsn_00000000000000000000000021",
        version=6,
        payload='{"how":"reset"}',
        means={"how": "reset"},
    ),
    StoredEvent(
        type="person.role_revoked.v1",
        stream="prsn_sample",
        version=10,
        payload='{"role":"author"}',
        means={"role": "author"},
    ),
    StoredEvent(
        type="person.deleted.v1",
        stream="prsn_sample",
        version=40,
        payload='{"person":"prsn_sample","reason":"2.BDbYOrT2jBwYGVwgJVOX3fqM0d8XYQsV7biA8YFKvcuV0XQE_RRSxyA="}',
        means={"person": "prsn_sample", "reason": "Spam\tand more"},
    ),
    StoredEvent(
        type="person.restored.v1",
        stream="prsn_sample",
        version=41,
        payload='{"person":"prsn_sample","reason":"2.ZEYbw8FIKeu_OQPRg8xHR4kdG8BSIPjdxtI-LXgnuFGCusKc7iVIN5g="}',
        means={"person": "prsn_sample", "reason": "Spam\tand more"},
    ),
    StoredEvent(
        type="person.consent_withdrawn.v1",
        stream="prsn_sample",
        version=84,
        payload='{"purpose":"terms"}',
        means={"purpose": "terms"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes={}, life=life)
