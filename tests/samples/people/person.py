"""Samples of persons."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

from domain.kernel import Principal
from domain.people.administrators import AppointAdministrator
from domain.people.names import MOST_EMAIL, MOST_NAME, MOST_USERNAME
from domain.people.person.events import MailPurpose, PersonRole
from domain.people.person.mail import PAUSE, WINDOW, AskForMail
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
from domain.people.person.signing_in import (
    API_KEY,
    LONGEST_KEY,
    LONGEST_OVERLAP,
    MOST_API_KEYS,
    EndApiKey,
    EndSessions,
    MakeApiKey,
    MakeRecoveryCodes,
    RecordLockout,
    RemoveSecondFactor,
    ReplaceApiKey,
    SetSecondFactor,
)
from domain.people.person.state import MOST_CONSENTS, MOST_MAILS, PERSON, Person
from domain.people.person.status import DeletePerson, ReactivatePerson, RestorePerson, SuspendPerson
from domain.people.privacy import ApprovePrivacyRequest, AskForErasure, BeginErasure
from tests.samples.people import routes
from tests.samples.sample import RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import (
    ADMINISTRATOR,
    MACHINE,
    NOW,
    TODAY,
    VISITOR,
    By,
    MemoryLedger,
    by_person,
    new_id,
)

SAMPLE = f"{PERSON}_sample"
"""The person whose key `tests.samples.store` has."""
SIGN_IN = Principal("system:sign-in", ("operator",), "system")


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


def api_key(key: str = "akey_1", person: str = "prsn_ada", **more: Any) -> By:
    """An API key is made."""
    return by_self(MakeApiKey(person, key, ("accounts",), "read", **more))


def replaced(key: str = "akey_1", by: str = "akey_2", overlap: timedelta = LONGEST_OVERLAP) -> By:
    return by_self(ReplaceApiKey("prsn_ada", key, by, NOW + overlap))


SECOND_FACTOR = by_self(SetSecondFactor("prsn_ada"))
API_KEYS = tuple(api_key(f"akey_{number}") for number in range(MOST_API_KEYS))


def mail_asked(after: timedelta = timedelta(), purpose: MailPurpose = "verify") -> By:
    """A visitor asks for a mail so long after the beginning."""
    return By(VISITOR, AskForMail("prsn_ada", purpose), NOW + after)


MAILS = tuple(mail_asked(number * PAUSE) for number in range(MOST_MAILS))
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
        sentence="This is no e-mail address that mail can be sent to. An address has 254 characters or fewer, no quoted "
        "part and no comment. Its domain has a-z, 0-9, hyphens and dots; one with other letters is written as xn--….",
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
    "second_factor_missing": RuleSample(
        given=active(),
        broken=by_self(MakeRecoveryCodes("prsn_ada")),
        sentence="prsn_ada has no second factor; set one up first.",
        kept=(SECOND_FACTOR, by_self(MakeRecoveryCodes("prsn_ada"))),
    ),
    "api_key_exists": RuleSample(
        given=(*active(), api_key()),
        broken=api_key(),
        sentence="There is an API key akey_1 already.",
        kept=(api_key("akey_2"),),
    ),
    "api_key_count": RuleSample(
        given=(*active(), *API_KEYS),
        broken=api_key("akey_more"),
        sentence="prsn_ada has 20 API keys, which is the most; end one first.",
        kept=(by_self(EndApiKey("prsn_ada", "akey_0")), api_key("akey_more")),
    ),
    "api_key_missing": RuleSample(
        given=(*active(), api_key()),
        broken=replaced("akey_2", "akey_3"),
        sentence="prsn_ada has no API key akey_2 that works.",
        kept=(replaced(),),
    ),
    "api_key_until": RuleSample(
        given=active(),
        broken=api_key(until=NOW + LONGEST_KEY + MOMENT),
        sentence=(
            "The API key would end at 2027-11-22T12:00:00.000001+00:00; it ends after 2026-11-21T12:00:00+00:00, and "
            "within 366 days."
        ),
        kept=(api_key(until=NOW + LONGEST_KEY),),
    ),
    "api_key_overlap": RuleSample(
        given=(*active(), api_key()),
        broken=replaced(overlap=LONGEST_OVERLAP + MOMENT),
        sentence=(
            "The old API key would work until 2026-12-21T12:00:00.000001+00:00; that is after "
            "2026-11-21T12:00:00+00:00, and within 30 days."
        ),
        kept=(replaced(),),
    ),
    "mail_too_soon": RuleSample(
        given=(registered(), mail_asked()),
        broken=mail_asked(PAUSE - MOMENT),
        sentence=(
            "A mail to verify was asked for at 2026-11-21T12:00:00+00:00; the next one can be asked for at "
            "2026-11-21T12:01:00+00:00."
        ),
        kept=(mail_asked(PAUSE - MOMENT, "reset"), mail_asked(PAUSE)),
    ),
    "mail_count": RuleSample(
        given=(registered(), *MAILS),
        broken=mail_asked(WINDOW - MOMENT),
        sentence=(
            "5 mails to verify were asked for within an hour; the next one can be asked for at "
            "2026-11-21T13:00:00+00:00."
        ),
        kept=(mail_asked(WINDOW - MOMENT, "reset"), mail_asked(WINDOW)),
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
    return _change(ledger, person, chance.random(), chance)


def _about_signing_in(ledger: MemoryLedger, person: Person, chance: Random) -> Any:
    id, choice = person.id, chance.randint(0, 6)
    if choice == 0:
        return By(SIGN_IN, RecordLockout(id, 10))
    if choice == 1:
        return by_self(RemoveSecondFactor(id) if person.second_factor else SetSecondFactor(id))
    if choice == 2:
        return by_self(MakeRecoveryCodes(id) if person.second_factor else SetSecondFactor(id))
    if choice == 3:
        return by_self(EndSessions(id))
    if not person.keys or choice == 4:
        return by_self(MakeApiKey(id, ledger.new_id(API_KEY), ("accounts", "posts"), "command", ("acct_1",)))
    key = chance.choice(person.keys).id
    if choice == 5:
        return by_self(EndApiKey(id, key))
    until = ledger.context.decided_at + LONGEST_OVERLAP  # other lives move the clock
    return by_self(ReplaceApiKey(id, key, ledger.new_id(API_KEY), until))


def _change(ledger: MemoryLedger, person: Person, choice: float, chance: Random) -> Any:
    id, reason = person.id, chance.choice(REASONS)
    if person.status == "deleted":
        return by_administrator(RestorePerson(id, reason))
    if person.status == "suspended" and choice < 0.6:
        return by_administrator(ReactivatePerson(id, reason))
    if person.status == "pending" and choice < 0.6:
        return By(VISITOR, VerifyEmail(id, person.email_hash))
    if choice < 0.4 and person.status == "active":
        return _about_signing_in(ledger, person, chance)
    if 0.6 <= choice < 0.62:
        return By(VISITOR, AskForMail(id, chance.choice(("verify", "reset"))))
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
    StoredEvent(type="person.second_factor_set.v1", stream="prsn_sample", version=3, payload="{}", means={}),
    StoredEvent(
        type="person.sessions_ended.v1", stream="prsn_sample", version=5, payload='{"but":null}', means={"but": None}
    ),
    StoredEvent(
        type="person.api_key_made.v1",
        stream="prsn_sample",
        version=8,
        payload='{"access":"command","accounts":["acct_1"],"areas":["accounts","posts"],"key":"akey_0000000000000000000000000x","until":null}',
        means={
            "key": "akey_0000000000000000000000000x",
            "areas": ["accounts", "posts"],
            "access": "command",
            "accounts": ["acct_1"],
            "until": None,
        },
    ),
    StoredEvent(
        type="person.api_key_ended.v1",
        stream="prsn_sample",
        version=12,
        payload='{"key":"akey_0000000000000000000000000x"}',
        means={"key": "akey_0000000000000000000000000x"},
    ),
    StoredEvent(type="person.second_factor_removed.v1", stream="prsn_sample", version=14, payload="{}", means={}),
    StoredEvent(type="person.recovery_codes_made.v1", stream="prsn_sample", version=56, payload="{}", means={}),
    StoredEvent(
        type="person.locked_out.v1", stream="prsn_sample", version=60, payload='{"failures":10}', means={"failures": 10}
    ),
    StoredEvent(
        type="person.api_key_replaced.v1",
        stream="prsn_sample",
        version=147,
        payload='{"by":"akey_000000000000000000000002gm","key":"akey_0000000000000000000000021f","overlap_until":"2026-12-21T12:00:00Z","until":null}',
        means={
            "key": "akey_0000000000000000000000021f",
            "by": "akey_000000000000000000000002gm",
            "overlap_until": "2026-12-21T12:00:00Z",
            "until": None,
        },
    ),
    StoredEvent(
        type="person.mail_asked.v1",
        stream="prsn_00000000000000000000000038",
        version=4,
        payload='{"at":"2026-11-21T12:00:00Z","purpose":"reset"}',
        means={"purpose": "reset", "at": "2026-11-21T12:00:00Z"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes={}, life=life, of_people=routes.OF_PERSONS)
