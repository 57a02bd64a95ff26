#!/usr/bin/env bash
# gptqmodel builds against the installed torch, which an isolated build would not see.
set -euo pipefail
export BUILD_CUDA_EXT=0
pin=gptqmodel==7.6.0
if command -v uv >/dev/null; then
  uv pip install -q --compile-bytecode --no-deps --no-build-isolation --python "$CONDA_PREFIX/bin/python" "$pin"
else
  "$CONDA_PREFIX/bin/python" -m pip install -q --no-deps --no-build-isolation "$pin"
fi
