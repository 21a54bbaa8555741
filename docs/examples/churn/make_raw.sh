#!/bin/sh
# Invents customers of a telephone company, the same ones every time.
# usage: make_raw.sh raw.csv
set -eu

awk '
# Lehmer generator: the same numbers under every awk, unlike rand().
function random() { state = (state * 16807) % 2147483647; return state / 2147483647 }
function pick(list, parts, n) { n = split(list, parts, " "); return parts[1 + int(random() * n)] }

BEGIN {
    state = 20261
    print "customer_id,name,email,region,age,tenure_months,monthly_fee,support_calls,churned"
    for (i = 1; i <= 240; i++) {
        first = pick("Ana Ben Chloe Dev Elif Femi Goran Hana Ivo Jun Kaia Lars Mina Noor Olek Pia")
        last = pick("Adler Banerjee Costa Duval Eriksen Farouk Garcia Haas Ito Jansen Kowalska Lund")
        region = random() < 0.6 ? "north" : "south"
        age = 19 + int(random() * 58)
        tenure = 1 + int(random() * 72)
        fee = 15 + int(random() * 70)
        calls = int(random() * random() * 9)
        # Who churns: new, expensive and unhappy customers, and a little chance.
        pull = -0.2 - 0.06 * (tenure - 30) + 0.035 * (fee - 45) + 0.65 * (calls - 2)
        churned = random() < 1 / (1 + exp(-1.6 * pull)) ? 1 : 0
        # Some records are incomplete, as in real life.
        if (random() < 0.05) age = ""
        if (random() < 0.03) fee = ""
        email = tolower(first "." last) i "@example.com"
        printf "C%04d,%s %s,%s,%s,%s,%d,%s,%d,%d\n", i, first, last, email, region, age, tenure, fee, calls, churned
    }
}' > "$1"
