# /// script
# requires-python = ">=3.11"
# dependencies = ["structlog"]
# ///
import asyncio
import logging

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, merge_contextvars

structlog.configure(
    processors=[
        merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(sort_keys=True),
    ],
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
)
log = structlog.get_logger()


async def handle(id, user):
    with bound_contextvars(request_id=id):
        log.info("received")
        await asyncio.sleep(0.1)
        bind_contextvars(user=user)
        await asyncio.sleep(0.1)
        log.info("answered", status=200)


async def send_mail():
    await asyncio.sleep(0.1)
    log.warning("the mail is late")


async def main():
    print("Two requests at once:")
    await asyncio.gather(handle(1, "ada"), handle(2, "bob"))

    print("A task that gets the request's context, and one that does not:")
    with bound_contextvars(request_id=3):
        await asyncio.create_task(send_mail())
        await asyncio.create_task(send_mail())

    print("A name with a line in it:")
    log.info("signed in", name='eve\n{"level":"ERROR"}')


asyncio.run(main())
