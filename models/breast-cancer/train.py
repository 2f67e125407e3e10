"""Recreates the breast-cancer model: 1/model.onnx, heldout.json and samples/.

Logistic regression on standardised measurements. The standardisation is folded
into the weights, so the model takes the measurements as the data set has them.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
SEED = 0
HELD_OUT_SHARE = 0.3
# Inverse regularisation strength; the best of 0.1 to 10 in 5-fold cross-validation on the training part.
C = 0.3


def build_graph(weights: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    """features [batch, 30] -> Gemm -> Softmax -> scores [batch, 2]."""
    inputs, classes = weights.shape
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
        ],
        "breast-cancer",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", inputs])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", classes])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    data = load_breast_cancer()
    train, held_out = train_test_split(
        np.arange(len(data.target)), test_size=HELD_OUT_SHARE, stratify=data.target, random_state=SEED
    )
    held_out.sort()

    scaler = StandardScaler().fit(data.data[train])
    regression = LogisticRegression(C=C, max_iter=5000).fit(scaler.transform(data.data[train]), data.target[train])
    # w·(x - mean)/scale + b  =  (w/scale)·x + (b - (w/scale)·mean)
    weights = (regression.coef_ / scaler.scale_).T
    bias = regression.intercept_ - scaler.mean_ @ weights
    # Two classes have one logit z; softmax over [-z/2, z/2] gives the same probabilities.
    weights = np.hstack([-weights / 2, weights / 2])
    bias = np.concatenate([-bias / 2, bias / 2])

    path = HERE / "1" / "model.onnx"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(build_graph(weights, bias).SerializeToString())

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs, labels = data.data[held_out], data.target[held_out]
    (scores,) = session.run(["scores"], {"features": inputs.astype(np.float32)})
    expected = regression.predict_proba(scaler.transform(inputs))
    assert np.abs(scores - expected).max() < 1e-5, "the ONNX file must answer as scikit-learn does"
    hits = scores.argmax(axis=1) == labels

    content = {"correct": int(hits.sum()), "rows": held_out.tolist(), "labels": labels.tolist(), "inputs": inputs.tolist()}
    (HERE / "heldout.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")

    # One request body for each class: its first held-out row that the model gets right.
    (HERE / "samples").mkdir(exist_ok=True)
    for label, name in enumerate(data.target_names):
        first = int(np.flatnonzero(hits & (labels == label))[0])
        body = {"model_name": "breast-cancer", "features": inputs[first].tolist()}
        (HERE / "samples" / f"{name}.json").write_text(json.dumps(body) + "\n")

    missed = int((~hits & (labels == 0)).sum())
    print(
        f"breast-cancer: {hits.sum()} of {len(hits)} held-out rows right = {hits.mean():.1%} "
        f"({missed} of {(labels == 0).sum()} malignant rows called benign), {path.stat().st_size} bytes"
    )


if __name__ == "__main__":
    # One thread: sums are made in one order, so every run on one kind of processor gives the same bytes.
    with threadpool_limits(1):
        main()
