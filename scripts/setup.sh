# Sourced by the other scripts: leaves $python, of an environment with the extras named in $1 (such as "dev,demo").
# The environment is the active one, or .venv in the clone. Installing is skipped while nothing has changed.

# The extras that the linters and the tests need.
DEVELOPMENT=demo,dev,docs,train

find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "setup: needs Python 3.11 or later, found none" >&2
    return 1
}

set_up() {
    local extras=$1 environment=${VIRTUAL_ENV:-$PWD/.venv} found stamp wanted
    if [[ ! -x $environment/bin/python ]]; then
        found=$(find_python)
        echo "setup: making $environment" >&2
        "$found" -m venv "$environment"
    fi
    python=$environment/bin/python

    # The stamp holds what the installation was made from.
    stamp=$environment/.persamhq-setup-${extras//,/-}
    wanted=$(cat pyproject.toml constraints.txt <(echo "$extras $PWD") | "$python" -c 'import hashlib, sys
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
    if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
        echo "setup: installing the package with the extras $extras (the first time takes minutes)" >&2
        "$python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extras]"
        echo "$wanted" >"$stamp"
    fi
}
