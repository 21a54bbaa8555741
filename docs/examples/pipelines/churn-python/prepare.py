"""Invents customers, the same ones every time, and splits them."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

train_path, holdout_path = map(Path, sys.argv[1:3])
rng = np.random.default_rng(7)
n = 400
data = pd.DataFrame(
    {
        "tenure": rng.integers(1, 72, n),
        "fee": rng.integers(15, 85, n),
        "calls": rng.poisson(2, n),
    }
)
pull = -0.06 * (data.tenure - 30) + 0.035 * (data.fee - 45) + 0.65 * (data.calls - 2)
data["churned"] = (rng.random(n) < 1 / (1 + np.exp(-pull))).astype(int)
train_path.parent.mkdir(parents=True, exist_ok=True)
data.iloc[: n * 3 // 4].to_csv(train_path, index=False)
data.iloc[n * 3 // 4 :].to_csv(holdout_path, index=False)
