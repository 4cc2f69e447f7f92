"""Identity tokens of pushes, signed here with a key of our own."""

import datetime
import time

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt

from services.kernel.errors import ConfigurationError, TransientError
from services.kernel.messaging.oidc import OidcVerifier, TrustEveryone, Unauthenticated, push_verifier

AUDIENCE = "https://intake.example/push"
ACCOUNT = "push@example.iam.gserviceaccount.com"


class Authority:
    """Signs tokens and serves the certificate to check them with."""

    def __init__(self, key_id="k1"):
        self.key_id = key_id
        self.fetches = 0
        self.failure = None
        private = rsa.generate_private_key(65537, 2048)
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        self.signer = crypt.RSASigner.from_string(pem, key_id)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(private, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()

    async def certificates(self):
        self.fetches += 1
        if self.failure is not None:
            raise self.failure
        return {self.key_id: self.certificate}

    def token(self, **changes):
        now = int(time.time())
        claims = {
            "iss": "https://accounts.google.com",
            "aud": AUDIENCE,
            "email": ACCOUNT,
            "email_verified": True,
            "iat": now,
            "exp": now + 3600,
        } | changes
        return jwt.encode(self.signer, claims).decode()


@pytest.fixture(scope="module")
def keys():
    """Two authorities with the same key id; making keys is slow."""
    return Authority(), Authority()


@pytest.fixture
def authority(keys):
    keys[0].fetches, keys[0].failure = 0, None
    return keys[0]


@pytest.fixture
def verifier(authority):
    return OidcVerifier(AUDIENCE, ACCOUNT, authority.certificates)


async def test_a_token_of_the_right_account_passes_and_certificates_are_fetched_once(verifier, authority):
    for _ in range(3):
        await verifier.verify(f"Bearer {authority.token()}")
    assert authority.fetches == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "https://other.example"},
        {"aud": AUDIENCE + "/"},
        {"email": "somebody@example.com"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"exp": int(time.time()) - 600, "iat": int(time.time()) - 1200},
        {"iat": int(time.time()) + 600, "exp": int(time.time()) + 1200},
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(verifier, authority, changes):
    with pytest.raises(Unauthenticated):
        await verifier.verify(f"Bearer {authority.token(**changes)}")


async def test_a_token_of_another_signer_is_refused(verifier, keys):
    with pytest.raises(Unauthenticated):
        await verifier.verify(f"Bearer {keys[1].token()}")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic eDp5", "Bearer not.a.token", "Bearer ☃"])
async def test_a_missing_or_broken_token_is_refused(verifier, header):
    with pytest.raises(Unauthenticated):
        await verifier.verify(header)


async def test_an_unsigned_token_is_refused(verifier, authority):
    _, claims, _ = authority.token().split(".")
    unsigned = "eyJhbGciOiJub25lIiwia2lkIjoiazEifQ"  # {"alg":"none","kid":"k1"}
    with pytest.raises(Unauthenticated):
        await verifier.verify(f"Bearer {unsigned}.{claims}.")


async def test_forged_key_ids_do_not_make_us_fetch_without_end(verifier):
    forger = Authority("unknown")
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await verifier.verify(f"Bearer {forger.token()}")
    assert forger.fetches == 0
    assert verifier.fetch_certificates.__self__.fetches == 1


async def test_missing_certificates_are_no_verdict_on_the_caller(verifier, authority):
    authority.failure = httpx.ConnectError("no network")
    with pytest.raises(TransientError):
        await verifier.verify(f"Bearer {authority.token()}")
    authority.failure = None
    await verifier.verify(f"Bearer {authority.token()}")


def test_only_an_emulator_goes_without_tokens():
    assert isinstance(push_verifier(audience="", service_account="", emulator=True), TrustEveryone)
    assert isinstance(push_verifier(audience=AUDIENCE, service_account=ACCOUNT, emulator=True), OidcVerifier)
    for audience, account in (("", ""), (AUDIENCE, ""), ("", ACCOUNT)):
        with pytest.raises(ConfigurationError):
            push_verifier(audience=audience, service_account=account, emulator=False)
    # Half a configuration is a mistake, not a wish to go without.
    with pytest.raises(ConfigurationError):
        push_verifier(audience=AUDIENCE, service_account="", emulator=True)
