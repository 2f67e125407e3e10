"""A model server in one file: a scikit-learn model behind KServe v2 over gRPC, for a pool of Spillway.

pip install grpcio-tools scikit-learn && python worker.py 50061
"""

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

# Messages and service classes, made from the .proto file at start. In another place: copy the file beside this one.
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "proto"))
pb, services = grpc.protos_and_services("kserve.proto")

iris = load_iris()
model = LogisticRegression(max_iter=1000).fit(iris.data, iris.target)

# What Spillway cannot know by itself: rows in one call, and what inputs and outputs mean.
TASK = {
    "task": "classify",
    "labels": list(iris.target_names),
    "outputs": {"scores": "scores"},
    "input": {"features": "features"},
}
PARAMETERS = {
    "max_batch": pb.InferParameter(int64_param=256),
    "task": pb.InferParameter(string_param=json.dumps(TASK)),
}


class Worker(services.GRPCInferenceServiceServicer):
    def ServerReady(self, request, context):
        return pb.ServerReadyResponse(ready=True)

    def RepositoryIndex(self, request, context):
        entry = pb.RepositoryIndexResponse.ModelIndex(name="py-iris", version="1", state="READY")
        return pb.RepositoryIndexResponse(models=[entry])

    def ModelMetadata(self, request, context):
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name="py-iris",
            versions=["1"],
            platform="sklearn",
            inputs=[tensor(name="features", datatype="FP32", shape=[-1, 4])],
            outputs=[tensor(name="scores", datatype="FP32", shape=[-1, 3])],
            parameters=PARAMETERS,
        )

    def ModelInfer(self, request, context):
        shape = list(request.inputs[0].shape)
        if shape[1:] != [4] or len(request.raw_input_contents) != 1:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"expected features [rows,4] in raw form, got {shape}")
        rows = np.frombuffer(request.raw_input_contents[0], dtype="<f4").reshape(shape)
        scores = model.predict_proba(rows).astype("<f4")
        output = pb.ModelInferResponse.InferOutputTensor(name="scores", datatype="FP32", shape=scores.shape)
        return pb.ModelInferResponse(
            model_name="py-iris", model_version="1", outputs=[output], raw_output_contents=[scores.tobytes()]
        )


server = grpc.server(ThreadPoolExecutor(max_workers=4))
services.add_GRPCInferenceServiceServicer_to_server(Worker(), server)
port = server.add_insecure_port(f"127.0.0.1:{sys.argv[1] if len(sys.argv) > 1 else 50061}")
# SIGTERM: no new calls, five seconds for those that run.
signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=5))
server.start()
print(f"py-iris at grpc://127.0.0.1:{port}", flush=True)
server.wait_for_termination()
