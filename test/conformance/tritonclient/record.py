"""Drives both doors of a gateway with NVIDIA's tritonclient and prints PASS or FAIL for each step.

    python record.py --http 127.0.0.1:30080 --grpc 127.0.0.1:50051 [--record fixtures]

The gateway serves the models of this repository: iris, digits, sentiment. The exit code is the
number of failed steps. With --record, what the client sent is kept: HTTP requests as they went over
the socket, gRPC requests as serialized messages, and steps.json, which says how each was answered.
"""

import argparse
import asyncio
import json
import pathlib
import queue
import re
import socket
import sys
import threading
import urllib.error
import urllib.request

import grpc
import numpy as np
import tritonclient.grpc as tgrpc
import tritonclient.grpc.aio as tgrpc_aio
import tritonclient.http as thttp
import tritonclient.http.aio as thttp_aio
from tritonclient.utils import InferenceServerException

IRIS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=np.float32)
TEXTS = np.array([b"I love it", b"I hate it"], dtype=np.object_)


class TappedProxy:
    """Copies bytes between the client and the gateway and keeps what goes up and the head of what comes down."""

    def __init__(self, target):
        host, port = target.split(":")
        self.target = (host, int(port))
        self.sent = b""
        self.answered = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(self.target)
            threading.Thread(target=self._copy, args=(client, server, "sent"), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, "answered"), daemon=True).start()

    def _copy(self, source, sink, name):
        try:
            while data := source.recv(65536):
                setattr(self, name, getattr(self, name) + data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def take(self):
        sent, answered = self.sent, self.answered
        self.sent = self.answered = b""
        return sent, answered


class MessageTap(
    grpc.UnaryUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Keeps the serialized request messages of every gRPC call, and the status of the unary ones."""

    def __init__(self):
        self.messages = []

    def intercept_unary_unary(self, continuation, details, request):
        entry = {"method": details.method, "message": request.SerializeToString()}
        self.messages.append(entry)
        call = continuation(details, request)
        call.add_done_callback(lambda done: entry.update(code=done.code().value[0]))
        return call

    def intercept_stream_stream(self, continuation, details, requests):
        def tapped():
            for request in requests:
                self.messages.append({"method": details.method, "message": request.SerializeToString(), "code": 0})
                yield request

        return continuation(details, tapped())

    def take(self):
        messages, self.messages = self.messages, []
        return messages


class Steps:
    """Runs steps, prints their outcome, keeps what they sent."""

    def __init__(self, tap, folder):
        self.tap = tap
        self.folder = folder
        self.failed = 0
        self.kept = []

    def run(self, name, action):
        try:
            action()
            print("PASS", name)
        except Exception as error:  # one broken step must not hide the others
            self.failed += 1
            print("FAIL", name, "-", type(error).__name__, error)
        if self.folder is not None:
            self.keep(name)

    def keep(self, name):
        raise NotImplementedError


class HttpSteps(Steps):
    def keep(self, name):
        sent, answered = self.tap.take()
        (self.folder / (name + ".http")).write_bytes(sent)
        statuses = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3})", answered)]
        self.kept.append({"door": "http", "name": name, "statuses": statuses})


class GrpcSteps(Steps):
    def keep(self, name):
        calls = []
        for index, entry in enumerate(self.tap.take()):
            file = "%s%s.bin" % (name, "-%d" % index if index else "")
            (self.folder / file).write_bytes(entry["message"])
            calls.append({"method": entry["method"], "file": file, "code": entry["code"]})
        self.kept.append({"door": "grpc", "name": name, "calls": calls})


def check(condition, text="not what was expected"):
    if not condition:
        raise AssertionError(text)


def refused(action, pattern):
    """The call fails with a text that names what was expected."""
    try:
        action()
    except InferenceServerException as error:
        check(re.search(pattern, error.message()), "text: %s" % error.message())
        return error
    raise AssertionError("was not refused")


def iris_input(module, binary=True):
    tensor = module.InferInput("features", list(IRIS.shape), "FP32")
    if module is thttp:
        tensor.set_data_from_numpy(IRIS, binary_data=binary)
    else:
        tensor.set_data_from_numpy(IRIS)
    return tensor


def text_input(module, binary=True):
    tensor = module.InferInput("prompt", [2], "BYTES")
    if module is thttp:
        tensor.set_data_from_numpy(TEXTS, binary_data=binary)
    else:
        tensor.set_data_from_numpy(TEXTS)
    return tensor


def check_iris(result):
    scores = result.as_numpy("scores")
    check(scores.shape == (2, 3), "shape %s" % (scores.shape,))
    check(list(scores.argmax(axis=1)) == [0, 2], "classes %s" % scores)
    check(np.allclose(scores.sum(axis=1), 1, atol=1e-4), "sums %s" % scores)


def check_classes(result):
    values = result.as_numpy("scores")
    check(values.shape == (2, 2), "shape %s" % (values.shape,))
    best = values[0][0]
    best = best.decode() if isinstance(best, bytes) else best
    check(re.fullmatch(r"[\d.e-]+:0:setosa", best), best)


def http_steps(client, steps):
    def infer(**options):
        return client.infer("iris", options.pop("inputs", [iris_input(thttp)]), **options)

    wanted = thttp.InferRequestedOutput
    steps.run("http-live", lambda: check(client.is_server_live()))
    steps.run("http-ready", lambda: check(client.is_server_ready()))
    steps.run("http-model-ready", lambda: check(client.is_model_ready("iris")))
    steps.run("http-model-unknown", lambda: check(not client.is_model_ready("nope")))
    steps.run("http-server-metadata", lambda: check("binary_tensor_data" in client.get_server_metadata()["extensions"]))
    steps.run("http-model-metadata", lambda: check(client.get_model_metadata("iris")["inputs"][0]["shape"] == [-1, 4]))
    steps.run("http-model-config", lambda: check(client.get_model_config("iris")["input"][0]["dims"] == [4]))
    steps.run("http-infer-json", lambda: check_iris(infer(inputs=[iris_input(thttp, False)], outputs=[wanted("scores", binary_data=False)])))
    steps.run("http-infer-binary", lambda: check_iris(infer(outputs=[wanted("scores", binary_data=True)])))
    steps.run("http-infer-default", lambda: check_iris(infer()))
    steps.run("http-infer-mixed", lambda: check_iris(infer(outputs=[wanted("scores", binary_data=False)])))
    steps.run("http-infer-gzip", lambda: check_iris(infer(request_compression_algorithm="gzip", response_compression_algorithm="gzip")))
    steps.run("http-infer-deflate", lambda: check_iris(infer(request_compression_algorithm="deflate", response_compression_algorithm="deflate")))
    steps.run("http-infer-id", lambda: check(infer(request_id="my-id").get_response()["id"] == "my-id"))
    steps.run("http-infer-scheduled", lambda: check_iris(infer(priority=1, timeout=5_000_000)))
    steps.run("http-infer-version", lambda: check_iris(infer(model_version="1")))
    steps.run("http-classification", lambda: check_classes(infer(outputs=[wanted("scores", class_count=2)])))
    steps.run("http-classification-json", lambda: check_classes(infer(outputs=[wanted("scores", binary_data=False, class_count=2)])))
    for name, binary in (("http-bytes-binary", True), ("http-bytes-json", False)):
        steps.run(name, lambda: check(list(client.infer("sentiment", [text_input(thttp, binary)]).as_numpy("scores").argmax(axis=1)) == [1, 0]))
    steps.run("http-async", lambda: [check_iris(call.get_result()) for call in [client.async_infer("iris", [iris_input(thttp)]) for _ in range(3)]])
    steps.run("http-statistics", lambda: check(client.get_inference_statistics("iris")["model_stats"][0]["inference_count"] >= 2))
    steps.run("http-statistics-all", lambda: check(len(client.get_inference_statistics()["model_stats"]) >= 1))
    steps.run("http-index", lambda: check({"iris", "digits"} <= {entry["name"] for entry in client.get_model_repository_index()}))
    http_refusals(client, steps)
    steps.run("http-unload", lambda: (client.unload_model("digits"), check(not client.is_model_ready("digits"))))
    steps.run("http-load", lambda: (client.load_model("digits"), check(client.is_model_ready("digits"))))


def http_refusals(client, steps):
    narrow = thttp.InferInput("features", [1, 3], "FP32")
    narrow.set_data_from_numpy(IRIS[:1, :3])
    steps.run("http-wrong-shape", lambda: refused(lambda: client.infer("iris", [narrow]), r"\[1,3\].*\[-1,4\]"))
    wide = thttp.InferInput("features", [2, 4], "FP64")
    wide.set_data_from_numpy(IRIS.astype(np.float64))
    steps.run("http-wrong-datatype", lambda: refused(lambda: client.infer("iris", [wide]), "FP64.*expects FP32"))
    steps.run("http-unknown-output", lambda: refused(lambda: client.infer("iris", [iris_input(thttp)], outputs=[thttp.InferRequestedOutput("nope")]), "nope.*scores"))
    steps.run("http-unknown-model", lambda: refused(lambda: client.infer("nope", [iris_input(thttp)]), "nope"))
    steps.run("http-unknown-version", lambda: refused(lambda: client.infer("iris", [iris_input(thttp)], model_version="99"), "99"))
    steps.run("http-sequence", lambda: refused(lambda: client.infer("iris", [iris_input(thttp)], sequence_id=5, sequence_start=True), "[Ss]equence"))
    steps.run("http-load-unknown", lambda: refused(lambda: client.load_model("nope"), "nope"))
    steps.run("http-load-file", lambda: refused(lambda: client.load_model("iris", config="{}", files={"file:1/model.onnx": b"x"}), "repository"))


def http_raw_step(address, steps):
    """A raw request, which tritonclient has no call for."""

    def raw():
        request = urllib.request.Request(
            "http://%s/v2/models/iris/infer" % address,
            data=IRIS[0].tobytes(),
            headers={"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"},
        )
        with urllib.request.urlopen(request) as response:
            length = int(response.headers["Inference-Header-Content-Length"])
            body = response.read()
        check(json.loads(body[:length])["outputs"][0]["shape"] == [1, 3])
        check(np.frombuffer(body[length:], dtype=np.float32).argmax() == 0)

    steps.run("http-raw", raw)


def http_aio_step(address, steps):
    async def infer():
        async with thttp_aio.InferenceServerClient(address) as client:
            check_iris(await client.infer("iris", [iris_input(thttp)]))

    steps.run("http-aio", lambda: asyncio.run(infer()))


def grpc_steps(client, steps):
    def infer(**options):
        return client.infer("iris", options.pop("inputs", [iris_input(tgrpc)]), **options)

    wanted = tgrpc.InferRequestedOutput
    steps.run("grpc-live", lambda: check(client.is_server_live()))
    steps.run("grpc-ready", lambda: check(client.is_server_ready()))
    steps.run("grpc-model-ready", lambda: check(client.is_model_ready("iris")))
    steps.run("grpc-server-metadata", lambda: check(client.get_server_metadata().name == "spillway"))
    steps.run("grpc-model-metadata", lambda: check(list(client.get_model_metadata("iris").inputs[0].shape) == [-1, 4]))
    steps.run("grpc-model-config", lambda: check(list(client.get_model_config("iris").config.input[0].dims) == [4]))
    steps.run("grpc-infer", lambda: check_iris(infer()))
    steps.run("grpc-infer-output", lambda: check_iris(infer(outputs=[wanted("scores")])))
    steps.run("grpc-infer-gzip", lambda: check_iris(infer(compression_algorithm="gzip")))
    steps.run("grpc-infer-id", lambda: check(infer(request_id="my-id").get_response().id == "my-id"))
    steps.run("grpc-infer-scheduled", lambda: check_iris(infer(priority=1, timeout=5_000_000, client_timeout=10)))
    steps.run("grpc-infer-version", lambda: check_iris(infer(model_version="1")))
    steps.run("grpc-classification", lambda: check_classes(infer(outputs=[wanted("scores", class_count=2)])))
    steps.run("grpc-bytes", lambda: check(list(client.infer("sentiment", [text_input(tgrpc)]).as_numpy("scores").argmax(axis=1)) == [1, 0]))
    steps.run("grpc-async", lambda: grpc_async(client))
    steps.run("grpc-stream", lambda: grpc_stream(client))
    steps.run("grpc-statistics", lambda: check(client.get_inference_statistics("iris").model_stats[0].inference_count >= 2))
    steps.run("grpc-index", lambda: check({"iris", "digits"} <= {entry.name for entry in client.get_model_repository_index().models}))
    grpc_refusals(client, steps)
    steps.run("grpc-unload", lambda: (client.unload_model("digits"), check(not client.is_model_ready("digits"))))
    steps.run("grpc-load", lambda: (client.load_model("digits"), check(client.is_model_ready("digits"))))


def grpc_async(client):
    answers = queue.Queue()
    for _ in range(3):
        client.async_infer("iris", [iris_input(tgrpc)], callback=lambda result, error: answers.put((result, error)))
    for _ in range(3):
        result, error = answers.get(timeout=10)
        check(error is None, str(error))
        check_iris(result)


def grpc_stream(client):
    """Three good messages and a bad one between them: the stream goes on."""
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    narrow = tgrpc.InferInput("features", [1, 3], "FP32")
    narrow.set_data_from_numpy(IRIS[:1, :3])
    for number, inputs in enumerate([iris_input(tgrpc), narrow, iris_input(tgrpc), iris_input(tgrpc)]):
        client.async_stream_infer("iris", [inputs], request_id=str(number), enable_empty_final_response=True)
    seen = [answers.get(timeout=10) for _ in range(4)]
    client.stop_stream()
    errors = [error for _, error in seen if error is not None]
    check(len(errors) == 1 and "[-1,4]" in errors[0].message(), "errors %s" % errors)
    results = [result for result, error in seen if error is None]
    check(sorted(result.get_response().id for result in results) == ["0", "2", "3"])
    for result in results:
        check_iris(result)
        check(result.get_response().parameters["triton_final_response"].bool_param)


def grpc_refusals(client, steps):
    def status(pattern, code, action):
        check(code in refused(action, pattern).status(), "status")

    narrow = tgrpc.InferInput("features", [1, 3], "FP32")
    narrow.set_data_from_numpy(IRIS[:1, :3])
    steps.run("grpc-wrong-shape", lambda: status(r"\[1,3\].*\[-1,4\]", "INVALID_ARGUMENT", lambda: client.infer("iris", [narrow])))
    steps.run("grpc-unknown-model", lambda: status("nope", "NOT_FOUND", lambda: client.infer("nope", [iris_input(tgrpc)])))
    steps.run("grpc-load-unknown", lambda: refused(lambda: client.load_model("nope"), "nope"))
    steps.run("grpc-shared-memory", lambda: status("not offered", "UNIMPLEMENTED", client.get_system_shared_memory_status))
    steps.run("grpc-trace", lambda: status("not offered", "UNIMPLEMENTED", client.get_trace_settings))
    steps.run("grpc-log", lambda: status("not offered", "UNIMPLEMENTED", client.get_log_settings))


def grpc_aio_step(address, steps):
    async def infer():
        async with tgrpc_aio.InferenceServerClient(address) as client:
            check_iris(await client.infer("iris", [iris_input(tgrpc)]))

    steps.run("grpc-aio", lambda: asyncio.run(infer()))


def run_http(address, folder):
    tap = TappedProxy(address) if folder is not None else None
    target = address if tap is None else tap.address
    steps = HttpSteps(tap, folder)
    with thttp.InferenceServerClient(target, concurrency=1) as client:
        http_steps(client, steps)
    http_raw_step(target, steps)
    http_aio_step(target, steps)
    return steps


def run_grpc(address, folder):
    tap = MessageTap()
    plain_channel = grpc.insecure_channel
    if folder is not None:
        grpc.insecure_channel = lambda *args, **kwargs: grpc.intercept_channel(plain_channel(*args, **kwargs), tap)
    steps = GrpcSteps(tap, folder)
    with tgrpc.InferenceServerClient(address) as client:
        grpc_steps(client, steps)
    grpc.insecure_channel = plain_channel
    if folder is None:
        grpc_aio_step(address, steps)
    return steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", help="host:port of the HTTP door")
    parser.add_argument("--grpc", help="host:port of the gRPC door")
    parser.add_argument("--record", type=pathlib.Path, help="folder for what was sent")
    options = parser.parse_args()
    ran = []
    if options.http:
        ran.append(run_http(options.http, options.record))
    if options.grpc:
        ran.append(run_grpc(options.grpc, options.record))
    if options.record is not None:
        kept = [step for steps in ran for step in steps.kept]
        (options.record / "steps.json").write_text(json.dumps(kept, indent=1) + "\n")
    failed = sum(steps.failed for steps in ran)
    print("%d failed" % failed if failed else "all passed")
    sys.exit(min(failed, 100))


if __name__ == "__main__":
    main()
