#!/usr/bin/env bash
# Runs make targets one after another and ends with a table of their times. A stage that fails does not keep the next from running;
# the script fails if any did and names them.
set -u
cd "$(dirname "$0")/.."

names=() results=() times=()
failed=()
began=$SECONDS
for stage in "$@"; do
	printf '\n==> %s\n' "$stage"
	start=$SECONDS
	if make "$stage"; then
		result=ok
	else
		result=FAILED
		failed+=("$stage")
	fi
	names+=("$stage") results+=("$result") times+=($((SECONDS - start)))
	printf -- '--- %s: %s, %d s\n' "$stage" "$result" $((SECONDS - start))
	if [ "$stage" = tools ] && [ "$result" = FAILED ]; then
		echo "the other stages need the tools" >&2
		break
	fi
done

printf '\n%-10s %-7s %s\n' stage result seconds
for i in "${!names[@]}"; do
	printf '%-10s %-7s %7d\n' "${names[$i]}" "${results[$i]}" "${times[$i]}"
done
printf '%-10s %-7s %7d\n' sum "$([ ${#failed[@]} -eq 0 ] && echo ok || echo FAILED)" $((SECONDS - began))
if [ ${#failed[@]} -gt 0 ]; then
	echo "failed: ${failed[*]}" >&2
	exit 1
fi
