"""Does what the suite orders with Anthropic's Python SDK. One line of JSON comes in for each order, and one or more go out."""

import json
import sys

import anthropic

ASK = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Which way to the harbour?"}],
}


def say(**line):
    print(json.dumps(line), flush=True)


def chat(client):
    answer = client.messages.create(**ASK)
    return {"text": answer.content[0].text, "input": answer.usage.input_tokens, "output": answer.usage.output_tokens}


def stream_chat(client):
    for event in client.messages.create(stream=True, **ASK):
        if event.type != "ping":
            say(chunk=event.type)
    return {}


def unknown(client):
    client.post("/v1/no/such/endpoint", cast_to=object, body={})
    return {}


ORDERS = {f.__name__: f for f in (chat, stream_chat, unknown)}


def main():
    plain = anthropic.Anthropic()  # base URL and key from the environment
    for line in sys.stdin:
        order = json.loads(line)
        changes = {}
        if "key" in order:
            changes["api_key"] = order["key"]
        if "demo" in order:
            changes["default_headers"] = {"X-Demo": order["demo"]}
        client = plain.with_options(**changes) if changes else plain
        try:
            say(done=ORDERS[order["do"]](client))
        except Exception as error:
            say(
                error={
                    "class": type(error).__name__,
                    "status": getattr(error, "status_code", 0),
                    "message": str(error),
                }
            )


main()
