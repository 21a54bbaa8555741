"""Fits a forest."""

import sys

import joblib
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

data = pd.read_csv(sys.argv[1])
model = RandomForestClassifier(n_estimators=int(sys.argv[3]), random_state=7)
model.fit(data.drop(columns="churned"), data.churned)
joblib.dump(model, sys.argv[2])
