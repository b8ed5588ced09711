import asyncio
import contextlib
import contextvars
import json
import logging
import re
import sys

log = logging.getLogger("shop")
context = contextvars.ContextVar("context", default={})


class AddContext(logging.Filter):
    def filter(self, record):
        record.context = context.get()
        return True


class Logfmt(logging.Formatter):
    """The level, the message, its fields, and those of the context, in one line."""

    def format(self, record):
        pairs = {"level": record.levelname.lower(), "msg": record.getMessage()}
        pairs |= getattr(record, "fields", {}) | record.context
        if record.exc_info:
            pairs["traceback"] = self.formatException(record.exc_info)
        return " ".join(f"{name}={self.quote(value)}" for name, value in pairs.items())

    @staticmethod
    def quote(value):
        """Quotes what would end the value or the line: no value forges a line."""
        text = str(value)
        return text if re.fullmatch(r"[\w.:/\[\]-]+", text) else json.dumps(text)


class Secret:
    """A text for no log: neither its str nor its repr show it."""

    def __init__(self, text):
        self._text = text

    def reveal(self):
        return self._text

    def __repr__(self):
        return "[redacted]"


@contextlib.contextmanager
def request(id):
    """Adds the id to all that is logged for one request."""
    token = context.set(context.get() | {"request_id": id})
    try:
        yield
    finally:
        context.reset(token)


async def handle(id, user):
    with request(id):
        log.info("received")
        await asyncio.sleep(0.1)
        context.set(context.get() | {"user": user})
        await asyncio.sleep(0.1)
        log.info("answered", extra={"fields": {"status": 200}})


async def send_mail():
    await asyncio.sleep(0.1)
    log.warning("the mail is late")


async def handle_with_a_guard(id):
    with request(id):
        log.info("received")
        await asyncio.sleep(0.1 * id)
        log.info("answered")


def set_up(level, stream):
    logging.addLevelName(logging.WARNING, "WARN")
    handler = logging.StreamHandler(stream)
    handler.addFilter(AddContext())
    handler.setFormatter(Logfmt())
    log.addHandler(handler)
    log.setLevel(level)


async def main():
    set_up(logging.INFO, sys.stdout)

    print("Two requests at once:")
    await asyncio.gather(handle(1, "ada"), handle(2, "bob"))

    print("A task that is told its request, and one that is not:")
    with request(3):
        await asyncio.create_task(send_mail())
        await asyncio.create_task(send_mail())

    print("Two requests at once, each with a guard over its await:")
    await asyncio.gather(handle_with_a_guard(4), handle_with_a_guard(5))

    print("A secret, and a name with a line in it:")
    token = Secret("hunter2")
    name = "eve\nlevel=error msg=forged"
    fields = {"token": token, "length": len(token.reveal()), "name": name}
    log.info("signed in", extra={"fields": fields})


asyncio.run(main())
