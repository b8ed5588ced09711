import asyncio
import logging
import sys

try:
    from log_and_trace_rs import fetch
except ImportError:

    async def fetch(name):
        logger = logging.getLogger("fetch")
        logger.debug("asking for %s", name)
        await asyncio.sleep(0.01)
        logger.warning("%s is stale", name)


async def main():
    await fetch("a")


if __name__ == "__main__":
    form = "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format=form)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    asyncio.run(main())
