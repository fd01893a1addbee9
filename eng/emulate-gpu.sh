#!/bin/sh
# Runs a command with a GPU that the host emulates: the CUDA kernels, compiled for the host against tests/emulation, behind a stand-in for
# NVIDIA's driver. Slow, and of no use for timing; what it finds are wrong indices, missing barriers, deadlocks, wrong sums.
#   eng/emulate-gpu.sh tests/Xlstm.Tests/bin/Debug/net10.0/Xlstm.Tests -class '*CudaReferenceTests'
# CAPABILITY: 80, 90 (default), which takes the kernels for the copy engine and for wgmma, or 100, which has no wgmma; or several, one run for each.
# DEVICES: how many GPUs, 1.
# RACES=1: two threads' accesses to shared memory without a barrier between end the process too; ten times as slow.
# Needs clang-19 (Debian: apt-get install clang-19) on Linux on x86-64.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
clang=${CLANG:-clang-19}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/sources"
cp "$root"/src/Xlstm/Backends/Cuda/Kernels/*.cu "$root"/src/Xlstm/Backends/Cuda/Kernels/*.cuh "$folder/sources"
cp "$root"/tests/emulation/* "$folder/sources" # some in the place of the kernels' own
# Kernels are called with the address of their parameter; dynamic shared memory is one array.
sed -i -E '/__global__/s/\(const ([A-Za-z]+) ([a-z]+)\)/(const \1\& \2)/; s/extern __shared__/extern/' "$folder"/sources/*.cu "$folder"/sources/*.cuh
compile="$clang -std=c++17 -O2 -march=x86-64-v3 -fPIC" parts=emulator races=
if [ "${RACES:-0}" = 1 ]; then
    compile="$compile -DEMULATED_RACES" parts="emulator races" races=-fsanitize=thread
fi
objects=
for part in $parts; do
    $compile -c "$folder/sources/$part.cpp" -o "$folder/$part.o"
    objects="$objects $folder/$part.o"
done
for source in "$folder"/sources/*.cu; do
    basename "$source" .cu
done | xargs -P "$(nproc)" -I NAME sh -c "
    $compile -x c++ $races -Wno-pass-failed -c '$folder/sources/NAME.cu' -o '$folder/NAME.o' &&
    $clang -shared -Wl,-Bsymbolic '$folder/NAME.o' $objects -lstdc++ -lm -o '$folder/kernels_NAME.so'"
"$clang" -shared -fPIC -O1 -o "$folder/libcuda.so.1" "$root/tests/Xlstm.Cli.Tests/Cuda/fake_driver.c" -ldl
status=0
for capability in ${CAPABILITY:-90}; do
    echo "emulated GPU of compute capability $capability" >&2
    LD_LIBRARY_PATH="$folder" FAKE_CUDA="devices=${DEVICES:-1},capability=$capability,multiprocessors=2,memory=4096,kernels=$folder" "$@" || status=$?
done
exit $status
