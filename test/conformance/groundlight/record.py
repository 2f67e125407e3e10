"""Drives a server with the groundlight client and prints PASS or FAIL for each step.

    python record.py --endpoint http://127.0.0.1:9000 [--record fixtures]

The server is `spillway simulate --face groundlight --cloud fixtures/cloud.json`: what the client sends is read from
its control routes. The exit code is the number of failed steps. With --record it is kept in steps.json, with names in
braces where a token, an id or this machine's name stood.
"""

import argparse
import json
import logging
import pathlib
import re
import tempfile
import urllib.request

import groundlight
from groundlight import ExperimentalApi
from groundlight.edge import EdgeEndpointConfig
from PIL import Image

FOLDER = pathlib.Path(__file__).parent / "fixtures"
TOKEN = json.loads((FOLDER / "cloud.json").read_text())["tokens"][0]
PICTURE = (FOLDER / "picture.jpg").read_bytes()
EDGE_DETECTOR = json.loads((FOLDER / "cloud.json").read_text())["detectors"][0]["id"]
DROPPED = {"host", "content-length", "connection", "accept-encoding"}


class Recorder:
    """Runs steps and keeps what each of them sent."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.steps = []
        self.names = {TOKEN[:20]: "{snippet}", EDGE_DETECTOR: "{edge_detector}"}
        self.failed = 0

    def control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.endpoint + "/simulator" + path, data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def step(self, name, act, raises="", gives="", faults=()):
        """`raises`: the class of the exception that is expected. `gives`: what the id of the result is called."""
        self.control("DELETE", "/requests")
        self.control("POST", "/faults", list(faults))
        result, raised = None, ""
        try:
            result = act()
        except Exception as error:  # the class is what is checked
            raised = type(error).__name__
            detail = str(error)[:300]
        self.control("DELETE", "/faults")
        passed = raised == raises
        self.failed += not passed
        print("PASS" if passed else "FAIL", name, "" if passed else f"raised {raised or 'nothing'}: {detail}")
        if gives and result is not None:
            self.names[result.id] = "{%s}" % gives
        step = {"name": name}
        if raises:
            step["raises"] = raises
        if gives:
            step["gives"] = gives
        if faults:
            step["faults"] = list(faults)
        step["requests"] = self.requests()
        self.steps.append(step)
        return result

    def requests(self):
        """What came since the step began; the same request again and again is kept once."""
        kept, ids = [], {}
        for record in self.control("GET", "/requests"):
            headers = {name: value for name, value in record["headers"].items() if name not in DROPPED}
            for name in ("x-api-token", "X-API-Token"):
                if name in headers:
                    headers[name] = "{token}" if headers[name] == TOKEN else "{other_token}"
            if "x-request-id" in headers:
                headers["x-request-id"] = ids.setdefault(headers["x-request-id"], "{request_%d}" % (len(ids) + 1))
            agent = headers.get("user-agent", "")
            headers["user-agent"] = re.sub(r"^(Groundlight-Python-SDK/[^/]+)/.*", r"\1/{platform}", agent)
            sent = {"method": record["method"], "path": record["path"], "headers": headers}
            if headers.get("content-type", "").startswith("image/"):
                sent["body"] = {"picture": record["bodyBytes"]}
            elif record["body"]:
                sent["body"] = {"json": json.loads(record["body"])}
            sent["status"] = record["status"]
            if kept and is_same(kept[-1], sent):
                kept[-1]["repeats"] = True
            else:
                kept.append(sent)
        return kept

    def write(self, folder):
        text = json.dumps({"client": version(), "steps": self.steps}, indent=2)
        for value, name in self.names.items():
            text = text.replace(value, name)
        (folder / "steps.json").write_text(text + "\n")


def is_same(one, other):
    def bare(each):
        headers = {name: value for name, value in each["headers"].items() if name != "x-request-id"}
        return {**each, "headers": headers, "repeats": None}

    return bare(one) == bare(other) and one["headers"].get("x-request-id") != other["headers"].get("x-request-id")


def version():
    from importlib.metadata import version as of

    return "groundlight " + of("groundlight")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--record", type=pathlib.Path)
    options = parser.parse_args()
    logging.getLogger("groundlight.sdk").setLevel(logging.CRITICAL)
    recorder = Recorder(options.endpoint)
    with tempfile.TemporaryDirectory() as token_dir:
        drive(recorder, options.endpoint, token_dir)
    if options.record:
        recorder.write(options.record)
    print(f"{len(recorder.steps)} steps with {version()}, {recorder.failed} failed")
    return recorder.failed


def drive(recorder, endpoint, token_dir):
    step = recorder.step

    def connect(token=TOKEN, **more):
        return ExperimentalApi(endpoint=endpoint, api_token=token, token_dir=token_dir, **more)

    gl = step("construct", connect)
    step("construct without token rotation", lambda: connect(enable_token_rotation=False))
    step("construct with a token that is unknown", lambda: connect("api_nobody_knows_this_token"), "ApiTokenError")
    step("construct while the cloud is down", connect, "ApiTokenError", faults=[{"status": 503}])
    step("me", gl.me)
    step("whoami", gl.whoami)
    detectors = detector_steps(recorder, gl)
    query_steps(recorder, gl, detectors)
    trouble_steps(recorder, gl, detectors["binary"])
    edge_steps(recorder, gl)
    step("delete_detector", lambda: gl.delete_detector(detectors["text"]))
    step("reset_detector", lambda: gl.reset_detector(detectors["count"]))
    gl.close()


def detector_steps(recorder, gl):
    step = recorder.step
    boxes = {"name": "dents", "query": "Where are dents?", "class_name": "dent", "max_num_bboxes": 5}
    made = {
        "binary": step(
            "create_binary_detector",
            lambda: gl.create_binary_detector(
                "door", "Is the door open?", confidence_threshold=0.8, patience_time=20, metadata={"line": 1}
            ),
            gives="binary_detector",
        ),
        "count": step(
            "create_counting_detector",
            lambda: gl.create_counting_detector("caps", "How many caps?", "cap", max_count=9),
            gives="count_detector",
        ),
        "multi": step(
            "create_multiclass_detector",
            lambda: gl.create_multiclass_detector("colour", "Which colour?", class_names=["red", "green", "other"]),
            gives="multi_detector",
        ),
        "boxes": step(
            "create_bounding_box_detector",
            lambda: gl.create_bounding_box_detector(**boxes),
            gives="box_detector",
        ),
        "text": step(
            "create_text_recognition_detector",
            lambda: gl.create_text_recognition_detector("plate", "What is on the plate?"),
            gives="text_detector",
        ),
    }
    binary = made["binary"]
    step("get_detector", lambda: gl.get_detector(binary.id))
    step("get_detector that is not there", lambda: gl.get_detector("det_" + "0" * 27), "NotFoundError")
    step("get_detector_by_name", lambda: gl.get_detector_by_name("door"))
    step("get_detector_by_name that is not there", lambda: gl.get_detector_by_name("nobody"), "NotFoundError")
    step("get_or_create_detector", lambda: gl.get_or_create_detector("door", "Is the door open?"))
    step("list_detectors", lambda: gl.list_detectors(page=1, page_size=5))
    step("update_detector_confidence_threshold", lambda: gl.update_detector_confidence_threshold(binary, 0.75))
    step("update_detector_name", lambda: gl.update_detector_name(binary, "front door"))
    step("update_detector_status", lambda: gl.update_detector_status(binary, enabled=True))
    step("update_detector_escalation_type", lambda: gl.update_detector_escalation_type(binary, "NO_HUMAN_LABELING"))
    step("create_detector_group", lambda: gl.create_detector_group("hall 1"))
    step("list_detector_groups", gl.list_detector_groups)
    return made


def query_steps(recorder, gl, detectors):
    step = recorder.step
    binary = detectors["binary"]
    everything = dict(
        wait=0,
        patience_time=12.5,
        confidence_threshold=0.7,
        human_review="NEVER",
        inspection_id="inspection-1",
        metadata={"camera": "north", "ümlaut": True},
        image_query_id="iq_2abcdefghijklmnopqrstuvwxyz",
    )
    step("submit_image_query with everything", lambda: gl.submit_image_query(binary, PICTURE, **everything))
    query = step(
        "submit_image_query and wait", lambda: gl.submit_image_query(binary.id, PICTURE, wait=10), gives="first_query"
    )
    step(
        "submit_image_query of a large picture",
        lambda: gl.submit_image_query(binary, noise(), wait=0),
        gives="large_query",
    )
    unanswered = step(
        "submit_image_query with want_async",
        lambda: gl.submit_image_query(binary, PICTURE, wait=0, want_async=True),
        gives="async_query",
    )
    step("wait_for_confident_result", lambda: gl.wait_for_confident_result(unanswered, 0.9, timeout_sec=10))
    step("ask_ml", lambda: gl.ask_ml(binary, PICTURE, metadata={"camera": "south"}), gives="ml_query")
    step("ask_confident", lambda: gl.ask_confident(binary, PICTURE, 0.9, wait=10), gives="confident_query")
    step("ask_async", lambda: gl.ask_async(binary, PICTURE, human_review="ALWAYS"), gives="ask_async_query")
    step("get_image_query", lambda: gl.get_image_query(query.id))
    step("get_image_query that is not there", lambda: gl.get_image_query("iq_" + "0" * 27), "NotFoundException")
    step("list_image_queries", lambda: gl.list_image_queries(page=1, page_size=3))
    step("list_image_queries of a detector", lambda: gl.list_image_queries(detector_id=binary.id))
    step("get_image", lambda: gl.get_image(query.id))
    step("add_label", lambda: gl.add_label(query, "YES"))
    for mode, label in (("count", 3), ("multi", "green"), ("text", "AB 12")):
        other = step(
            f"ask_ml of a {mode} detector", lambda: gl.ask_ml(detectors[mode], PICTURE), gives=f"{mode}_query"
        )
        step(f"add_label of a {mode} detector", lambda: gl.add_label(other, label))
    boxed = step("ask_ml of a box detector", lambda: gl.ask_ml(detectors["boxes"], PICTURE), gives="box_query")
    roi = gl.create_roi("dent", (0.1, 0.2), (0.4, 0.6))
    step("add_label with boxes", lambda: gl.add_label(boxed, "BOUNDING_BOX", rois=[roi]))
    step("add_label that is none", lambda: gl.add_label(query, "PERHAPS"), "ApiException")
    step("get_month_to_date_usage", gl.get_month_to_date_usage)


def trouble_steps(recorder, gl, binary):
    step = recorder.step

    def submit():
        return gl.submit_image_query(binary, PICTURE, wait=0)

    step("submit repeated after a 503", submit, gives="repeated_query", faults=[{"status": 503, "times": 1}])
    step("submit that meets a proxy's page", submit, "InternalApiError", faults=[{"status": 502, "html": True}])
    step("submit that is throttled", submit, "ApiException", faults=[{"status": 429, "retryAfter": 3}])
    step("submit that is forbidden", submit, "ForbiddenException", faults=[{"status": 403}])


def edge_steps(recorder, gl):
    step = recorder.step
    config = EdgeEndpointConfig()
    config.add_detector(EDGE_DETECTOR, groundlight.edge.NO_CLOUD)
    missing = "EdgeNotAvailableError"
    step("edge.get_config", gl.edge.get_config, missing)
    step("edge.set_config", lambda: gl.edge.set_config(config, timeout_sec=5), missing)
    step("edge.get_detector_readiness", gl.edge.get_detector_readiness, missing)
    step("edge.get_upstream_endpoint", gl.edge.get_upstream_endpoint, missing)
    step("fetch model urls", lambda: gl._download_mlbinary_url(EDGE_DETECTOR))


def noise():
    """A picture of more than 256,000 bytes, the same in every run."""
    pixels = bytearray()
    state = 1
    for _ in range(900 * 900 * 3):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        pixels.append(state >> 16 & 0xFF)
    return Image.frombytes("RGB", (900, 900), bytes(pixels))


if __name__ == "__main__":
    raise SystemExit(main())
