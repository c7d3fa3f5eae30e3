"""A broker whose clients need a certificate that is signed, a name and a password (SASL_SSL)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.support.kafka import own_broker
from workers.ports import free_port

USER: Final = "daybook"
PASSWORD: Final = "a password of the broker"
KEY_PASSWORD: Final = "a password of the private key"


class Authority:
    """Signs certificates. Its own is in `certificate`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._name = folder.name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / "authority.crt"
        own = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate.write_bytes(self._signed(self._name, self._key.public_key(), own))

    def sign(self, name: str, *, password: str | None = None) -> Path:
        """A file with a new private key and its certificate for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        encryption = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
        here = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
        file = self._folder / f"{name}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        file.write_bytes(private + self._signed(name, key.public_key(), here))
        return file

    def _signed(self, name: str, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> bytes:
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=True)
            .sign(self._key, SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass(frozen=True)
class SecureKafka:
    """A broker. Its clients need these settings."""

    plain: str  # the address of a listener without protection, for the test itself
    settings: dict[str, Any]


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """A broker of its own with a listener for clients that prove who they are twice: by certificate and password."""
    authority = Authority(folder / "trusted")
    port, controller, secure = free_port(), free_port(), free_port()
    client = authority.sign("client", password=KEY_PASSWORD)
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
    listener = {
        "sasl.enabled.mechanisms": "PLAIN",
        "plain.sasl.jaas.config": f'{plain} required user_{USER}="{PASSWORD}";',
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(authority.sign("broker")),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
        "ssl.client.auth": "required",
    }
    clients = f"PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure}"
    properties = {
        "listeners": f"{clients},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": clients,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT",
        **{f"listener.name.secure.{name}": value for name, value in listener.items()},
    }
    with own_broker(folder, port=port, controller_port=controller, properties=properties) as broker:
        yield SecureKafka(
            broker.address,
            {
                "kafka_bootstrap_servers": f"127.0.0.1:{secure}",
                "kafka_security_protocol": "SASL_SSL",
                "kafka_sasl_mechanism": "PLAIN",
                "kafka_sasl_username": USER,
                "kafka_sasl_password": PASSWORD,
                "kafka_ssl_cafile": authority.certificate,
                "kafka_ssl_certfile": client,
                "kafka_ssl_keyfile": client,
                "kafka_ssl_password": KEY_PASSWORD,
            },
        )
