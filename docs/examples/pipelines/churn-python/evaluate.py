"""Scores a model on customers that it has not seen."""

import json
import sys

import joblib
import pandas as pd
from sklearn.metrics import accuracy_score, log_loss

model = joblib.load(sys.argv[1])
data = pd.read_csv(sys.argv[2])
features = data.drop(columns="churned")
metrics = {
    "accuracy": accuracy_score(data.churned, model.predict(features)),
    "loss": log_loss(data.churned, model.predict_proba(features)),
}
with open(sys.argv[3], "w") as file:
    json.dump(metrics, file)
