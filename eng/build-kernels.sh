#!/bin/sh
# Compiles the CUDA kernels to the PTX that is committed beside them. With --check: fails if what the sources give differs.
# Needs clang-19 (Debian: apt-get install clang-19) and nothing of NVIDIA's.
set -eu
cd "$(dirname "$0")/../src/Xlstm/Backends/Cuda/Kernels"
clang=${CLANG:-clang-19}
target=.
if [ "${1:-}" = --check ]; then
    target=$(mktemp -d)
    trap 'rm -rf "$target"' EXIT
fi

compile() { # source, GPU architecture, PTX ISA
    "$clang" -x cuda --cuda-device-only --cuda-gpu-arch="$2" -Xclang -target-feature -Xclang "+ptx$3" -nocudainc -nocudalib \
        -std=c++17 -O3 -Wall -Wextra -Werror -S "$1.cu" -o "$target/$1.$2.ptx"
}

for source in *.cu; do
    name=${source%.cu}
    case $name in
        *_hopper) compile "$name" sm_90 80 ;;   # the copy engine: drivers from 525 on
        *_wgmma) compile "$name" sm_90a 80 ;;   # and compute capability 9.0 alone
        *)
            compile "$name" sm_80 78 # the baseline: any driver from 520 on
            compile "$name" sm_90 78 # the same with programmatic dependent launch
            ;;
    esac
done

if [ "$target" != . ]; then
    status=0
    for ptx in *.ptx "$target"/*.ptx; do
        base=$(basename "$ptx")
        # The header names the compiler's build; everything from .version on must be equal.
        if ! [ -f "$base" ] || ! [ -f "$target/$base" ] || [ "$(sed -n '/^\.version/,$p' "$base")" != "$(sed -n '/^\.version/,$p' "$target/$base")" ]; then
            echo "$base: is not what the sources give with $("$clang" --version | head -n 1); run eng/build-kernels.sh" >&2
            status=1
        fi
    done
    exit $status
fi
