"""`--peers`: what one process tests. zuko changes torch.distributions for all, so it has a process of its own."""

import pytest

from tests.peers.registry import LIBRARIES, library

PARTS = (*LIBRARIES, "docs", "environment")
# The parameter of a test -> the registry's field that it takes its values from.
FIELDS = {"layer": "layers", "model": "models", "refused": "refused"}


def pytest_addoption(parser):
    parser.addoption("--peers", default="", help=f"what to test, with commas between: {', '.join(PARTS)}; zuko alone")


def pytest_configure(config):
    parts = chosen(config)
    unknown = parts - set(PARTS)
    if unknown or not parts or ("zuko" in parts and len(parts) > 1):
        raise pytest.UsageError(
            f"--peers must be one or more of {', '.join(PARTS)}, zuko by itself, but is "
            f"{config.getoption('peers', '')!r}; try: make test-peers"
        )


def chosen(config) -> set[str]:
    return set(config.getoption("peers", "").replace(",", " ").split())


def pytest_ignore_collect(collection_path, config):
    """Leave out the files of libraries and parts that were not chosen."""
    parts = chosen(config)
    name = collection_path.stem.removeprefix("test_").removesuffix("_faults")
    wanted = parts & set(LIBRARIES) if name == "layers" else name in parts
    return None if wanted or not collection_path.name.startswith("test_") else True


def pytest_generate_tests(metafunc):
    """Run a test for each entry of the registry, over the libraries that were chosen."""
    for argument, field in FIELDS.items():
        if argument in metafunc.fixturenames:
            known = {
                (name, each): (name, value)
                for name in LIBRARIES
                if name in chosen(metafunc.config)
                for each, value in getattr(library(name), field).items()
            }
            metafunc.parametrize(["peer", argument], known.values(), ids=[f"{name}: {each}" for name, each in known])
