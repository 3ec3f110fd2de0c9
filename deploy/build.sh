#!/bin/sh
# What the image is made of, in a folder: a virtual environment with Pointsman and nothing that only builds.
# The Dockerfile runs this, and `make deploy-check` runs it without a container.
#   deploy/build.sh FOLDER          TORCH_INDEX: the index torch comes from; default: pip's own
set -eu
folder=${1:?usage: deploy/build.sh FOLDER}
cd "$(dirname "$0")/.."
pip() { "$folder/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }

"${PYTHON:-python3}" -m venv "$folder"
torch=$(sed -n 's/^torch==//p' constraints.txt)
pip install --quiet --no-cache-dir -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch==$torch"

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
pip wheel --quiet --no-cache-dir --no-deps --wheel-dir "$wheels" .
pip install --quiet --no-cache-dir -c constraints.txt "$wheels"/pointsman-*.whl
pip check
"$folder/bin/python" -m compileall -q -j 0 "$folder/lib" || true  # some packages ship sources of other Pythons
pip uninstall --quiet --yes pip setuptools 2>/dev/null || true
"$folder/bin/pointsman" version
