"""Settings: valid values are accepted, and each mistake is one message with the variable and without secrets."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from eventstore.proof.notes import COSIGNATURE, Signer
from workers import master_key
from workers.settings import Settings, SettingsError, load, settings_table, variable
from workers.settings.base import Part
from workers.urls import with_role, without_password

KEY = base64.b64encode(bytes(range(32))).decode()
URL = "postgresql://ann:s3cret@db:5432/daybook"


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load()
    return str(refused.value)


def test_the_defaults_suit_one_machine() -> None:
    settings = load()
    assert settings.embedded
    assert (settings.host, settings.port, settings.log, settings.auth) == ("127.0.0.1", 8100, "main", "on")
    assert settings.tokens_file == Path("var/tokens.json")
    assert settings.allowed_hosts == ("localhost", "127.0.0.1", "[::1]")


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("DAYBOOK_DATA_DIR", "/srv/daybook")
    monkeypatch.setenv("DAYBOOK_ALLOWED_HOSTS", "ledger.example, localhost")
    monkeypatch.setenv("DAYBOOK_PORT", "")
    settings = load()
    assert not settings.embedded
    assert settings.owner_url() == URL
    assert settings.tokens_file == Path("/srv/daybook/tokens.json")
    assert settings.allowed_hosts == ("ledger.example", "localhost")
    assert settings.port == 8100, "an empty variable counts as not set"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DAYBOOK_PORT", "abc", "DAYBOOK_PORT is 'abc', but it should be a valid integer"),
        ("DAYBOOK_PORT", "99999", "DAYBOOK_PORT is '99999', but it should be less than or equal to 65535"),
        ("DAYBOOK_AUTH", "no", "DAYBOOK_AUTH is 'no', but it should be 'on' or 'off'"),
        ("DAYBOOK_LOG", "Main Log", "DAYBOOK_LOG is 'Main Log', but it should match pattern"),
        ("DAYBOOK_WAIT_SECONDS", "nan", "DAYBOOK_WAIT_SECONDS is 'nan', but it should be a finite number"),
        ("DAYBOOK_ALLOWED_HOSTS", ",", "DAYBOOK_ALLOWED_HOSTS is '()', but it should have at least 1 item"),
        ("DAYBOOK_KAFKA_BOOTSTRAP_SERVERS", "kafka", "BOOTSTRAP_SERVERS is 'kafka', but it should match pattern"),
        ("DAYBOOK_ALLOWED_ORIGINS", "*", "but it should list origins such as https://console.example"),
        ("DAYBOOK_ALLOWED_ORIGINS", "http://console.example", "not 'http://console.example'"),
        ("DAYBOOK_ALLOWED_ORIGINS", "https://a.example,https://b.example/", "not 'https://b.example/'"),
        ("DAYBOOK_ALLOWED_ORIGINS", "https://A.example", "in small letters, not 'https://A.example'"),
        ("DAYBOOK_ALLOWED_ORIGINS", "null", "not 'null'"),
        ("DAYBOOK_ALLOWED_ORIGINS", "https://*.example", "not 'https://*.example'"),
        ("DAYBOOK_TRUSTED_PROXIES", "proxy", "but it should list addresses or networks such as 10.0.0.0/8: 'proxy'"),
        ("DAYBOOK_TRUSTED_PROXIES", "10.0.0.1/8", "networks such as 10.0.0.0/8: 10.0.0.1/8 has host bits set"),
        ("DAYBOOK_TRUSTED_PROXIES", "10.0.0.1,::/0", "but it should name the proxies: with every address among them"),
        ("DATABASE_URL", "mysql://ann:s3cret@db/x", "DATABASE_URL's value is not usable, but it should look like"),
        ("DATABASE_URL", "postgresql://ann:s3cret@db", "DATABASE_URL's value is not usable, but it should look like"),
        ("DATABASE_URL", "postgresql://a:s3cret@db/x?no=1", "DATABASE_URL's value is not usable, but it should look"),
        ("DATABASE_URL", "host=db password=s3cret dbname=x", "DATABASE_URL's value is not usable, but it should look"),
        ("DAYBOOK_MASTER_KEY", "s3cret", "DAYBOOK_MASTER_KEY's value is not usable, but it should be"),
        ("DAYBOOK_MASTER_KEY", "czNjcmV0", "but it should be 32 bytes in base64, and these are 6"),
        ("DAYBOOK_PREVIOUS_MASTER_KEY", "s3cret", "DAYBOOK_PREVIOUS_MASTER_KEY's value is not usable, but it should"),
    ],
)
def test_a_wrong_value_is_one_message_without_secrets(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    sentence = refusal(monkeypatch, **{name: value})
    assert message in sentence
    assert "\n" not in sentence
    assert "s3cret" not in sentence
    assert "czNjcmV0" not in sentence


def test_a_misspelt_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, DAYBOOK_PROT="8100") == (
        "DAYBOOK_PROT is not a setting of Daybook: did you mean DAYBOOK_PORT?"
    )


def test_the_database_url_has_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "did you mean DATABASE_URL?" in refusal(monkeypatch, DAYBOOK_DATABASE_URL=URL)


def test_two_mistakes_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = refusal(monkeypatch, DAYBOOK_PORT="x", DAYBOOK_WORKERS="0")
    assert "DAYBOOK_PORT" in sentence
    assert "DAYBOOK_WORKERS" in sentence


def test_nothing_secret_is_printed_with_the_settings() -> None:
    printed = repr(Settings(database_url=URL, api_database_url=URL, master_key=KEY))
    assert "s3cret" not in printed
    assert KEY not in printed


@pytest.mark.parametrize("role", ["api", "projector", "reader"])
def test_each_connection_acts_as_its_role(role: str) -> None:
    shared = getattr(Settings(database_url=URL), f"{role}_url")()
    assert conninfo_to_dict(shared)["options"] == f"-c role=daybook_{role}"
    own_login = Settings.model_validate({"database_url": URL, f"{role}_database_url": "postgresql://own@db/daybook"})
    own = conninfo_to_dict(getattr(own_login, f"{role}_url")())
    assert (own["user"], own["options"]) == ("own", f"-c role=daybook_{role}")


def test_a_role_is_added_to_existing_options() -> None:
    url = "postgresql:///daybook?host=/run/a%20b&options=-c%20statement_timeout%3D5s&connect_timeout=3"
    assert conninfo_to_dict(with_role(url, "daybook_api")) == {
        "dbname": "daybook",
        "host": "/run/a b",
        "connect_timeout": "3",
        "options": "-c statement_timeout=5s -c role=daybook_api",
    }


def test_adding_a_role_keeps_a_password_with_special_characters() -> None:
    url = "postgresql://ann:a%3F%40+#b@db/daybook"
    assert conninfo_to_dict(with_role(url, "x")) == {**conninfo_to_dict(url), "options": "-c role=x"}


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "postgresql://ann@db/daybook?password=s3cret",
        "postgresql://ann@db/daybook?host=x&password=s3cret&port=1",
        "postgresql://ann:s3%40cret@db/x",
        "postgresql://ann:s3/@cret@db/x",
    ],
)
def test_a_url_can_be_shown_without_its_password(url: str) -> None:
    shown = without_password(url)
    assert "cret" not in shown
    assert "***" in shown


def test_without_a_database_there_is_a_message_and_no_url() -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL is not set and no embedded PostgreSQL runs"):
        Settings().owner_url()
    assert Settings().with_databases({"database_url": URL}).owner_url() == URL


class TestMasterKey:
    def test_it_comes_from_the_environment(self) -> None:
        assert Settings(database_url=URL, master_key=KEY).master_key_bytes() == bytes(range(32))

    def test_it_is_required_with_a_database_url(self) -> None:
        with pytest.raises(SettingsError, match="DAYBOOK_MASTER_KEY is not set, but a database is"):
            Settings(database_url=URL).master_key_bytes()

    def test_it_is_made_once_for_the_embedded_server_and_is_private(self, tmp_path: Path) -> None:
        settings = Settings(data_dir=tmp_path / "var")
        first = settings.master_key_bytes()
        settings.postgres_dir.mkdir()
        assert settings.master_key_bytes() == first
        assert stat.S_IMODE((tmp_path / "var" / "master.key").stat().st_mode) == 0o600
        assert [file.name for file in (tmp_path / "var").iterdir() if file.is_file()] == ["master.key"]

    def test_a_lost_one_is_not_replaced_while_a_database_exists(self, tmp_path: Path) -> None:
        (tmp_path / "postgres").mkdir()
        with pytest.raises(SettingsError, match="put the file back"):
            Settings(data_dir=tmp_path).master_key_bytes()
        assert not (tmp_path / "master.key").exists()

    def test_a_damaged_file_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "master.key").write_text("czNjcmV0\n")
        with pytest.raises(SettingsError, match=r"master\.key does not hold a master key: it should be 32 bytes"):
            Settings(data_dir=tmp_path).master_key_bytes()

    def test_one_that_another_process_has_just_made_is_kept(self, tmp_path: Path) -> None:
        master_key.create(tmp_path / "master.key")
        first = master_key.read(tmp_path / "master.key")
        master_key.create(tmp_path / "master.key")
        assert master_key.read(tmp_path / "master.key") == first


class TestPreviousMasterKey:
    def test_there_is_none_unless_one_is_given(self, tmp_path: Path) -> None:
        assert Settings(database_url=URL, master_key=KEY).previous_master_key_bytes() is None
        assert Settings(data_dir=tmp_path).previous_master_key_bytes() is None

    def test_it_comes_from_the_environment_or_beside_the_embedded_database(self, tmp_path: Path) -> None:
        assert Settings(database_url=URL, previous_master_key=KEY).previous_master_key_bytes() == bytes(range(32))
        (tmp_path / "master.key.previous").write_text(f"{KEY}\n")
        assert Settings(data_dir=tmp_path).previous_master_key_bytes() == bytes(range(32))
        assert Settings(data_dir=tmp_path, database_url=URL).previous_master_key_bytes() is None

    def test_a_damaged_file_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "master.key.previous").write_text("czNjcmV0\n")
        with pytest.raises(SettingsError, match=r"master\.key\.previous does not hold a master key"):
            Settings(data_dir=tmp_path).previous_master_key_bytes()

    def test_both_are_kept_in_settings_for_another_database(self, tmp_path: Path) -> None:
        master_key.create(tmp_path / "master.key")
        (tmp_path / "master.key.previous").write_text(f"{KEY}\n")
        settings = Settings(data_dir=tmp_path)
        moved = settings.with_master_keys().with_databases({"database_url": URL})
        assert moved.master_key_bytes() == settings.master_key_bytes()
        assert moved.previous_master_key_bytes() == bytes(range(32))
        assert KEY not in repr(moved)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_table_has_a_row_for_each_variable() -> None:
    table = settings_table()
    assert all(f"| `{variable(name)}` |" in table for name in Settings.model_fields)
    assert len(table.splitlines()) == 2 + len(Settings.model_fields)


# Witnesses

WITNESS_KEY = str(Signer("auditor.example", bytes(32), COSIGNATURE).verifier)
LOG_KEY = str(Signer("ledger.example/main", bytes(32)).verifier)


def test_witnesses_to_ask_and_logs_to_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBOOK_PROOF_WITNESSES", f"https://auditor.example/w/ {WITNESS_KEY} ,")
    monkeypatch.setenv("DAYBOOK_WITNESS_LOGS", f"{LOG_KEY}, go.sum database tree {LOG_KEY}")
    monkeypatch.setenv("DAYBOOK_WITNESS_NAME", "auditor.example")
    monkeypatch.setenv("DAYBOOK_WITNESS_KEY", base64.b64encode(bytes(32)).decode())
    settings = load()
    [(url, witness)] = settings.asked_witnesses()
    assert (url, str(witness.key)) == ("https://auditor.example/w", WITNESS_KEY)
    logs = settings.witnessed_logs()
    assert {origin: [str(key) for key in keys] for origin, keys in logs.items()} == {
        "ledger.example/main": [LOG_KEY],
        "go.sum database tree": [LOG_KEY],
    }
    assert str(settings.witness_signer().verifier) == WITNESS_KEY


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DAYBOOK_PROOF_WITNESSES", WITNESS_KEY, "it should list witnesses as https://"),
        ("DAYBOOK_PROOF_WITNESSES", f"http://auditor.example {WITNESS_KEY}", "it should list witnesses as https://"),
        ("DAYBOOK_PROOF_WITNESSES", f"https://auditor.example:99999 {WITNESS_KEY}", "it should list witnesses as"),
        ("DAYBOOK_PROOF_WITNESSES", f"https://ann:pw@auditor.example {WITNESS_KEY}", "it should list witnesses as"),
        ("DAYBOOK_PROOF_WITNESSES", "https://auditor.example", "it should have the public key of a witness after"),
        (
            "DAYBOOK_PROOF_WITNESSES",
            f"https://auditor.example {LOG_KEY}",
            "is no key of a witness: those have the type",
        ),
        ("DAYBOOK_PROOF_WITNESSES", ",".join([f"https://auditor.example {WITNESS_KEY}"] * 2), "with different names"),
        ("DAYBOOK_PROOF_WITNESSES", ",".join([f"https://a.example {WITNESS_KEY}"] * 17), "at most 16 items"),
        ("DAYBOOK_WITNESS_LOGS", "ledger.example", "it should list public keys of logs, not 'ledger.example'"),
        ("DAYBOOK_WITNESS_LOGS", LOG_KEY.replace("ATt", "ATu"), "a character was changed"),
        ("DAYBOOK_WITNESS_LOGS", WITNESS_KEY, "that of auditor.example is one of a witness"),
        ("DAYBOOK_WITNESS_LOGS", f"{LOG_KEY},{LOG_KEY}", "it should list each key of a log once"),
        ("DAYBOOK_WITNESS_NAME", "a b", "it should match pattern"),
    ],
)
def test_wrong_witnesses(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    said = refusal(monkeypatch, **{name: value})
    assert name in said
    assert message in said


def test_what_a_witness_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for needed in (Settings.asked_witnesses, Settings.witnessed_logs, Settings.witness_signer):
        with pytest.raises(SettingsError, match=r"set DAYBOOK_(PROOF_WITNESSES|WITNESS_LOGS|WITNESS_NAME) to"):
            needed(load())
    monkeypatch.setenv("DAYBOOK_WITNESS_NAME", "auditor.example")
    with pytest.raises(SettingsError, match="there is no key to cosign with: set DAYBOOK_WITNESS_KEY"):
        load().witness_signer()
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setenv("DAYBOOK_WITNESS_KEY_FILE", str(tmp_path / "key"))
    assert load().witness_signer().seed == base64.b64decode(KEY)
    monkeypatch.setenv("DAYBOOK_WITNESS_KEY", KEY)
    with pytest.raises(SettingsError, match="are both set: leave one of them out"):
        load().witness_signer()
    (tmp_path / "key").write_text("short")
    monkeypatch.delenv("DAYBOOK_WITNESS_KEY")
    with pytest.raises(SettingsError, match="does not hold a key to cosign with"):
        load().witness_signer()


def test_no_two_parts_define_the_same_name() -> None:
    """The part that comes first would replace what the other one checks."""
    parts = [part for part in Settings.__mro__ if issubclass(part, Part) and part is not Part]
    assert len(parts) >= 7
    defined = [
        name for part in parts for name in vars(part) if not name.startswith(("__", "model_", "_abc", "_settings"))
    ]
    assert sorted(set(defined)) == sorted(defined)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_field_has_its_variable_and_shows_no_secret(name: str) -> None:
    field = Settings.model_fields[name]
    assert variable(name) == (field.validation_alias or f"DAYBOOK_{name.upper()}")
    is_secret = "SecretStr" in str(field.annotation) or name.endswith("database_url")
    assert field.repr is not is_secret
