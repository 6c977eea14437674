#!/usr/bin/env bash
# Sets up both versions of transformers in FOLDER, once, and checks what is recorded here: check.sh FOLDER [FAMILY...]
#
# PyPI's torch for Linux wants CUDA's libraries even to be imported, so they are installed one by one, without what
# else torch asks for (triton and the toolkit's compilers): 5 GB in all, no GPU needed. Version 4 takes torch from
# version 5's environment. PYTHON names the interpreter; recorded with Python 3.11.
set -euo pipefail

folder=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}

if [ ! -e "$folder/ready" ]; then
    rm -rf "$folder"
    "$python" -m venv "$folder/5"
    "$folder/5/bin/pip" install --quiet --no-deps torch==2.15.0 torchvision==0.29.2 \
        nvidia-cublas==13.* nvidia-cuda-cupti==13.* nvidia-cuda-nvrtc==13.* nvidia-cuda-runtime==13.* \
        nvidia-cudnn-cu13==9.* nvidia-cufft==12.* nvidia-cufile==1.* nvidia-cusolver==12.* nvidia-cusparse==12.* \
        nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink==13.* nvidia-nvshmem-cu13
    # Pip tells of every CUDA package that torch misses, and goes on.
    "$folder/5/bin/pip" install --quiet transformers==5.24.0 numpy==2.4.6 pillow==13.0.0 safetensors tokenizers \
        sentencepiece protobuf filelock typing-extensions sympy networkx jinja2 fsspec 'setuptools>=77' \
        2> "$folder/pip.log" || { cat "$folder/pip.log" >&2; exit 1; }
    "$python" -m venv "$folder/4"
    for packages in "$folder"/5/lib/python3*/site-packages; do
        ours=${packages/"$folder/5"/"$folder/4"}
        (cd "$packages" && pwd) > "$ours/shared.pth"
    done
    "$folder/4/bin/pip" install --quiet transformers==4.57.6 \
        2> "$folder/pip.log" || { cat "$folder/pip.log" >&2; exit 1; }
    touch "$folder/ready"
fi

status=0
for version in 4 5; do
    PYTHONDONTWRITEBYTECODE=1 "$folder/$version/bin/python" "$here/make.py" --check "$@" || status=1
done
exit "$status"
