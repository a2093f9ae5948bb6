#!/bin/sh
# Find a Chromium for the browser tests, or install one. The first argument is the environment's python.
# The tests look in the same places: tests/browser/lab.py.
python=$1

found() {
    "$python" -m tests.browser.lab
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

found && exit 0
if [ -n "${CHROMIUM:-}" ]; then
    echo "CHROMIUM is set to '$CHROMIUM', which does not run; set it to a Chromium or Chrome that does, or unset it" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
if command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser tests ..."
    as_root apt-get update -q >/dev/null
    for package in chromium-headless-shell chromium; do
        as_root apt-get install -qy --no-install-recommends $package >/dev/null 2>&1
        found && exit 0
    done
fi
echo "Installing Playwright's Chromium for the browser tests ..."
"$python" -m playwright install --with-deps chromium </dev/null || "$python" -m playwright install chromium </dev/null
found && exit 0
echo "The browser tests need Chromium, and it could not be installed from here. Run one of" >&2
echo "    sudo apt-get install chromium" >&2
echo "    sudo $python -m playwright install --with-deps chromium" >&2
echo "or name a Chromium or Chrome that you have: make test CHROMIUM=/path/to/chromium" >&2
exit 1
