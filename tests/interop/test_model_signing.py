"""Stock `model_signing` and ours, both ways: what one signs the other verifies, what one refuses so does the other."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edgekit.errors import EdgekitError, KeyFileError, MalformedError, SignatureError
from edgekit.seal.dsse import Envelope
from edgekit.seal.folder_files import check_folder, digest_folder
from edgekit.seal.key_files import read_private, read_public, write_key
from edgekit.seal.keys import MemoryKey, generate
from edgekit.seal.oms import sign_files, verify_files
from edgekit.seal.opening import open_key
from edgekit.seal.sigstore_bundle import open_sealed
from edgekit.seal.statement import sign_statement
from tests.interop.parts import lack, stock_program, stock_python
from tests.seal.softhsm import PIN, software_token

CONTENTS = {
    "manifest.json": b"{}",
    "model.int8.onnx": b"weights" * 1000,
    "golden/inputs.npz": b"inputs",
    "golden.txt": b"sorted after the folder of that name, though '.' comes before '/'",
    "card.md": b"",
}
KEY = generate("p256")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A variant's files in `m`, its signature in `m.sig`; KEY in `it.key` and `it.pub`."""
    for path, data in CONTENTS.items():
        (tmp_path / "m" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / path).write_bytes(data)
    write_key(KEY, tmp_path / "it.key", None)
    (tmp_path / "m.sig").write_bytes(sign_files(digest_folder(tmp_path / "m"), name="vision/net", key=KEY))
    return tmp_path


def stock(folder: Path, *words: str, code: int = 0) -> str:
    """Run `model_signing` there; its exit code is demanded, for a flag it does not know is no refusal (2)."""
    command = [str(stock_program("model_signing")), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def stock_verify(folder: Path, *, signature: str = "m.sig", key: str = "it.pub", code: int = 0) -> str:
    return stock(folder, "verify", "key", "m", "--signature", signature, "--public_key", key, code=code)


def stock_sign(folder: Path, key: str = "it.key") -> bytes:
    stock(folder, "sign", "key", "m", "--signature", "theirs.sig", "--private_key", key)
    return (folder / "theirs.sig").read_bytes()


def our_verify(folder: Path, signature: str = "m.sig", key: str = "it.pub") -> None:
    signed = verify_files((folder / signature).read_bytes(), [read_public(folder / key)])
    check_folder(folder / "m", signed.files)


def test_stock_verifies_what_we_sign(folder: Path) -> None:
    assert "Verification succeeded" in stock_verify(folder)
    our_verify(folder)


def test_stock_verifies_with_our_signature_lying_among_the_files(folder: Path) -> None:
    """As in a node's slot."""
    shutil.move(folder / "m.sig", folder / "m" / "model.sig")
    assert "Verification succeeded" in stock_verify(folder, signature="m/model.sig")


def test_we_verify_what_stock_signs(folder: Path) -> None:
    found = verify_files(stock_sign(folder), [KEY.public])
    assert found.files == {path: hashlib.sha256(data).hexdigest() for path, data in CONTENTS.items()}
    assert found.key == KEY.public
    check_folder(folder / "m", found.files)
    stock_verify(folder, signature="theirs.sig")


def test_stock_opens_our_encrypted_keys(folder: Path) -> None:
    """By its library: the command line's `--password` fails in 1.1.1 for every key, as it passes a text for bytes."""
    write_key(KEY, folder / "hidden.key", b"correct horse")
    command = (
        "from pathlib import Path; from model_signing import signing;"
        "config = signing.Config().use_elliptic_key_signer(private_key='hidden.key', password=b'correct horse');"
        "config.sign(Path('m'), Path('theirs.sig'))"
    )
    subprocess.run([stock_python(), "-c", command], cwd=folder, check=True, capture_output=True, timeout=120)
    our_verify(folder, "theirs.sig")


def test_both_list_the_files_in_the_same_order(folder: Path) -> None:
    theirs, ours = (
        open_sealed(data, [KEY.public], where="it")[0] for data in (stock_sign(folder), (folder / "m.sig").read_bytes())
    )
    assert theirs.predicate["resources"] == ours.predicate["resources"]
    assert theirs.subjects[0].sha256 == ours.subjects[0].sha256


def test_we_verify_with_a_key_that_openssl_made(folder: Path) -> None:
    if shutil.which("openssl") is None:
        lack("openssl", "apt install openssl")
    for command in (
        "openssl ecparam -name prime256v1 -genkey -noout -out theirs.key",
        "openssl ec -in theirs.key -pubout -out theirs.pub",
        "chmod 600 theirs.key",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True, timeout=60)
    stock_sign(folder, "theirs.key")
    our_verify(folder, "theirs.sig", "theirs.pub")
    key = read_private(folder / "theirs.key", lambda: b"")
    (folder / "ours.sig").write_bytes(sign_files(digest_folder(folder / "m"), name="m", key=key))
    stock_verify(folder, signature="ours.sig", key="theirs.pub")


def test_both_sign_with_a_token(folder: Path) -> None:
    (folder / "token").mkdir()
    with software_token(folder / "token") as token:
        key = open_key(token.uri("token=tests;object=model"), lambda: PIN)
        (folder / "token.pub").write_text(key.public.pem)
        (folder / "ours.sig").write_bytes(sign_files(digest_folder(folder / "m"), name="m", key=key))
        stock_verify(folder, signature="ours.sig", key="token.pub")
        our_verify(folder, "ours.sig", "token.pub")
        has_library = subprocess.run([stock_python(), "-c", "import PyKCS11"], capture_output=True, check=False)
        if has_library.returncode:
            lack("PyKCS11 in .venv-interop")
        uri = token.uri("token=tests;object=model", f"&pin-value={PIN.decode()}")
        stock(folder, "sign", "pkcs11-key", "m", "--signature", "theirs.sig", "--pkcs11_uri", uri)
        our_verify(folder, "theirs.sig", "token.pub")


def tamper(files: Path) -> None:
    (files / "model.int8.onnx").write_bytes(b"weighty" * 1000)


def extra(files: Path) -> None:
    (files / "more.onnx").write_bytes(b"")


def missing(files: Path) -> None:
    (files / "golden" / "inputs.npz").unlink()


def renamed(files: Path) -> None:
    (files / "model.int8.onnx").rename(files / "model2.int8.onnx")


def exchanged(files: Path) -> None:
    (files / "card.md").rename(files / "x")
    (files / "golden.txt").rename(files / "card.md")
    (files / "x").rename(files / "golden.txt")


def link(files: Path) -> None:
    (files / "model.int8.onnx").rename(files.parent / "elsewhere")
    (files / "model.int8.onnx").symlink_to(files.parent / "elsewhere")


def folder_link(files: Path) -> None:
    (files / "golden").rename(files.parent / "elsewhere")
    (files / "golden").symlink_to(files.parent / "elsewhere")


def other_case(files: Path) -> None:
    (files / "Model.int8.onnx").write_bytes(CONTENTS["model.int8.onnx"])


@pytest.mark.parametrize("attack", [tamper, extra, missing, renamed, exchanged, link, folder_link, other_case])
def test_both_refuse_a_folder_that_was_changed(attack: Callable[[Path], None], folder: Path) -> None:
    attack(folder / "m")
    stock_verify(folder, code=1)
    with pytest.raises(EdgekitError) as caught:
        our_verify(folder)
    assert caught.value.exit_code == 6


def test_both_refuse_another_key(folder: Path) -> None:
    write_key(generate("p256"), folder / "other.key", None)
    stock_verify(folder, key="other.pub", code=1)
    with pytest.raises(SignatureError):
        our_verify(folder, key="other.pub")


def rewrite(folder: Path, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    value = json.loads((folder / "m.sig").read_bytes())
    change(value)
    (folder / "m.sig").write_text(json.dumps(value))


def test_both_refuse_a_hint_at_another_key(folder: Path) -> None:
    rewrite(
        folder, lambda value: value["verificationMaterial"].update(publicKey={"hint": generate("p256").public.hint})
    )
    assert "Key mismatch" in stock_verify(folder, code=1)
    with pytest.raises(SignatureError):
        our_verify(folder)


def both_signed(folder: Path, first: MemoryKey, second: MemoryKey) -> None:
    """The statement under two signatures."""
    said, _ = open_sealed((folder / "m.sig").read_bytes(), [KEY.public], where="it")
    one, two = sign_statement(said, first), sign_statement(said, second)
    both = Envelope(one.payload, one.payload_type, one.signatures + two.signatures)
    rewrite(folder, lambda value: value.update(dsseEnvelope=both.to_dict()))


def test_we_refuse_two_signatures_of_which_stock_sees_the_first_only(folder: Path) -> None:
    stranger = generate("p256")
    for order, code in (((KEY, stranger), 0), ((stranger, KEY), 1)):
        write = (folder / "m.sig").read_bytes()
        both_signed(folder, *order)
        stock_verify(folder, code=code)
        with pytest.raises(MalformedError, match="2 signatures"):
            our_verify(folder)
        (folder / "m.sig").write_bytes(write)


def test_both_refuse_ed25519(folder: Path) -> None:
    secret = Ed25519PrivateKey.generate()
    pem = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_key(MemoryKey(secret), folder / "ed.key", None)
    assert (folder / "ed.key").read_bytes() == pem
    words = ("sign", "key", "m", "--signature", "theirs.sig", "--private_key", "ed.key")
    stock(folder, *words, code=1)
    stock_verify(folder, key="ed.pub", code=1)
    with pytest.raises(KeyFileError, match="signed with P-256 keys"):
        sign_files(digest_folder(folder / "m"), name="m", key=MemoryKey(secret))
    with pytest.raises(SignatureError, match="signed with P-256 keys"):
        our_verify(folder, key="ed.pub")


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7, 0.95])
def test_both_refuse_a_changed_signature_file(place: float, folder: Path) -> None:
    data = bytearray((folder / "m.sig").read_bytes())
    data[int(len(data) * place)] ^= 1
    (folder / "m.sig").write_bytes(data)
    stock_verify(folder, code=1)
    with pytest.raises((SignatureError, MalformedError)):
        our_verify(folder)
