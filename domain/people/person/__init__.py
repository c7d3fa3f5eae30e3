"""The aggregate person: registered, verified, suspended, deleted, with a profile, settings, consents and roles."""

from __future__ import annotations

from domain.aggregate import Aggregate, EventType
from domain.claims import ClaimReleased, ClaimTaken
from domain.codes import RULES as CODE_RULES
from domain.people import names
from domain.people.person import events, mail, profile, registration, roles, signing_in, state, status
from domain.people.person.check import check, explained_claims
from domain.people.person.mail import AskForMail
from domain.people.person.profile import ChangeProfile, ChangeSettings, GiveConsent, WithdrawConsent
from domain.people.person.registration import ChangePassword, RegisterPerson, ResetPassword, VerifyEmail
from domain.people.person.roles import GrantRole, RevokeRole
from domain.people.person.signing_in import (
    EndApiKey,
    EndSessions,
    MakeApiKey,
    MakeRecoveryCodes,
    RecordLockout,
    RemoveSecondFactor,
    ReplaceApiKey,
    SetSecondFactor,
)
from domain.people.person.state import PERSON, evolve
from domain.people.person.status import DeletePerson, ReactivatePerson, RestorePerson, SuspendPerson
from domain.permissions import ADMINISTRATORS, OPERATORS, SELF, VISITORS

AGGREGATE = Aggregate(
    name="person",
    prefix=f"{PERSON}_",
    events=(
        EventType(
            name="person.registered.v1",
            event=events.PersonRegistered,
            subject="person",
            personal=("username", "email", "name"),
        ),
        EventType("person.email_verified.v1", events.PersonEmailVerified),
        EventType("person.password_set.v1", events.PersonPasswordSet),
        EventType(name="person.suspended.v1", event=events.PersonSuspended, subject="person", personal=("reason",)),
        EventType(name="person.reactivated.v1", event=events.PersonReactivated, subject="person", personal=("reason",)),
        EventType(name="person.deleted.v1", event=events.PersonDeleted, subject="person", personal=("reason",)),
        EventType(name="person.restored.v1", event=events.PersonRestored, subject="person", personal=("reason",)),
        EventType(
            name="person.profile_changed.v1",
            event=events.PersonProfileChanged,
            subject="person",
            personal=("name", "biography", "location", "website", "birth_date"),
        ),
        EventType("person.settings_changed.v1", events.PersonSettingsChanged),
        EventType("person.consent_given.v1", events.PersonConsentGiven, codes=("purpose", "text_version")),
        EventType("person.consent_withdrawn.v1", events.PersonConsentWithdrawn, codes=("purpose",)),
        EventType("person.role_granted.v1", events.PersonRoleGranted, codes=("context",)),
        EventType("person.role_revoked.v1", events.PersonRoleRevoked),
        EventType("person.sessions_ended.v1", events.PersonSessionsEnded),
        EventType("person.second_factor_set.v1", events.PersonSecondFactorSet),
        EventType("person.second_factor_removed.v1", events.PersonSecondFactorRemoved),
        EventType("person.recovery_codes_made.v1", events.PersonRecoveryCodesMade),
        EventType("person.api_key_made.v1", events.PersonApiKeyMade),
        EventType("person.api_key_replaced.v1", events.PersonApiKeyReplaced),
        EventType("person.api_key_ended.v1", events.PersonApiKeyEnded),
        EventType("person.locked_out.v1", events.PersonLockedOut),
        EventType("person.mail_asked.v1", events.PersonMailAsked, codes=("purpose",)),
    ),
    evolve=evolve,
    decisions={
        RegisterPerson: registration.register,
        VerifyEmail: registration.verify_email,
        ChangePassword: registration.change_password,
        ResetPassword: registration.reset_password,
        SuspendPerson: status.suspend,
        ReactivatePerson: status.reactivate,
        DeletePerson: status.delete,
        RestorePerson: status.restore,
        ChangeProfile: profile.change_profile,
        ChangeSettings: profile.change_settings,
        GiveConsent: profile.give_consent,
        WithdrawConsent: profile.withdraw_consent,
        GrantRole: roles.grant,
        RevokeRole: roles.revoke,
        EndSessions: signing_in.end_sessions,
        SetSecondFactor: signing_in.set_second_factor,
        RemoveSecondFactor: signing_in.remove_second_factor,
        MakeRecoveryCodes: signing_in.make_recovery_codes,
        MakeApiKey: signing_in.make_api_key,
        ReplaceApiKey: signing_in.replace_api_key,
        EndApiKey: signing_in.end_api_key,
        RecordLockout: signing_in.record_lockout,
        AskForMail: mail.ask_for_mail,
    },
    rules={
        **names.RULES,
        **state.RULES,
        **registration.RULES,
        **status.RULES,
        **profile.RULES,
        **roles.RULES,
        **signing_in.RULES,
        **mail.RULES,
        **CODE_RULES,
    },
    may={
        RegisterPerson: VISITORS | ADMINISTRATORS,
        VerifyEmail: VISITORS,
        ChangePassword: SELF,
        ResetPassword: VISITORS,
        SuspendPerson: ADMINISTRATORS,
        ReactivatePerson: ADMINISTRATORS,
        DeletePerson: SELF | ADMINISTRATORS,
        RestorePerson: ADMINISTRATORS,
        ChangeProfile: SELF,
        ChangeSettings: SELF,
        GiveConsent: SELF,
        WithdrawConsent: SELF,
        GrantRole: ADMINISTRATORS,
        RevokeRole: ADMINISTRATORS,
        EndSessions: SELF | ADMINISTRATORS,
        SetSecondFactor: SELF,
        RemoveSecondFactor: SELF | ADMINISTRATORS,
        MakeRecoveryCodes: SELF,
        MakeApiKey: SELF,
        ReplaceApiKey: SELF,
        EndApiKey: SELF | ADMINISTRATORS,
        RecordLockout: OPERATORS,
        AskForMail: VISITORS,
    },
    check=check,
    unit_rules={ClaimTaken: explained_claims, ClaimReleased: explained_claims},
)
