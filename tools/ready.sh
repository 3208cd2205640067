#!/bin/sh
# Makes the virtual environment, or says in one sentence what is missing for it.
#   sh tools/ready.sh PYTHON FOLDER
# Needs Python 3.11 or later with venv, GIGABYTES (default 6, enough for PyTorch with CUDA) of free disk, and a package index that answers.
set -u
python=$1 venv=$2 gigabytes=${GIGABYTES:-6}

stop() {
    echo "tfen: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    stop "there is no $python; install Python 3.11 or later, or name one: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "$("$python" --version 2>&1) is too old: 3.11 or later is needed; name another one: make PYTHON=/path/to/python3"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    stop "$python cannot make virtual environments; on Debian and Ubuntu install python3-venv"
mkdir -p "$venv" 2>/dev/null && [ -w "$venv" ] ||
    stop "$venv cannot be written; take another folder: make VENV=/path/to/folder"
free=$(df -Pk "$venv" | awk 'NR == 2 {print int($4 / 1048576)}')
[ "$free" -ge "$gigabytes" ] ||
    stop "$venv has $free GB of free disk and the installation needs $gigabytes; free some, or take another folder: make VENV=/path/to/folder"
[ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv" ||
    stop "the virtual environment $venv could not be made; delete it and try again"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$venv/bin/python" -m pip download --quiet --no-deps --retries 1 --timeout 15 --dest "$place" packaging >"$place/log" 2>&1 ||
    stop "no package index answers ($(grep -v '^WARNING: Location' "$place/log" | tail -n 1)); check the network, or pip's settings for a proxy or an index of your own"
