#!/bin/sh
# Report in one line the reason why the Python given as the first argument cannot make an environment.
python=$1

if ! command -v "$python" >/dev/null 2>&1; then
    echo "nfteach needs Python 3.11 to 3.14, and there is no '$python' here. Run: sudo apt-get install python3 python3-venv" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'; then
    echo "nfteach needs Python 3.11 to 3.14, and '$python' is $("$python" -V). Run: sudo apt-get install python3.11-venv" \
        "and then: make lab PYTHON=python3.11" >&2
    exit 1
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "'$python' cannot make environments. Run: sudo apt-get install python$version-venv" >&2
    exit 1
fi
