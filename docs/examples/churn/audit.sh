#!/bin/sh
# Judges an evaluation: sure enough of what is true, and as good for one region as for the other?
# Exits 0 if it passes, 1 if it does not, 2 if it cannot tell.
# usage: audit.sh evaluation.json audit.md [LARGEST_LOSS] [WIDEST_GAP]
set -eu

awk -F'[": ,]+' -v report="$2" -v largest="${3:-0.50}" -v widest="${4:-0.15}" '
NF >= 3 { value[$2] = $3 }
function row(what, found, limit, good) {
    printf "| %s | %.4f | %s | %s |\n", what, found, limit, good ? "pass" : "FAIL" > report
    if (!good) failed = 1
}
END {
    if (!("loss" in value) || !("accuracy_north" in value) || !("accuracy_south" in value)) {
        print "audit: the evaluation lacks loss, accuracy_north or accuracy_south" > "/dev/stderr"
        exit 2
    }
    gap = value["accuracy_north"] - value["accuracy_south"]
    if (gap < 0) gap = -gap
    printf "# Audit\n\n| check | found | limit | verdict |\n| --- | ---: | ---: | --- |\n" > report
    row("loss on customers held out", value["loss"], "at most " largest, value["loss"] <= largest + 0)
    row("accuracy gap between regions", gap, "at most " widest, gap <= widest + 0)
    printf "\nVerdict: %s\n", failed ? "FAIL" : "pass" > report
    exit failed + 0
}' "$1"
