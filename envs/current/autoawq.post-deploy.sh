#!/usr/bin/env bash
# autoawq builds against the installed torch, which an isolated build would not see.
set -euo pipefail
pin=autoawq==0.2.9
if command -v uv >/dev/null; then
  uv pip install -q --compile-bytecode --no-deps --no-build-isolation --python "$CONDA_PREFIX/bin/python" "$pin"
else
  "$CONDA_PREFIX/bin/python" -m pip install -q --no-deps --no-build-isolation "$pin"
fi
