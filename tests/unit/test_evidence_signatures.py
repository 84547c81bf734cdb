"""Keys, envelopes, and the verifier's own Ed25519: published values, and what is refused."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from refactorkit.evidence.envelope import PAYLOAD_TYPE, BadEnvelopeError, Envelope, encoded
from refactorkit.evidence.keys import BadKeyError, PublicKey, SigningKey
from tests.support.verifier import verifier

# RFC 8032, section 7.1: secret key, public key, message, signature.
RFC_8032 = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
     "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b4"
     "6bd25bf5f0595bbe24655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
     "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d"
     "8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
     "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6"
     "594a7c15e9716ed28dc027beceea1ec40a"),
]  # fmt: skip
ORDER = 2**252 + 27742317777372353535851937790883648493


def signing_key(secret: str) -> SigningKey:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    return SigningKey.from_pem(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_signatures_are_the_published_ones(
    secret: str, public: str, message: str, signature: str
) -> None:
    key, text, made = signing_key(secret), bytes.fromhex(message), bytes.fromhex(signature)
    assert key.public.raw.hex() == public
    assert key.sign(text) == made
    assert key.public.verifies(made, text)
    assert verifier.ed25519_verifies(key.public.raw, made, text)


@settings(max_examples=25)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40), st.integers(0, 511))
def test_the_stand_alone_check_agrees_with_the_library(
    secret: bytes, message: bytes, bit: int
) -> None:
    key = signing_key(secret.hex())
    good = key.sign(message)
    flipped = (int.from_bytes(good) ^ (1 << bit)).to_bytes(64)
    public = key.public.raw
    assert verifier.ed25519_verifies(public, good, message)
    assert not verifier.ed25519_verifies(public, flipped, message)
    assert not verifier.ed25519_verifies(public, good, message + b"x")


def test_the_stand_alone_check_refuses_what_is_no_signature() -> None:
    key = signing_key(RFC_8032[0][0])
    public, good = key.public.raw, key.sign(b"")
    s = int.from_bytes(good[32:], "little")
    malleable = good[:32] + (s + ORDER).to_bytes(32, "little")
    beyond = (2**255 - 1).to_bytes(32, "little")  # no point has this y
    zero = b"\x01" + bytes(31)  # the neutral point
    cases = {
        "s beyond the order": (public, malleable),
        "a short signature": (public, good[:63]),
        "a long signature": (public, good + b"\x00"),
        "a key that is no point": (beyond, good),
        "a short key": (public[:31], good),
        "r that is no point": (public, beyond + good[32:]),
        "a negative zero": (b"\x01" + bytes(30) + b"\x80", good),
        "another key": (zero, good),
    }
    assert [n for n, (k, g) in cases.items() if verifier.ed25519_verifies(k, g, b"")] == []


def test_what_is_signed_is_the_encoding_of_dsse() -> None:
    """The protocol's own example, with our type in the place of its."""
    assert encoded(b"hello world") == (
        b"DSSEv1 %d %s 11 hello world" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode())
    )


def test_an_envelope_holds_the_exact_bytes_and_every_signature() -> None:
    one, two = SigningKey.generate(), SigningKey.generate()
    envelope = Envelope(payload=b'{"b": 1,\n "a": 2}\n').signed_by(one).signed_by(two)
    again = Envelope.from_bytes(envelope.to_bytes())
    assert again == envelope
    assert again.verified_by([one.public, two.public]) == (one.public, two.public)
    assert again.verified_by([SigningKey.generate().public]) == ()
    assert again.signed_by(one) == again


def test_a_signature_of_other_bytes_or_under_another_name_does_not_count() -> None:
    key = SigningKey.generate()
    envelope = Envelope(payload=b"{}").signed_by(key)
    document = json.loads(envelope.to_bytes())

    changed = dict(document, payload=base64.b64encode(b"{ }").decode())
    assert Envelope.from_bytes(json.dumps(changed).encode()).verified_by([key.public]) == ()
    document["signatures"][0]["keyid"] = "somebody"
    assert Envelope.from_bytes(json.dumps(document).encode()).verified_by([key.public]) == ()


BAD = {
    "no JSON": b"x",
    "a list": b"[]",
    "another type": b'{"payloadType": "text/plain", "payload": "", "signatures": []}',
    "a name twice": b'{"payload": "", "payload": "", "payloadType": "'
    + PAYLOAD_TYPE.encode()
    + b'", "signatures": []}',
    "no payload": b'{"payloadType": "' + PAYLOAD_TYPE.encode() + b'", "signatures": []}',
    "no base64": b'{"payloadType": "'
    + PAYLOAD_TYPE.encode()
    + b'", "payload": "e30", "signatures": []}',
    "no signatures": b'{"payloadType": "' + PAYLOAD_TYPE.encode() + b'", "payload": "e30="}',
    "a short signature": b'{"payloadType": "'
    + PAYLOAD_TYPE.encode()
    + b'", "payload": "e30=", "signatures": [{"keyid": "x", "sig": "e30="}]}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(BadEnvelopeError):
        Envelope.from_bytes(data)


def test_a_key_shows_its_secret_to_nobody() -> None:
    key = SigningKey.generate()
    secret = key.secret_pem().split(b"\n")[1].decode()
    assert secret not in repr(key) + str(key) + repr(vars(key))
    assert SigningKey.from_pem(key.secret_pem()).public == key.public
    assert PublicKey.from_pem(key.public.pem) == key.public
    assert verifier.read_key(key.public.pem) == key.public.raw


@pytest.mark.parametrize("pem", [b"", b"x", b"-----BEGIN PRIVATE KEY-----\nMC4\n-----END"])
def test_what_is_no_key_is_refused_without_being_quoted(pem: bytes) -> None:
    for read in (SigningKey.from_pem, PublicKey.from_pem):
        with pytest.raises(BadKeyError) as caught:
            read(pem)
        assert "MC4" not in str(caught.value)
    with pytest.raises(BadKeyError):
        PublicKey.from_pem(SigningKey.generate().secret_pem())


def test_the_verifier_imports_nothing_of_refactorkit() -> None:
    text = (Path(__file__).parents[2] / "archive" / "verify_proof.py").read_text()
    imported = [
        line.split()[1] for line in text.splitlines() if line.startswith(("import", "from"))
    ]
    assert set(imported) <= {
        "argparse", "base64", "collections.abc", "datetime", "hashlib", "json", "pathlib",
        "struct", "sys", "typing",
    }  # fmt: skip
