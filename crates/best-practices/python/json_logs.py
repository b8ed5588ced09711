import asyncio
import contextvars
import json
import logging
import sys

log = logging.getLogger("shop")
request_id = contextvars.ContextVar("request_id", default=None)


class AddRequest(logging.Filter):
    def filter(self, record):
        record.request_id = request_id.get()
        return True


class JsonFormatter(logging.Formatter):
    def format(self, record):
        line = {
            "level": record.levelname,
            "message": record.getMessage(),
            "target": record.name,
            "request_id": record.request_id,
        }
        return json.dumps(line)


async def handle(id, path):
    token = request_id.set(id)
    try:
        log.debug("received %s", path)
        await asyncio.sleep(0.2)
        log.debug("the page is in the cache")
        log.info("answered 200")
    finally:
        request_id.reset(token)


async def main():
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(AddRequest())
    log.addHandler(handler)
    log.setLevel("INFO")

    print("At the level INFO:")
    await handle(1, "/items")

    print("The level becomes DEBUG during a request:")
    running = asyncio.create_task(handle(2, "/items"))
    await asyncio.sleep(0.1)
    log.setLevel("DEBUG")
    await running

    print("A filter that is invalid changes nothing:")
    try:
        log.setLevel("LOUD")
    except ValueError as error:
        print(error)

    print("A request that begins at the level WARN, and ends at INFO:")
    log.setLevel("WARNING")
    hidden = asyncio.create_task(handle(3, "/items"))
    await asyncio.sleep(0.1)
    log.setLevel("INFO")
    await hidden


asyncio.run(main())
