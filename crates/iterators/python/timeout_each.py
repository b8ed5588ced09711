import asyncio

LIMIT = 0.3
LATE = object()


async def replies(delays):
    for number, delay in enumerate(delays, start=1):
        await asyncio.sleep(delay)
        yield number


async def report_waits(stream):
    """Yields LATE after each LIMIT without a reply, and lets the stream live."""
    while True:
        reply = asyncio.ensure_future(anext(stream))
        try:
            while not (await asyncio.wait([reply], timeout=LIMIT))[0]:
                yield LATE
            item = reply.result()
        except StopAsyncIteration:
            return
        finally:
            reply.cancel()
        yield item


async def main():
    print("A limit on each wait:")
    impatient = replies([0.1, 0.8, 0.1])
    while True:
        try:
            reply = await asyncio.wait_for(anext(impatient), LIMIT)
            print(f"reply {reply}")
        except StopAsyncIteration:
            break
        except TimeoutError:
            print("nothing for 0.3 s")

    print("A stream that reports every period of silence:")
    async for reply in report_waits(replies([0.1, 0.8, 0.1])):
        print("nothing for 0.3 s" if reply is LATE else f"reply {reply}")


asyncio.run(main())
