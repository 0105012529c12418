"""Does what the suite orders with the official Python SDK. One line of JSON comes in for each order, and one or more go out."""

import json
import sys

import openai

QUESTION = "Which way to the harbour?"
MESSAGES = [{"role": "user", "content": QUESTION}]


def say(**line):
    print(json.dumps(line), flush=True)


def chat(client, _):
    answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    usage = answer.usage
    return {
        "text": answer.choices[0].message.content,
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
        "total": usage.total_tokens,
    }


def stream_chat(client, _):
    stream = client.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        say(chunk=(chunk.choices[0].delta.content or "") if chunk.choices else "")
    return {}


def respond(client, _):
    answer = client.responses.create(model="gpt-4o", input=QUESTION)
    usage = answer.usage
    return {
        "text": answer.output_text,
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "total": usage.total_tokens,
    }


def stream_respond(client, _):
    for event in client.responses.create(model="gpt-4o", input=QUESTION, stream=True):
        say(chunk=event.type)
    return {}


def embed(client, _):
    answer = client.embeddings.create(model="text-embedding-3-small", input=[QUESTION, "No."], dimensions=256)
    return {
        "count": len(answer.data[0].embedding),
        "input": answer.usage.prompt_tokens,
        "total": answer.usage.total_tokens,
    }


def models(client, _):
    return {"count": len(list(client.models.list())), "text": client.models.retrieve("ft:gpt-4o:acme::17").id}


def images(client, _):
    answer = client.images.generate(model="gpt-image-1", prompt=QUESTION, n=2)
    return {"count": len(answer.data), "text": answer.data[0].b64_json[:11]}


def upload(client, order):
    with open(order["file"], "rb") as file:
        answer = client.files.create(file=file, purpose="batch")
    return {"ids": [answer.id], "bytes": answer.bytes}


def transcribe(client, order):
    with open(order["file"], "rb") as file:
        answer = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=file)
    return {"text": answer.text}


def list_files(client, _):
    return {"count": len(list(client.files.list()))}


def unknown(client, _):
    client.post("/no/such/endpoint", cast_to=object, body={})
    return {}


ORDERS = {
    f.__name__: f
    for f in (chat, stream_chat, respond, stream_respond, embed, models, images, upload, transcribe, list_files, unknown)
}


def main():
    plain = openai.OpenAI()  # base URL and key from the environment
    for line in sys.stdin:
        order = json.loads(line)
        changes = {name: order[name] for name in ("base_url",) if name in order}
        if "key" in order:
            changes["api_key"] = order["key"]
        if "retries" in order:
            changes["max_retries"] = order["retries"]
        if "demo" in order:
            changes["default_headers"] = {"X-Demo": order["demo"]}
        client = plain.with_options(**changes) if changes else plain
        try:
            say(done=ORDERS[order["do"]](client, order))
        except Exception as error:
            say(
                error={
                    "class": type(error).__name__,
                    "status": getattr(error, "status_code", 0),
                    "code": getattr(error, "code", None) or "",
                    "message": str(error),
                }
            )


main()
