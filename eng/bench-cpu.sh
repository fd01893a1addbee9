#!/usr/bin/env bash
# Measures this machine's CPU and writes docs/benchmarks/cpu.md, its JSON and its plot in one go: the demo model and random
# weights of xLSTM-7B, in bfloat16, int8 and int4. Nothing else should run meanwhile. The last line says how long it took.
#
#   eng/bench-cpu.sh            everything: some 40 minutes on two cores, 17 GB of free memory
#   eng/bench-cpu.sh short      fewer lengths, batches and repetitions: some 11 minutes, 17 GB
#   eng/bench-cpu.sh demo       only the demo model, 4 and a half minutes; the tables of xLSTM-7B stay as they were
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:-all}
case $what in
  all | short | demo) ;;
  *) echo "usage: $0 [short | demo]" >&2; exit 2 ;;
esac
out=docs/benchmarks
parts=$out/cpu
mkdir -p "$parts"
dotnet build --configuration Release src/Xlstm.Cli --verbosity quiet --nologo
xlstm() { dotnet src/Xlstm.Cli/bin/Release/net10.0/Xlstm.Cli.dll "$@"; }

# measure NAME TITLE ARGUMENTS...: one table.
measure() {
  local name=$1 title=$2 start=$SECONDS
  shift 2
  { printf '## %s\n\n' "$title"; xlstm bench --device cpu "$@"; } > "$parts/$name.md.new"
  mv "$parts/$name.md.new" "$parts/$name.md"
  echo "$title: $((SECONDS - start)) s" >&2
}

if [ "$what" != demo ]; then
  rm -f "$parts"/*.md
fi

every=bfloat16,int8,int4
if [ "$what" = short ]; then
  depths=10,100000
  measure 1-demo "Demo model" --weights $every -p 512 -g 128 -b 1,8 -n 3
else
  depths=10,1000,10000,100000
  measure 1-demo "Demo model" --weights $every -p 128,512,2048 -g 32,128 -b 1,4,8 -n 5
  measure 2-demo-threads "Demo model by threads" --weights $every --threads 1,2 -p 512 -g 128 -n 5
fi
measure 3-demo-depth "Demo model by context depth" --weights $every -p 0 -g 1024 -d $depths -n 5
xlstm bench --device cpu --weights $every -p 0 -g 1024 -d $depths -n 5 -o json > "$parts/demo-depth.json"
dotnet run eng/PlotBenchmarks.cs -- "$parts/demo-depth.json" "Demo model: generation by context depth" > "$out/demo-depth.svg"

# A depth holds for every test of a command, so prompts and depths are measured apart.
if [ "$what" = short ]; then
  measure 4-7b "xLSTM-7B, random weights" --like xlstm-7b --weights int8,int4 -p 512 -g 32 -b 1,4,8 -n 3
  measure 4-7b-bfloat16 "xLSTM-7B, random weights, bfloat16" --like xlstm-7b --weights bfloat16 -p 512 -g 32 -n 2
elif [ "$what" = all ]; then
  measure 4-7b "xLSTM-7B, random weights" --like xlstm-7b --weights int8,int4 -p 128,512,2048 -g 32 -b 1,4,8 -n 3
  measure 4-7b-bfloat16 "xLSTM-7B, random weights, bfloat16" --like xlstm-7b --weights bfloat16 -p 128,512 -g 32 -b 1,4,8 -n 2
  measure 4-7b-depth "xLSTM-7B after 4,096 tokens" --like xlstm-7b --weights int8,int4 -p 0 -g 32 -d 4096 -b 1,4,8 -n 3
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
echo "$out/cpu.md, in $((SECONDS / 60)) minutes $((SECONDS % 60)) seconds"
