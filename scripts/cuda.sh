#!/usr/bin/env bash
# Holds the networks on an NVIDIA GPU against those on the CPU (tests/cuda.rs). Says that it skips where there is no card, or
# no nvcc to build candle's kernels with.
set -euo pipefail

skip() {
    echo "skipped: the networks on an NVIDIA GPU, $1" >&2
    exit
}

cd "$(dirname "$0")/.."
nvidia-smi -L &>/dev/null || skip "there is none"
command -v "${NVCC:-nvcc}" >/dev/null || skip "there is no nvcc"
cargo test --release --locked --features cuda --test cuda -- --nocapture --test-threads 1
