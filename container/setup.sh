#!/bin/sh
# Installs tfen with its page into a folder; run by the container file as root, and as it is by the tests.
#   sh setup.sh SOURCE TARGET [INDEX]
# SOURCE: a checkout. TARGET: the folder of the virtual environment. INDEX: where PyTorch comes from; "" for the usual place.
set -eu
source=$1 target=$2 index=${3:-}
if [ "$(id -u)" = 0 ] && [ ! -x "$(command -v python3 || true)" ]; then
    apt-get update
    apt-get install -y --no-install-recommends python3 python3-venv
    rm -rf /var/lib/apt/lists/*
fi
if [ "$(id -u)" = 0 ] && ! id tfen >/dev/null 2>&1; then
    useradd --create-home --shell /usr/sbin/nologin tfen
fi
python3 -m venv "$target"
if [ -n "$index" ]; then
    "$target/bin/pip" install --no-cache-dir --index-url "$index" torch
fi
"$target/bin/pip" install --no-cache-dir --constraint "$source/constraints.txt" "$source[app]"
cp "$source/container/health.py" "$target/health.py"
