import asyncio
import contextvars
import traceback

try:
    from call_python_rs import retry
except ImportError:

    async def retry(make, times):
        for tried in range(1, times):
            try:
                return await make()
            except Exception:
                await asyncio.sleep(0.01 * tried)
        return await make()


request = contextvars.ContextVar("request", default="none")
calls = 0


async def flaky():
    global calls
    calls += 1
    await asyncio.sleep(0.01)
    print(f"call {calls}, request {request.get()}")
    if calls < 3:
        raise ConnectionError(f"refused {calls}")
    return "connected"


async def main():
    global calls
    request.set("r1")
    print(await retry(flaky, 5))
    calls = 0
    try:
        await retry(flaky, 2)
    except ConnectionError as error:
        print("ConnectionError:", error)
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        print("traceback reaches flaky:", "flaky" in names)


if __name__ == "__main__":
    asyncio.run(main())
