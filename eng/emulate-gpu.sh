#!/bin/sh
# Runs a command with a GPU that the host emulates: the CUDA kernels, compiled for the host against tests/emulation, behind a stand-in for
# NVIDIA's driver. Slow, and of no use for timing; what it finds are wrong indices, missing barriers, deadlocks, wrong sums.
#   eng/emulate-gpu.sh tests/Xlstm.Tests/bin/Debug/net10.0/Xlstm.Tests -class '*CudaReferenceTests'
# CAPABILITY: 80, 90 (default), which takes the kernels for the copy engine and for wgmma, or 100, which has no wgmma. DEVICES: how many GPUs, 1.
# RACES=1: two threads' accesses to shared memory without a barrier between end the process too; ten times as slow.
# Needs clang-19 (Debian: apt-get install clang-19) on Linux on x86-64.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
clang=${CLANG:-clang-19}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/sources"
cp "$root"/src/Xlstm/Backends/Cuda/Kernels/*.cu "$root"/src/Xlstm/Backends/Cuda/Kernels/*.cuh "$folder/sources"
cp "$root"/tests/emulation/*.cuh "$folder/sources"
# Kernels are called with the address of their parameter; dynamic shared memory is one array.
sed -i -E '/__global__/s/\(const ([A-Za-z]+) ([a-z]+)\)/(const \1\& \2)/; s/extern __shared__/extern/' "$folder"/sources/*.cu "$folder"/sources/*.cuh
emulator="$root/tests/emulation/emulator.cpp" races=
if [ "${RACES:-0}" = 1 ]; then
    emulator="$emulator $root/tests/emulation/races.cpp -DEMULATED_RACES" races=-fsanitize=thread
fi
for source in "$folder"/sources/*.cu; do
    basename "$source" .cu
done | xargs -P "$(nproc)" -I NAME sh -c "
    $clang -x c++ -std=c++17 -O2 -march=x86-64-v3 -fPIC $races -Wno-pass-failed -I '$root/tests/emulation' -c '$folder/sources/NAME.cu' -o '$folder/NAME.o' &&
    $clang -std=c++17 -O2 -march=x86-64-v3 -fPIC -shared -Wl,-Bsymbolic -I '$root/tests/emulation' '$folder/NAME.o' -x c++ $emulator -lstdc++ -lm -o '$folder/kernels_NAME.so'"
"$clang" -shared -fPIC -O1 -o "$folder/libcuda.so.1" "$root/tests/Xlstm.Cli.Tests/Cuda/fake_driver.c" -ldl
LD_LIBRARY_PATH="$folder" FAKE_CUDA="devices=${DEVICES:-1},capability=${CAPABILITY:-90},multiprocessors=2,memory=4096,kernels=$folder" "$@"
