#!/bin/sh
# Drops names, addresses and incomplete records, and splits the rest: every fourth row is held out.
# usage: prepare.sh raw.csv train.csv holdout.csv
set -eu

awk -F, -v OFS=, -v train="$2" -v holdout="$3" '
NR == 1 {
    header = "customer_id,region,age,tenure_months,monthly_fee,support_calls,churned"
    print header > train
    print header > holdout
    next
}
$5 == "" || $7 == "" { next }
{
    kept++
    # $2 (name) and $3 (email) stay behind: a model needs no names.
    if (kept % 4 == 0) print $1, $4, $5, $6, $7, $8, $9 > holdout
    else print $1, $4, $5, $6, $7, $8, $9 > train
}
END { if (kept < 8) { print "prepare: too few complete rows" > "/dev/stderr"; exit 1 } }
' "$1"
