"""Print constraints.txt: the versions of all distributions that nfteach and its extras require.

To move the pins: change the versions in the environment (`.venv/bin/pip install -U ...`), run `make constraints`,
`make notebooks FORCE=1` and `make test`, and review the difference.
"""

import sys
from importlib.metadata import PackageNotFoundError, distribution

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
HEADER = """\
# Every version that the course is tested with, on Python {first} to {last}. Written by `make constraints`:
# to move a pin, install the new version in .venv, then run `make constraints`, `make notebooks FORCE=1`, `make test`.
"""


def closure(root: str, extras: tuple[str, ...], python: str) -> dict[str, str]:
    """Return name -> version of all distributions that `root` with `extras` requires on a version of Python.

    Raises:
        PackageNotFoundError: if a required distribution is not installed.
    """
    environment = default_environment() | {"python_version": python, "python_full_version": f"{python}.0"}
    found: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    queue = [(canonicalize_name(root), extra) for extra in ("", *extras)]
    while queue:
        name, extra = item = queue.pop()
        if item in done:
            continue
        done.add(item)
        installed = distribution(name)
        found[name] = Version(installed.version).public  # 2.13.0+cpu is pinned as 2.13.0: pip chooses the build
        for requirement in map(Requirement, installed.requires or []):
            if requirement.marker is None or requirement.marker.evaluate(environment | {"extra": extra}):
                queue += [(canonicalize_name(requirement.name), wanted) for wanted in ("", *requirement.extras)]
    del found[canonicalize_name(root)]
    return found


def main() -> int:
    """Print the file; return the exit status."""
    pins: dict[str, str] = {}
    for python in PYTHONS:
        try:
            pins |= closure("nfteach", ("course", "test"), python)
        except PackageNotFoundError as error:
            print(f"{error.name} must be installed, as Python {python} requires it, but is not", file=sys.stderr)
            return 1
    print(HEADER.format(first=PYTHONS[0], last=PYTHONS[-1]), end="")
    print("\n".join(f"{name}=={version}" for name, version in sorted(pins.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
