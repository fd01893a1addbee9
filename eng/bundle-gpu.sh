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
# BenchmarkDotNet's compiler, disassemblers and tracing parts are for its own runs, which are not for that machine; nor is a debugger's side of the runtime.
rm -rf "$folder"/libcapstone.so "$folder"/Iced.dll "$folder"/Gee.External.Capstone.dll "$folder"/libmscor*.so "$folder"/Microsoft.CodeAnalysis* "$folder"/Microsoft.Diagnostics* "$folder"/*.pdb "$folder"/*.xml "$folder"/amd64 "$folder"/arm64 "$folder"/x86 "$folder"/win-* "$folder"/runtimes
tar cf - -C "$folder" . | xz -T0 -6 > "$out"
ls -l "$out" >&2
