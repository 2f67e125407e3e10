"""Writes iris/model.joblib: scikit-learn's logistic regression on its bundled iris data."""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

features, classes = load_iris(return_X_y=True)
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(features, classes)
joblib.dump(model, Path(__file__).parent / "iris" / "model.joblib")
