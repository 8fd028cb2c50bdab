"""Zip archives from outside: looked at before anything in them is loaded, and rebuilt from what was looked at.

torch reads zips with another library than Python does, and two readers may see two different archives in one hostile
file. Where loading could run code (`.pt2`, TorchScript), the members that were inspected are therefore written to a
new archive, and only that one is loaded.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import ModelLoadError

MAX_MEMBERS = 200_000
MAX_EXPANSION = 4
SLACK_BYTES = 64 << 20
"""torch stores members uncompressed: their sizes add up to less than the file. This leaves room for repacked ones."""

MAX_TEXT_BYTES = 256 << 20
"""Largest member that is read whole: graphs and pickles, not weights."""


@dataclass(frozen=True)
class Archive:
    """A zip whose member names and sizes are plausible.

    Attributes:
        path: The file.
        root: The folder that all members are in, with its slash; "" when there is none.
        sizes: Member name without `root` -> uncompressed bytes.
    """

    path: Path
    root: str
    sizes: Mapping[str, int]

    def has(self, prefix: str) -> bool:
        """Whether a member's name starts so."""
        return any(name.startswith(prefix) for name in self.sizes)

    def read(self, name: str) -> bytes:
        """One member, whole.

        Raises:
            ModelLoadError: It is absent, damaged, or larger than `MAX_TEXT_BYTES`.
        """
        size = self.sizes.get(name)
        if size is None:
            raise ModelLoadError(f"{self.path.name} lacks the member {name}", hint="save the model again")
        if size > MAX_TEXT_BYTES:
            raise ModelLoadError(f"{name} in {self.path.name} has {size} bytes; at most {MAX_TEXT_BYTES} are read")
        try:
            with zipfile.ZipFile(self.path) as file:
                return file.read(self.root + name)
        except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise damaged(self.path, error) from error

    def rebuild(self, target: Path, replacements: Mapping[str, bytes], *, prefixes: tuple[str, ...]) -> None:
        """Write a new, uncompressed archive.

        Args:
            target: File to write; its stem takes the place of the root folder, where there is one.
            replacements: Member name -> new content.
            prefixes: Members that start with none of these are left out.

        Raises:
            ModelLoadError: A member is damaged.
        """
        try:
            with zipfile.ZipFile(self.path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
                root = f"{target.stem}/" if self.root else ""
                for name in self.sizes:
                    if not name.startswith(prefixes):
                        continue
                    with new.open(root + name, "w", force_zip64=True) as sink:
                        if name in replacements:
                            sink.write(replacements[name])
                            continue
                        with old.open(self.root + name) as source:
                            while piece := source.read(1 << 20):
                                sink.write(piece)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise damaged(self.path, error) from error


def open_archive(path: Path) -> Archive:
    """Look at a zip without unpacking it.

    Raises:
        ModelLoadError: Not readable to the end, a zip bomb, encrypted, or members that share a name or leave the root.
    """
    try:
        with zipfile.ZipFile(path) as file:
            members = [info for info in file.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, ValueError) as error:
        raise damaged(path, error) from error
    _refuse_bomb(path, members)
    names = [info.filename for info in members]
    if len(set(names)) != len(names):
        raise ModelLoadError(f"{path.name} has two members with the same name; no tool writes that honestly")
    if any(info.flag_bits & 1 for info in members):
        raise ModelLoadError(f"{path.name} is encrypted", hint="unpack it first")
    unsafe = [name for name in names if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/")]
    if unsafe:
        raise ModelLoadError(f"{path.name} has members outside its own folder: {', '.join(unsafe[:3])}")
    roots = {name.partition("/")[0] for name in names if "/" in name}
    is_rooted = len(roots) == 1 and all("/" in name for name in names)
    root = f"{roots.pop()}/" if is_rooted else ""
    return Archive(path, root, {info.filename.removeprefix(root): info.file_size for info in members})


def damaged(path: Path, error: BaseException) -> ModelLoadError:
    """The error for a zip that cannot be read to its end."""
    return ModelLoadError(
        f"{path.name} is a damaged or truncated zip archive ({path.stat().st_size} bytes): {error}",
        hint="copy or download it again; its size or sha256 at the source will tell",
    )


def _refuse_bomb(path: Path, members: list[zipfile.ZipInfo]) -> None:
    size = path.stat().st_size
    total = sum(info.file_size for info in members)
    if len(members) > MAX_MEMBERS:
        raise ModelLoadError(f"{path.name} has {len(members)} members; at most {MAX_MEMBERS} are plausible")
    if total > MAX_EXPANSION * size + SLACK_BYTES:
        raise ModelLoadError(
            f"{path.name} has {size} bytes but would unpack to {total}: a zip bomb, no model",
            hint="torch stores weights uncompressed; get the file from its author again",
        )
