#!/usr/bin/env bash
# Measures what the weight formats cost the demo model and writes docs/benchmarks/quality.md.
#
#   eng/measure-quality.sh TEXT...                        whole texts
#   MAX_TOKENS=20000 eng/measure-quality.sh TEXT...       the first tokens of each
#
# The texts are held-out books as plain UTF-8: nothing that the model was trained on. The text that int4 is calibrated with is
# written by the model itself, so it has nothing of theirs. What each role of the matrices costs is measured on the first 3,000
# tokens of each text. Half an hour on two busy cores for 60,000 tokens.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: eng/measure-quality.sh TEXT..." >&2; exit 2; }

parts=docs/benchmarks/quality
mkdir -p "$parts"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dotnet build --configuration Release src/Xlstm.Cli --verbosity quiet --nologo
dotnet build --configuration Release bench/Xlstm.Benchmarks --verbosity quiet --nologo
xlstm() { dotnet src/Xlstm.Cli/bin/Release/net10.0/Xlstm.Cli.dll "$@"; }

files=(${MAX_TOKENS:+--max-tokens "$MAX_TOKENS"})
for text in "$@"; do
  files+=(--file "$text")
done

# measure NAME ARGUMENTS...: a name sorts the table. Of paths only the last part is kept: folders are this machine's affair.
measure() {
  local name=$1
  shift
  xlstm perplexity "${files[@]}" "$@" --json | sed -E 's#"(model|file)":"[^"]*/([^"/]+)"#"\1":"\2"#g' > "$work/$name.json"
  mv "$work/$name.json" "$parts/$name.json"
}

measure 1-int8 --weights int8 --against-weights bfloat16
measure 2-int4 --weights int4 --against-weights bfloat16
for seed in 1 2 3 4 5 6 7 8; do
  xlstm generate --seed $seed --temperature 1 --top-k 0 --top-p 1 --min-p 0 -n 4000 --ignore-eos "" >> "$work/own.txt"
done
xlstm quantize --weights int4 --calibrate "$work/own.txt" --output "$work/int4-calibrated"
measure 3-int4-calibrated --model "$work/int4-calibrated" --against-model models/demo --against-weights bfloat16
measure 4-int4-mix --weights int4 --mix --against-weights bfloat16
xlstm quantize --weights int4 --mix --calibrate "$work/own.txt" --output "$work/int4-mix-calibrated"
measure 5-int4-mix-calibrated --model "$work/int4-mix-calibrated" --against-model models/demo --against-weights bfloat16

dotnet bench/Xlstm.Benchmarks/bin/Release/net10.0/Xlstm.Benchmarks.dll roles --tokens 3000 --calibrate "$work/own.txt" "$@" > "$work/roles.md"
mv "$work/roles.md" "$parts/roles.md"

dotnet run eng/TabulateQuality.cs -- "$parts"/roles.md "$parts"/*.json > "$work/quality.md"
mv "$work/quality.md" docs/benchmarks/quality.md
echo docs/benchmarks/quality.md
