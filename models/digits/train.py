"""Recreates the digits model: 1/model.onnx, heldout.json, heldout/*.png and samples/*.png.

A network of two hidden layers (64 -> 128 -> 64 -> 10), trained on the training part
and on copies of it that are slightly turned, scaled and shifted.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
SEED = 0
HELD_OUT_SHARE = 0.3
WHITE = 16  # the brightest pixel value in the data set; 0 is background
# Layer sizes, COPIES and ALPHA were chosen by 4-fold cross-validation on the training part.
HIDDEN_LAYERS = (128, 64)
COPIES = 19
ALPHA = 1e-3
SAMPLE_SIDE = 128


def distort(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The 8x8 image turned by up to 12 degrees, scaled by up to 10 % and shifted by up to 0.6 pixels."""
    angle = np.deg2rad(random.uniform(-12, 12))
    scale = random.uniform(0.9, 1.1)
    shift = random.uniform(-0.6, 0.6, 2)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    matrix = np.array([[cos, -sin], [sin, cos]])
    centre = np.array([3.5, 3.5])
    return ndimage.affine_transform(image, matrix, offset=centre - matrix @ (centre + shift), order=1)


def augment(pixels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows themselves, then COPIES distorted copies of each."""
    random = np.random.default_rng(SEED)
    copies = [distort(row.reshape(8, 8), random).ravel() for _ in range(COPIES) for row in pixels]
    return np.vstack([pixels, *copies]), np.tile(labels, COPIES + 1)


def build_graph(layers: list[tuple[np.ndarray, np.ndarray]]) -> onnx.ModelProto:
    """pixels [batch, 64] -> Gemm, Relu, Gemm, Relu, Gemm -> Softmax -> scores [batch, 10]."""
    nodes, initializers, current = [], [], "pixels"
    for index, (weights, bias) in enumerate(layers):
        names = [f"weights{index}", f"bias{index}"]
        initializers += [
            numpy_helper.from_array(array.astype(np.float32), name) for array, name in zip((weights, bias), names)
        ]
        nodes.append(helper.make_node("Gemm", [current, *names], [f"sum{index}"]))
        current = f"sum{index}"
        if index < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [current], [f"hidden{index}"]))
            current = f"hidden{index}"
    nodes.append(helper.make_node("Softmax", [current], ["scores"], axis=1))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", layers[0][0].shape[0]])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", layers[-1][0].shape[1]])],
        initializers,
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    onnx.checker.check_model(model, full_check=True)
    return model


def to_image(row: np.ndarray) -> Image.Image:
    """The row as an 8x8 greyscale picture: 0..16 becomes 0..255."""
    return Image.fromarray(np.round(row.reshape(8, 8) * 255 / WHITE).astype(np.uint8))


def write_pictures(held_out: np.ndarray, inputs: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> None:
    """heldout/: each held-out row, named by its row and label. samples/: of each digit the surest one, enlarged."""
    for folder in ("heldout", "samples"):
        (HERE / folder).mkdir(exist_ok=True)
        for old in (HERE / folder).glob("*.png"):
            old.unlink()
    for row, pixels, label in zip(held_out, inputs, labels):
        to_image(pixels).save(HERE / "heldout" / f"{row:04d}-{label}.png", optimize=True)
    for label in range(10):
        surest = int(np.argmax(np.where(labels == label, scores[:, label], -1)))
        big = to_image(inputs[surest]).resize((SAMPLE_SIDE, SAMPLE_SIDE), Image.Resampling.BICUBIC)
        big.save(HERE / "samples" / f"{label}.png", optimize=True)


def main() -> None:
    data = load_digits()
    train, held_out = train_test_split(
        np.arange(len(data.target)), test_size=HELD_OUT_SHARE, stratify=data.target, random_state=SEED
    )
    held_out.sort()

    network = MLPClassifier(
        HIDDEN_LAYERS, alpha=ALPHA, learning_rate_init=2e-3, batch_size=128, max_iter=20, random_state=SEED
    )
    network.fit(*augment(data.data[train] / WHITE, data.target[train]))
    layers = list(zip(network.coefs_, network.intercepts_))
    # The division by WHITE goes into the first layer: the model takes 0..16.
    layers[0] = (layers[0][0] / WHITE, layers[0][1])

    path = HERE / "1" / "model.onnx"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(build_graph(layers).SerializeToString())

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs, labels = data.data[held_out].astype(int), data.target[held_out]
    (scores,) = session.run(["scores"], {"pixels": inputs.astype(np.float32)})
    expected = network.predict_proba(inputs / WHITE)
    assert np.abs(scores - expected).max() < 1e-5, "the ONNX file must answer as scikit-learn does"
    hits = scores.argmax(axis=1) == labels

    content = {"correct": int(hits.sum()), "rows": held_out.tolist(), "labels": labels.tolist(), "inputs": inputs.tolist()}
    (HERE / "heldout.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
    write_pictures(held_out, inputs, labels, scores)
    print(f"digits: {hits.sum()} of {len(hits)} held-out rows right = {hits.mean():.1%}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    # The number of passes over the data is fixed, so the solver's warning that it could go on says nothing.
    warnings.simplefilter("ignore", ConvergenceWarning)
    # One thread: sums are made in one order, so every run on one kind of processor gives the same bytes.
    with threadpool_limits(1):
        main()
