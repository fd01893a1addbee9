#!/usr/bin/env bash
# Measures this machine's CPU and writes docs/benchmarks/cpu.md, its JSON and its plot in one go: the demo model and random
# weights of xLSTM-7B, in bfloat16, int8 and int4. Takes about half an hour on two cores and 17 GB of free memory; nothing
# else should run meanwhile.
#
#   eng/bench-cpu.sh            everything
#   eng/bench-cpu.sh demo       only the demo model, about three minutes; the tables of xLSTM-7B stay as they were
set -euo pipefail
cd "$(dirname "$0")/.."

out=docs/benchmarks
parts=$out/cpu
what=${1:-all}
mkdir -p "$parts"
dotnet build --configuration Release src/Xlstm.Cli --verbosity quiet --nologo
xlstm() { dotnet src/Xlstm.Cli/bin/Release/net10.0/Xlstm.Cli.dll "$@"; }

# measure NAME TITLE ARGUMENTS...: one table.
measure() {
  local name=$1 title=$2
  shift 2
  { printf '## %s\n\n' "$title"; xlstm bench "$@"; } > "$parts/$name.md.new"
  mv "$parts/$name.md.new" "$parts/$name.md"
}

measure 1-demo "Demo model" --weights bfloat16,int8,int4 -p 128,512,2048 -g 32,128 -b 1,4,8 -n 5
measure 2-demo-threads "Demo model by threads" --weights bfloat16,int8,int4 --threads 1,2 -p 512 -g 128 -n 5
xlstm bench --weights bfloat16,int8,int4 -p 0 -g 128 -d 10,1000,10000,100000 -n 9 -o json > "$parts/demo-depth.json"
dotnet run eng/PlotBenchmarks.cs -- "$parts/demo-depth.json" "Demo model: generation by context depth" > "$out/demo-depth.svg"

if [ "$what" = all ]; then
  measure 3-7b "xLSTM-7B, random weights" --like xlstm-7b --weights bfloat16,int8,int4 -p 128,512 -g 32 -b 1,4,8 -n 3
  measure 4-7b-long "xLSTM-7B, longer tests and a context depth" --like xlstm-7b --weights int8,int4 -p 2048 -g 32,128 -d 0,4096 -n 1
fi

{
  cat <<'HEAD'
# CPU

Written by `eng/bench-cpu.sh`. What the columns mean: [benchmarks.md](../benchmarks.md). The demo model lies in the processor's
caches, so its generation is not bound by DRAM, and a share of DRAM above 100 % only says so.

![Generation by context depth](demo-depth.svg)
HEAD
  for part in "$parts"/*.md; do
    printf '\n'
    cat "$part"
  done
} > "$out/cpu.md"
echo "$out/cpu.md"
