#!/bin/sh
# Scores the model on customers that it has not seen, in all and by region.
# usage: evaluate.sh model.txt holdout.csv report.md evaluation.json
set -eu

awk -v report="$3" -v metrics="$4" '
# The model, one feature per line.
NR == FNR && $1 == "intercept" { intercept = $2; next }
NR == FNR { weight[$1] = $3; mean[$1] = $5; spread[$1] = $7; next }
# The customers.
FNR == 1 { columns = split($0, name, ","); next }
{
    split($0, value, ",")
    z = intercept
    for (j = 3; j < columns; j++) z += weight[name[j]] * (value[j] - mean[name[j]]) / spread[name[j]]
    n++
    p[n] = 1 / (1 + exp(-z))
    y[n] = value[columns]
    hit = (p[n] >= 0.5) == y[n]
    right += hit
    loss -= log(y[n] ? p[n] : 1 - p[n])
    rows[value[2]]++
    hits[value[2]] += hit
}
END {
    for (i = 1; i <= n; i++) if (y[i]) for (k = 1; k <= n; k++) if (!y[k]) {
        pairs++
        above += p[i] > p[k] ? 1 : (p[i] == p[k] ? 0.5 : 0)
    }
    accuracy = right / n; auc = above / pairs
    north = hits["north"] / rows["north"]; south = hits["south"] / rows["south"]
    printf "{\n  \"accuracy\": %.4f,\n  \"auc\": %.4f,\n  \"loss\": %.4f,\n", accuracy, auc, loss / n > metrics
    printf "  \"accuracy_north\": %.4f,\n  \"accuracy_south\": %.4f,\n  \"rows\": %d\n}\n", north, south, n > metrics
    printf "# Evaluation\n\n%d customers held out.\n\n", n > report
    printf "| group | customers | accuracy |\n| --- | ---: | ---: |\n| all | %d | %.4f |\n", n, accuracy > report
    printf "| north | %d | %.4f |\n| south | %d | %.4f |\n", rows["north"], north, rows["south"], south > report
    printf "\nAUC %.4f, loss %.4f\n", auc, loss / n > report
}' "$1" "$2"
