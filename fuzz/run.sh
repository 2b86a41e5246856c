#!/usr/bin/env bash
# Fuzzes each target for a time, and fails on the first crash.
#
#   run.sh                     all targets, each for FUZZ_SECONDS (600)
#   run.sh requests node       these only
#   run.sh requests FILE…      plays these inputs again, such as one from artifacts/
#
# A stable compiler is enough: libFuzzer wants counters in the code, and there are flags for that which need no nightly
# (`cargo fuzz run TARGET` does the same with one). Without AddressSanitizer: there is no unsafe code of ours to watch.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"

all=(documents node requests)
targets=() files=()
for word in "$@"; do
  if [[ -f "$word" ]]; then files+=("$(realpath "$word")"); else targets+=("$word"); fi
done
((${#targets[@]})) || targets=("${all[@]}")

# What a user may write is the best beginning.
declare -A seeds=([documents]="$here/../snapshots $here/../deploy" [node]="" [requests]="")
declare -A longest=([documents]=8192 [node]=2048 [requests]=2048)

host=$(rustc -vV | sed -n 's/^host: //p')
counters=(--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  counters+=("-Cllvm-args=-sanitizer-coverage-$option")
done
for target in "${targets[@]}"; do
  [[ -n "${longest[$target]:-}" ]] || { echo "fuzz: no target is called $target; there are: ${all[*]}" >&2; exit 1; }
  # With --target, build scripts and macros are made without the counters.
  RUSTFLAGS="${counters[*]}" ${CARGO:-cargo} build --quiet --release --target "$host" --target-dir target --bin "$target"
done
for target in "${targets[@]}"; do
  program=target/$host/release/$target
  if ((${#files[@]})); then
    "$program" "${files[@]}"
    continue
  fi
  mkdir -p "corpus/$target" "artifacts/$target"
  echo "fuzz: $target for ${FUZZ_SECONDS:-600} s" >&2
  # shellcheck disable=SC2086 # a list of folders
  "$program" -max_total_time="${FUZZ_SECONDS:-600}" -max_len="${longest[$target]}" -timeout=10 -rss_limit_mb=4096 \
    -print_final_stats=1 -artifact_prefix="artifacts/$target/" "corpus/$target" ${seeds[$target]}
done
