"""Whose word still counts: replaced keys' does not, and a thief of one key cannot have the owner's forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner

from edgekit.channel.authority import Authority
from edgekit.channel.client import follow
from tests.channel.repository import Repository

NAME = "vision/lite0"
NOW = datetime.now(UTC)


def ask(repository: Repository, trust: Path) -> Authority:
    return follow(NAME, [repository.mirror()], trust, root=repository.first_root, clock=lambda: NOW).authority


def founded(threshold: int = 1, keys: int = 1) -> Repository:
    """A channel with one release; the family has `keys` keys, all of which sign."""
    repository = Repository(thresholds={"vision": keys})
    repository.delegate("vision", ["vision/*"], threshold=threshold)
    repository.release(NAME)
    repository.publish(bump=("families", "targets", "snapshot", "timestamp"))
    return repository


def replace_keys(repository: Repository, *kept: CryptoSigner, threshold: int = 1) -> None:
    """A new key for the family, beside those that it keeps."""
    repository.signers["vision"] = [*kept, CryptoSigner.generate_ed25519()]
    repository.delegate("vision", ["vision/*"], threshold=threshold)
    repository.publish(bump=("families", "targets", "snapshot", "timestamp"))


def test_the_same_keys_do_not_replace_themselves(tmp_path: Path) -> None:
    repository = founded()
    before = ask(repository, tmp_path)
    repository.release(NAME, version=2)
    repository.publish(bump=("families", "targets", "snapshot", "timestamp"))
    assert not ask(repository, tmp_path).replaces(before)
    assert before.family.signed == (repository.signers["vision"][0].public_key.keyid,)


def test_new_keys_replace_the_old_ones_and_not_the_reverse(tmp_path: Path) -> None:
    repository = founded()
    before = ask(repository, tmp_path)
    replace_keys(repository)
    after = ask(repository, tmp_path)
    assert after.replaces(before)
    assert not before.replaces(after), "older targets that are shown again take the word from nobody"


def test_who_stays_keeps_the_word(tmp_path: Path) -> None:
    """One key of two goes; what the other signed too is its word still."""
    repository = founded(keys=2)
    before = ask(repository, tmp_path)
    replace_keys(repository, repository.signers["vision"][0])
    assert not ask(repository, tmp_path).replaces(before)


def test_only_who_signed_is_asked(tmp_path: Path) -> None:
    """One key of two is stolen, and one is enough to sign: the other did not, and its staying changes nothing."""
    repository = founded(keys=2)
    honest, _ = repository.signers["vision"]
    repository.signers["vision"].remove(honest)
    repository.publish()
    before = ask(repository, tmp_path)
    replace_keys(repository, honest)
    assert ask(repository, tmp_path).replaces(before)


def test_a_higher_threshold_takes_the_word_from_a_single_key(tmp_path: Path) -> None:
    repository = founded(keys=2)
    both = list(repository.signers["vision"])
    repository.signers["vision"] = both[:1]
    repository.publish()
    before = ask(repository, tmp_path)
    repository.signers["vision"] = both
    repository.delegate("vision", ["vision/*"], threshold=2)
    repository.publish(bump=("families", "targets", "snapshot", "timestamp"))
    assert ask(repository, tmp_path).replaces(before)


def test_new_keys_of_targets_may_go_back_with_its_version(tmp_path: Path) -> None:
    """Stolen: the keys of targets. The thief's family, and a version of targets that is the last there is."""
    repository = founded()
    owner = repository.signers["vision"]
    repository.targets.version = 2**53 - 2
    replace_keys(repository)
    before = ask(repository, tmp_path)
    repository.renew_key("targets")
    repository.renew_key("snapshot")
    repository.renew_key("timestamp")
    repository.targets.version = 3
    repository.signers["vision"] = owner
    repository.delegate("vision", ["vision/*"])
    repository.publish(bump=("families", "targets", "snapshot", "timestamp"))
    assert ask(repository, tmp_path).replaces(before)


def test_a_model_that_targets_names_itself_has_the_authority_of_targets(tmp_path: Path) -> None:
    repository = Repository(families=())
    repository.families["vision"] = repository.targets
    repository.release(NAME)
    del repository.families["vision"]
    repository.publish(bump=("targets", "snapshot", "timestamp"))
    found = ask(repository, tmp_path)
    assert found.family == found.targets
    assert found.family.signed == (repository.signers["targets"][0].public_key.keyid,)


def test_a_family_that_has_lost_its_role(tmp_path: Path) -> None:
    """Its old metadata still lies in the trust folder, and nobody stands behind it any more."""
    repository = founded()
    before = ask(repository, tmp_path)
    repository.targets.targets.update(repository.families["vision"].targets)
    assert repository.targets.delegations is not None
    assert repository.targets.delegations.roles is not None
    del repository.targets.delegations.roles["vision"]
    repository.publish(bump=("targets", "snapshot", "timestamp"))
    assert (tmp_path / "metadata" / "vision.json").exists()
    assert ask(repository, tmp_path).replaces(before)
