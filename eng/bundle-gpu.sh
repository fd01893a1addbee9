#!/bin/sh
# Packs the tests, the tool and the benchmarks, self-contained, to run on a machine with a GPU and no .NET:
#   eng/bundle-gpu.sh OUT.tar.xz
# There, in a clone of the repository (the tests' data is the clone's): mkdir gpu && tar xJf OUT.tar.xz -C gpu, then
#   gpu/Xlstm.Tests -class '*Cuda*'     gpu/Xlstm.Benchmarks cuda --like xlstm-7b     gpu/xlstm generate --device cuda
set -eu
out=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for project in tests/Xlstm.Tests src/Xlstm.Cli bench/Xlstm.Benchmarks; do
    dotnet publish "$project" -c Release -r linux-x64 --self-contained -v q -o "$folder" >&2
done
# Not for that machine: BenchmarkDotNet's compiler, disassemblers and tracing, a debugger's side of the runtime, other garbage collectors,
# and the largest parts of the framework that nothing here uses.
(
    cd "$folder"
    rm -rf Microsoft.CodeAnalysis* Microsoft.Diagnostics* Iced.dll Gee.External.Capstone.dll libcapstone.so amd64 arm64 x86 win-* runtimes ./*.pdb ./*.xml
    rm -f libmscor*.so libclrgc*.so libcoreclrtraceptprovider.so
    rm -f Microsoft.VisualBasic.Core.dll System.Data.Common.dll System.Private.DataContractSerialization.dll System.Net.Mail.dll System.Net.Quic.dll System.Net.HttpListener.dll
)
tar cf - -C "$folder" . | xz -T0 -9 > "$out"
ls -l "$out" >&2
