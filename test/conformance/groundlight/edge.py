"""Drives an edge endpoint with the groundlight client and prints each call with what came of it, as rows of a table.

    python edge.py --endpoint http://127.0.0.1:30101 --phase online|offline --samples ../../../models/digits/samples

Phases: with the cloud, and without it. The detectors are those over the model `digits`. The exit code is the number of
calls that did not end as expected.
"""

import argparse
import logging
import pathlib
import tempfile

import groundlight
from groundlight import ExperimentalApi
from groundlight.edge import EdgeEndpointConfig

TOKEN = "api_recorded_client_0001"
WHICH_DIGIT = "det_WhichDigitIsThis00000000000"
IS_SEVEN = "det_IsThisASeven000000000000000"
CLOUD_ONLY = "det_3CloudOnlyDetector000000001"


def shown(value):
    """What a person wants to know of an answer."""
    if hasattr(value, "done_processing"):
        result = value.result
        if result is None:
            return "no result yet"
        said = getattr(result, "label", None)
        said = getattr(said, "value", said)
        where = "from the edge" if result.from_edge else "from the cloud"
        done = "" if value.done_processing or not result.from_edge else ", a better answer may come"
        sure = "sure" if result.confidence is not None and result.confidence >= 0.9 else "unsure"
        return f"{said} ({type(result).__name__}), {sure}, {where}{done}"
    if hasattr(value, "mode_configuration"):
        return f"{value.id}: {value.query}"
    if hasattr(value, "results"):
        return f"{len(value.results)} of {value.count}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, EdgeEndpointConfig):
        return f"{len(value.detectors)} detectors, policies " + ", ".join(sorted(value.edge_inference_configs))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    return "done" if value is None or isinstance(value, ExperimentalApi) else str(value)


class Transcript:
    """Calls and their answers."""

    def __init__(self):
        self.failed = 0

    def call(self, name, act, raises="", expect=""):
        try:
            result = act()
            text, ended = shown(result), ""
        except Exception as error:  # the class is what is checked
            result, ended = None, type(error).__name__
            text = f"{ended}: {str(getattr(error, 'body', None) or error).strip().replace(chr(10), ' ')[:160]}"
        good = ended == raises and expect in text
        self.failed += not good
        print(f"| `{name}` | {text} |" + ("" if good else f" FAIL, expected {raises or expect or 'an answer'}"))
        return result


def online(edge, samples, connect):
    call = edge.call
    gl = call("Groundlight(endpoint=…)", connect)
    call("gl.whoami()", gl.whoami, expect="user@example.com")
    digit = call("gl.get_detector(which_digit)", lambda: gl.get_detector(WHICH_DIGIT), expect="Which digit")
    seven = call("gl.get_detector(is_seven)", lambda: gl.get_detector(IS_SEVEN), expect="Is this a seven?")
    call("gl.list_detectors()", gl.list_detectors)
    submit = gl.submit_image_query
    first = call("gl.submit_image_query(which_digit, 7.png, wait=0)", lambda: submit(digit, samples[7], wait=0), expect="7 (MultiC")
    call("gl.submit_image_query(is_seven, 7.png, wait=0)", lambda: submit(seven, samples[7], wait=0), expect="YES (Binary")
    call("gl.submit_image_query(is_seven, 1.png, wait=10)", lambda: submit(seven, samples[1], wait=10), expect="NO (Binary")
    everything = dict(
        wait=0,
        patience_time=12.5,
        confidence_threshold=0.7,
        human_review="NEVER",
        inspection_id="inspection-1",
        metadata={"camera": "north"},
        image_query_id="iq_2abcdefghijklmnopqrstuvwxyz",
    )
    call("gl.submit_image_query(…, every parameter)", lambda: submit(digit, samples[3], **everything), expect="3 (MultiC")
    call("gl.ask_ml(which_digit, 4.png)", lambda: gl.ask_ml(digit, samples[4]), expect="4 (MultiC")
    call("gl.ask_confident(which_digit, 5.png)", lambda: gl.ask_confident(digit, samples[5], wait=10), expect="5 (MultiC")
    unsure = dict(confidence_threshold=1.0, wait=0)
    call("gl.submit_image_query(which_digit, 8.png, confidence_threshold=1.0)", lambda: submit(digit, samples[8], **unsure), expect="from the cloud")
    later = call("gl.ask_async(which_digit, 2.png)", lambda: gl.ask_async(digit, samples[2]), expect="no result yet")
    call("gl.wait_for_confident_result(that, 0.9)", lambda: gl.wait_for_confident_result(later, 0.9, timeout_sec=10), expect="2 (MultiC")
    call("gl.submit_image_query(…, human_review='ALWAYS')", lambda: submit(digit, samples[6], wait=0, human_review="ALWAYS"), expect="from the cloud")
    call("gl.submit_image_query(a detector of the cloud alone)", lambda: submit(CLOUD_ONLY, samples[6], wait=0), expect="from the cloud")
    call("gl.get_image_query(the first)", lambda: gl.get_image_query(first.id), expect="7 (MultiC")
    call("gl.list_image_queries()", gl.list_image_queries)
    call("gl.get_image(the first)", lambda: gl.get_image(first.id).read(), expect="bytes")
    call("gl.add_label(the first, '1')", lambda: gl.add_label(first, "1"))
    call("gl.get_image_query(the first)", lambda: gl.get_image_query(first.id), expect="1 (MultiC")
    call("gl.add_label(the first, 'eleven')", lambda: gl.add_label(first, "eleven"), raises="ApiException")
    call("gl.create_binary_detector('door', …)", lambda: gl.create_binary_detector("door", "Is the door open?"))
    edge_calls(edge, gl)
    call("gl.get_detector(one that is not there)", lambda: gl.get_detector("det_" + "0" * 27), raises="NotFoundError")
    call("gl.get_image_query(one that is not there)", lambda: gl.get_image_query("iq_" + "0" * 27), raises="NotFoundException")
    call("gl.submit_image_query(which_digit, no picture)", lambda: submit(digit, b"\xff\xd8\xff" + b"no" * 50, wait=0), raises="ApiException")


def edge_calls(edge, gl):
    call = edge.call
    call("gl.edge.get_upstream_endpoint()", gl.edge.get_upstream_endpoint, expect="http")
    call("gl.edge.get_detector_readiness()", gl.edge.get_detector_readiness, expect="True")
    call("gl.edge.get_config()", gl.edge.get_config)
    config = EdgeEndpointConfig()
    config.add_detector(WHICH_DIGIT, groundlight.edge.EDGE_ANSWERS_WITH_ESCALATION)
    config.add_detector(IS_SEVEN, groundlight.edge.NO_CLOUD)
    call("gl.edge.set_config(…)", lambda: gl.edge.set_config(config, timeout_sec=10))


def offline(edge, samples, connect):
    call = edge.call
    gl = call("Groundlight(endpoint=…)", connect)
    call("gl.whoami()", gl.whoami, expect="@")
    digit = call("gl.get_detector(which_digit)", lambda: gl.get_detector(WHICH_DIGIT), expect="Which digit")
    call("gl.list_detectors()", gl.list_detectors)
    submit = gl.submit_image_query
    call("gl.submit_image_query(which_digit, 7.png, wait=0)", lambda: submit(digit, samples[7], wait=0), expect="7 (MultiC")
    unsure = dict(confidence_threshold=1.0, wait=0)
    first = call("gl.submit_image_query(which_digit, 8.png, confidence_threshold=1.0)", lambda: submit(digit, samples[8], **unsure), expect="8 (MultiC")
    call("gl.get_image_query(that)", lambda: gl.get_image_query(first.id), expect="from the edge")
    call("gl.add_label(that, '8')", lambda: gl.add_label(first, "8"))
    later = call("gl.ask_async(which_digit, 2.png)", lambda: gl.ask_async(digit, samples[2]), expect="no result yet")
    call("gl.wait_for_confident_result(that, 0.9)", lambda: gl.wait_for_confident_result(later, 0.9, timeout_sec=10), expect="2 (MultiC")
    call("gl.submit_image_query(a detector of the cloud alone)", lambda: submit(CLOUD_ONLY, samples[6], wait=0), expect="no result yet")
    call("gl.edge.get_detector_readiness()", gl.edge.get_detector_readiness, expect="True")
    call("gl.get_detector(one that is not there)", lambda: gl.get_detector("det_" + "0" * 27), raises="InternalApiError")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--phase", choices=["online", "offline"], required=True)
    parser.add_argument("--samples", type=pathlib.Path, required=True)
    options = parser.parse_args()
    logging.getLogger("groundlight.sdk").setLevel(logging.CRITICAL)
    samples = [(options.samples / f"{digit}.png").read_bytes() for digit in range(10)]
    edge = Transcript()
    with tempfile.TemporaryDirectory() as token_dir:

        def connect():
            return ExperimentalApi(endpoint=options.endpoint, api_token=TOKEN, token_dir=token_dir)

        {"online": online, "offline": offline}[options.phase](edge, samples, connect)
    return edge.failed


if __name__ == "__main__":
    raise SystemExit(main())
