"""Makes the keys of one job: an authority that nobody keeps, and the two certificates that it has signed."""

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from apollo_common.tls import COORDINATOR_NAME, WORKER_NAME

AUTHORITY_KEY: Final = "ca.crt"
WORKER_CERTIFICATE_KEY: Final = "worker.crt"
WORKER_KEY_KEY: Final = "worker.key"
COORDINATOR_CERTIFICATE_KEY: Final = "coordinator.crt"
COORDINATOR_KEY_KEY: Final = "coordinator.key"

VALID_FOR: Final = timedelta(days=10 * 365)
"""Longer than any job takes, for nothing renews them: workers of a job whose keys are over can be met by nobody. What
ends them is the job's end: its Secret goes, and with it all that trusts their authority.
"""

_CLOCKS_MAY_DIFFER: Final = timedelta(hours=1)


def make_job_keys(*, now: datetime | None = None) -> dict[str, str]:
    """PEM texts by the names above. ECDSA on P-256; some milliseconds of work."""
    authority = _Authority(now or datetime.now(UTC))
    worker, worker_key = authority.issue(WORKER_NAME, ExtendedKeyUsageOID.SERVER_AUTH)
    coordinator, coordinator_key = authority.issue(COORDINATOR_NAME, ExtendedKeyUsageOID.CLIENT_AUTH)
    return {
        AUTHORITY_KEY: authority.certificate,
        WORKER_CERTIFICATE_KEY: worker,
        WORKER_KEY_KEY: worker_key,
        COORDINATOR_CERTIFICATE_KEY: coordinator,
        COORDINATOR_KEY_KEY: coordinator_key,
    }


class _Authority:
    def __init__(self, now: datetime) -> None:
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("apollo-job")
        builder = self._builder(self._name, self._key.public_key(), is_authority=True)
        self.certificate = self._signed(builder)

    def issue(self, name: str, purpose: ObjectIdentifier) -> tuple[str, str]:
        """A certificate for one role, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            self._builder(_name(name), key.public_key(), is_authority=False)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(own, critical=False)
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._signed(builder), private.decode()

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool
    ) -> x509.CertificateBuilder:
        constraints = x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _CLOCKS_MAY_DIFFER)
            .not_valid_after(self._now + VALID_FOR)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(constraints, critical=True)
            .add_extension(_key_usage(signs_certificates=is_authority), critical=True)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> str:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
