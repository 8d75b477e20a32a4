"""What the services' own Python says of our requests. SONNETTE_REQUESTS is the file `run` makes.

Each check is also given something broken, and has to say so: a check that takes everything would prove nothing.
"""

import copy
import json
import os
import unittest

from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from google.apps.chat_v1 import Message
from google.protobuf.json_format import ParseError
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.attachments import BlockAttachment
from slack_sdk.models.blocks import Block
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

with open(os.environ["SONNETTE_REQUESTS"], encoding="utf-8") as lines:
    REQUESTS = [json.loads(line) for line in lines]


def of(name):
    """The requests of a format; there are some."""
    found = [one for one in REQUESTS if one["format"] == name]
    assert len(found) > 20, f"{len(found)} requests of {name}"
    return found


def body(request):
    return json.loads(request["body"])


class Peers(unittest.TestCase):
    def takes_all(self, requests, check):
        for request in requests:
            try:
                check(request)
            except Exception as error:
                what = " ".join(request[key] for key in ("format", "url", "kind", "words"))
                raise AssertionError(f"{what}: {error}") from error

    # ------------------------------------------------------------------------------------------------------ slack_sdk

    def slack(self, message):
        """Every block is known, within its limits, and all of it is understood."""
        attachments = message["attachments"]
        self.assertLessEqual(len(message["text"]), 40_000)
        self.assertLessEqual(len(attachments), 100)
        for blocks in [message["blocks"]] + [one["blocks"] for one in attachments]:
            self.assertTrue(1 <= len(blocks) <= 50)
            for block in blocks:
                parsed = Block.parse(block)
                self.assertIsNotNone(parsed, block)
                self.assertEqual(parsed.to_dict(), block)
        for one in attachments:
            whole = BlockAttachment(blocks=[Block.parse(block) for block in one["blocks"]], color=one["color"])
            whole.validate_json()

    def test_slack_sdk_takes_every_message(self):
        self.takes_all(of("slack"), lambda request: self.slack(body(request)))

    def test_slack_sdk_refuses_a_broken_message(self):
        good = body(of("slack")[0])
        self.slack(good)
        header = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
        fields = {"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}
        unknown = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}, "surprise": 1}
        for block in (header, section, fields, unknown, {"type": "heading"}):
            with self.assertRaises((SlackObjectFormationError, AssertionError), msg=block):
                self.slack({**good, "blocks": [block]})

    # ----------------------------------------------------------------------------------------------- google-apps-chat

    def chat(self, text):
        """The message as its service's schema reads it: fields, kinds and enumerations are all known."""
        message = Message.from_json(text, ignore_unknown_fields=False)
        self.assertLessEqual(len(text.encode()), 32_000)
        widgets = [widget for section in message.cards_v2[0].card.sections for widget in section.widgets]
        self.assertTrue(message.text and message.thread.thread_key and 1 <= len(widgets) <= 100)
        return message

    def test_google_apps_chat_reads_every_message(self):
        self.takes_all(of("google-chat"), lambda request: self.chat(request["body"]))

    def test_google_apps_chat_refuses_a_broken_message(self):
        good = body(of("google-chat")[0])
        self.chat(json.dumps(good))
        for change in (
            lambda card: card.update(surprise=1),
            lambda card: card["sections"][0].update(widgets=[{"decoratedTxt": {"text": "x"}}]),
            lambda card: card["sections"][0].update(widgets=[{"textParagraph": {"text": 1}}]),
            lambda card: card.update(displayStyle="SIDEWAYS"),
        ):
            broken = copy.deepcopy(good)
            change(broken["cardsV2"][0]["card"])
            with self.assertRaises(ParseError, msg=broken):
                self.chat(json.dumps(broken))

    # ---------------------------------------------------------------------------------------------------- cloudevents

    def cloudevent(self, request):
        event = from_http(HTTPMessage(headers=request["headers"], body=request["body"].encode()), JSONFormat())
        self.assertEqual(event.get_specversion(), "1.0")
        # What comes in binary mode without an id would be given one.
        self.assertTrue(event.get_id().startswith("evt_"))
        self.assertIsInstance(event.get_data(), dict)
        return event

    def test_the_sdk_of_cloudevents_reads_every_event(self):
        self.takes_all(of("cloudevents"), self.cloudevent)
        modes = {"ce-id" in request["headers"] for request in of("cloudevents")}
        self.assertEqual(modes, {True, False})

    def test_the_sdk_of_cloudevents_refuses_a_broken_event(self):
        good = [request for request in of("cloudevents") if "ce-id" not in request["headers"]][0]
        self.cloudevent(good)
        for change in ({"type": None}, {"source": ""}, {"owner_id": "x"}, {"time": "yesterday"}, {"specversion": "2.0"}):
            event = {name: value for name, value in {**body(good), **change}.items() if value is not None}
            with self.assertRaises((CloudEventValidationError, ValueError), msg=change):
                self.cloudevent({**good, "body": json.dumps(event)})
        binary = [request for request in of("cloudevents") if "ce-id" in request["headers"]][0]
        headers = {name: value for name, value in binary["headers"].items() if name != "ce-id"}
        with self.assertRaises((CloudEventValidationError, AssertionError)):
            self.cloudevent({**binary, "headers": headers})

    # ----------------------------------------------------------------------------------------------- standardwebhooks

    def signed(self, request):
        Webhook(request["secret"]).verify(request["body"].encode(), request["headers"])

    def test_the_library_of_standard_webhooks_verifies_every_signed_request(self):
        self.takes_all([request for request in REQUESTS if request["secret"] is not None], self.signed)
        self.takes_all(of("raw"), self.signed)

    def test_the_library_of_standard_webhooks_refuses_what_was_changed_and_what_is_old(self):
        good = of("raw")[0]
        old = str(int(good["headers"]["webhook-timestamp"]) - 3600)
        changes = [{"body": good["body"] + " "}]
        headers = ({"webhook-id": "dlv_x"}, {"webhook-timestamp": old}, {"webhook-signature": "v1,AAAA"})
        changes += [{"headers": {**good["headers"], **change}} for change in headers]
        for change in changes:
            with self.assertRaises(WebhookVerificationError, msg=change):
                self.signed({**good, **change})


if __name__ == "__main__":
    unittest.main(verbosity=2)
