#!/bin/sh
# Fits a logistic regression by gradient descent; writes the model and how well it fits.
# usage: train.sh train.csv model.txt metrics.json [LEARNING_RATE] [EPOCHS]
set -eu

awk -F, -v model="$2" -v metrics="$3" -v lr="${4:-0.5}" -v epochs="${5:-200}" '
NR == 1 { for (j = 1; j <= 4; j++) name[j] = $(j + 2); next }
{
    n++
    for (j = 1; j <= 4; j++) { x[n, j] = $(j + 2); sum[j] += $(j + 2) }
    y[n] = $7
}
function score(i, j, z) {
    z = w[0]
    for (j = 1; j <= 4; j++) z += w[j] * x[i, j]
    return 1 / (1 + exp(-z))
}
END {
    # Features on one scale, so that one learning rate fits all.
    for (j = 1; j <= 4; j++) {
        mean[j] = sum[j] / n
        for (i = 1; i <= n; i++) square[j] += (x[i, j] - mean[j]) ^ 2
        spread[j] = sqrt(square[j] / n)
        for (i = 1; i <= n; i++) x[i, j] = (x[i, j] - mean[j]) / spread[j]
    }
    for (j = 0; j <= 4; j++) w[j] = 0
    for (epoch = 1; epoch <= epochs; epoch++) {
        for (j = 0; j <= 4; j++) slope[j] = 0
        for (i = 1; i <= n; i++) {
            error = score(i) - y[i]
            slope[0] += error
            for (j = 1; j <= 4; j++) slope[j] += error * x[i, j]
        }
        for (j = 0; j <= 4; j++) w[j] -= lr * slope[j] / n
    }

    printf "intercept %.6f\n", w[0] > model
    for (j = 1; j <= 4; j++) printf "%s weight %.6f mean %.6f spread %.6f\n", name[j], w[j], mean[j], spread[j] > model

    for (i = 1; i <= n; i++) {
        p[i] = score(i)
        right += (p[i] >= 0.5) == y[i]
        loss -= log(y[i] ? p[i] : 1 - p[i])
    }
    # AUC: how often a customer who left scores above one who stayed.
    for (i = 1; i <= n; i++) if (y[i]) for (k = 1; k <= n; k++) if (!y[k]) {
        pairs++
        above += p[i] > p[k] ? 1 : (p[i] == p[k] ? 0.5 : 0)
    }
    printf "{\n  \"accuracy\": %.4f,\n  \"auc\": %.4f,\n  \"loss\": %.4f,\n  \"rows\": %d\n}\n", \
        right / n, above / pairs, loss / n, n > metrics
}' "$1"
