# /// script
# requires-python = ">=3.11"
# dependencies = ["httpx"]
# ///
"""Starts both services, and asks each of them the same: `compare.py PROGRAM [--measure]`.

Fails if an answer differs. With `--measure` it prints requests a second, latency and
memory of both, in turns, and their ratios.
"""

import asyncio
import contextlib
import json
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import httpx

SERVER = pathlib.Path(__file__).with_name("server.py")
LISTED = {'{route="/notes",status="200"}', '{status="200",route="/notes"}'}
CLIENTS = 32
ROUNDS = 7
SECONDS = 3

TEXT = json.dumps
LONG = "x" * 1_000
# Method, path, body. A body that is bytes has no content type.
REQUESTS = [
    ("GET", "/health", None),
    ("GET", "/ready", None),
    ("GET", "/notes", None),
    ("POST", "/notes", TEXT({"text": "first"})),
    ("POST", "/notes", TEXT({"text": "ä, 你好, \u0001, \U0001f600"})),
    ("POST", "/notes", TEXT({"text": "a\0b"})),
    ("POST", "/notes", TEXT({"text": LONG})),
    ("POST", "/notes", TEXT({"text": LONG + "x"})),
    ("POST", "/notes", TEXT({"text": "ü" * 1_000})),
    ("POST", "/notes", TEXT({"text": ""})),
    ("POST", "/notes", TEXT({"text": " \n\t"})),
    ("POST", "/notes", TEXT({"text": 1})),
    ("POST", "/notes", TEXT({"text": None})),
    ("POST", "/notes", TEXT({"text": "two", "more": 1})),
    ("POST", "/notes", TEXT({})),
    ("POST", "/notes", TEXT({"Text": "first"})),
    ("POST", "/notes", TEXT([])),
    ("POST", "/notes", TEXT("first")),
    ("POST", "/notes", '{"text": "cut'),
    ("POST", "/notes", '{"text": "one"} more'),
    ("POST", "/notes", ""),
    ("POST", "/notes", b'{"text": "no type"}'),
    ("POST", "/notes", TEXT({"text": "x" * 17_000})),
    ("GET", "/notes", None),
    ("GET", "/notes?limit=2", None),
    ("GET", "/notes?limit=0", None),
    ("GET", "/notes?limit=255&after=1", None),
    ("GET", "/notes?limit=256", None),
    ("GET", "/notes?limit=-1", None),
    ("GET", "/notes?limit=two", None),
    ("GET", "/notes?after=9223372036854775808", None),
    ("GET", "/notes?after=-1&unknown=1", None),
    ("GET", "/notes/1", None),
    ("GET", "/notes/0", None),
    ("GET", "/notes/-1", None),
    ("GET", "/notes/one", None),
    ("GET", "/notes/9223372036854775808", None),
    ("GET", "/nowhere", None),
    ("GET", "/", None),
]


@contextlib.contextmanager
def running(command, exits=(0, -signal.SIGTERM)):
    """Starts a service in a folder of its own, and gives its process and its URL."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*command, "--address", "127.0.0.1:0"],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            log = []
            for line in process.stderr:
                log.append(line)
                if found := re.search(r"on (?:http://)?(127\.0\.0\.1:\d+)", line):
                    break
            else:
                raise SystemExit("".join(log))
            # A full pipe would stop the service.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield process, found[1]
            process.terminate()
            # uvicorn ends by the signal itself, when its requests have ended.
            assert process.wait(60) in exits, process.returncode
        finally:
            process.kill()


def answers(address):
    """What a client sees of each request, without what no two answers share."""
    seen = []
    # A connection for each request: a service that refuses one by its head alone closes the
    # connection, unless the body has come as well.
    alone = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=f"http://{address}", limits=alone) as client:
        for method, path, body in REQUESTS:
            # Only then has the worker nothing left to do.
            if method == "GET":
                all = "/notes?limit=255"
                while any(
                    note["words"] is None for note in client.get(all).json()["notes"]
                ):
                    time.sleep(0.005)
            headers = {"x-request-id": f"request-{len(seen)}"}
            if isinstance(body, str):
                headers["content-type"] = "application/json"
            answer = client.request(method, path, content=body, headers=headers)
            assert answer.headers["x-request-id"] == headers["x-request-id"], path
            text = answer.text
            if answer.headers["content-type"].startswith("application/json"):
                value = answer.json()
                # The text for people: each library has its own.
                if value.get("code") in ("invalid_body", "invalid_query"):
                    assert value.pop("message")
                text = TEXT(value, ensure_ascii=False)
            text = re.sub(r'"created_at": "[^"]{20}"', '"created_at": "NOW"', text)
            location = answer.headers.get("location")
            seen.append((method, path, body, answer.status_code, location, text))
        page = client.get("/metrics").text
        counted = re.findall(r"^requests_total(\{.*\}) (\d+)", page, re.MULTILINE)
        # The list was asked for until the worker was done.
        counted = [
            (sorted(labels[1:-1].split(",")), count)
            for labels, count in counted
            if labels not in LISTED
        ]
        seen.append(sorted(counted))
    return seen


def notice(command):
    """After a signal /ready fails and notes are served. A second one ends the notice."""
    # There the two differ: a second signal is a failure for one of them.
    exits = (0, 1, -signal.SIGTERM)
    with running([*command, "--notice", "3600"], exits) as (process, address):
        with httpx.Client(base_url=f"http://{address}") as client:
            assert client.get("/ready").status_code == 200
            process.terminate()
            until = time.monotonic() + 30
            while (answer := client.get("/ready")).status_code == 200:
                assert time.monotonic() < until, f"{command}: /ready does not fail"
                time.sleep(0.005)
            answers = answer, client.post("/notes", json={"text": "still"})
            return [(answer.status_code, answer.text[:9]) for answer in answers]


async def client(address, request, until, times):
    """Sends one request after the other over one connection."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    while (begin := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1])
        await reader.readexactly(length)
        assert head[9:11] == b"20", head
        times.append(time.perf_counter() - begin)
    writer.close()


def load(address, request):
    """Returns requests a second, and the median and the 99th of a hundred in seconds."""
    times = []

    async def run():
        until = time.perf_counter() + SECONDS
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(client(address, request, until, times))

    asyncio.run(run())
    times.sort()
    return len(times) / SECONDS, times[len(times) // 2], times[len(times) * 99 // 100]


def resident(process):
    """The memory of a process in MiB."""
    with open(f"/proc/{process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) / 1024


def measure(commands):
    body = TEXT({"text": "a note"})
    kind = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    requests = {
        "GET /notes/1": "GET /notes/1 HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /notes": "POST /notes HTTP/1.1\r\nhost: x\r\n" + kind + body,
    }
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(running(command)) for command in commands]
        for _, address in both:
            httpx.post(f"http://{address}/notes", json={"text": "first"})
        for name, request in requests.items():
            rounds = []
            for _ in range(ROUNDS):
                rounds.append([load(address, request.encode()) for _, address in both])
            for index, what in enumerate(["a second", "median, ms", "99 %, ms"]):
                scale = 1 if index == 0 else 1_000
                pairs = [(ours[index], twins[index]) for ours, twins in rounds]
                ours, twins = (statistics.median(side) * scale for side in zip(*pairs))
                ratios = sorted(ours / twins for ours, twins in pairs)
                ratio = f"{statistics.median(ratios):.3g}"
                print(
                    f"{name}, {what}: {ours:.4g} and {twins:.4g},"
                    f" ratio {ratio} ({ratios[0]:.3g} to {ratios[-1]:.3g})"
                )
        print("memory, MiB:", *(f"{resident(process):.0f}" for process, _ in both))


def main():
    program, *options = sys.argv[1:]
    commands = [[str(pathlib.Path(program).resolve())], [sys.executable, str(SERVER)]]
    if options == ["--measure"]:
        return measure(commands)
    seen = []
    for command in commands:
        with running(command) as (_, address):
            seen.append(answers(address))
        seen[-1].append(notice(command))
    differ = [pair for pair in zip(*seen, strict=True) if pair[0] != pair[1]]
    assert not differ, "".join(f"\n{ours}\n{twins}" for ours, twins in differ)
    print(f"the same answers to {len(REQUESTS)} requests")


if __name__ == "__main__":
    main()
