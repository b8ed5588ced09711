import asyncio
from dataclasses import dataclass


async def hedged(delay, request):
    attempts = [asyncio.create_task(request())]
    try:
        await asyncio.wait(attempts, timeout=delay)
        [first] = attempts
        if first.done() and first.exception() is None:
            return first.result()
        attempts.append(asyncio.create_task(request()))
        for ended in asyncio.as_completed(attempts):
            try:
                return await ended
            except ConnectionError:
                pass  # the other one may succeed
        raise ExceptionGroup("both attempts failed", [it.exception() for it in attempts])
    finally:
        for it in reversed(attempts):
            it.cancel()
        await asyncio.wait(attempts)


async def ask(host, script):
    print(f"{host} is asked")
    try:
        delay, answer = script
        await asyncio.sleep(delay)
        match answer:
            case int(price):
                return f"{price} from {host}"
            case error:
                raise ConnectionError(f"{host}: {error}")
    finally:
        print(f"{host} closed")


@dataclass
class Prices:
    delay: float
    hosts: list

    async def price(self):
        hosts = iter(self.hosts)
        return await hedged(self.delay, lambda: ask(*next(hosts)))


async def charge(servers, host, delay):
    async def serve():
        await asyncio.sleep(delay)
        print(f"the card is charged by {host}")
        return f"receipt from {host}"

    server = asyncio.create_task(serve())
    servers.append(server)
    return await asyncio.shield(server)


async def main():
    delay = 0.2
    scripts = [
        ("The first answers in time:", (0.1, 7), (0, 9)),
        ("The second is quicker:", (0.5, 7), (0.1, 9)),
        ("The first is late and still quicker:", (0.3, 7), (0.2, 9)),
        ("The first fails:", (0.1, "unreachable"), (0.1, 9)),
        ("The second fails:", (0.4, 7), (0.1, "busy")),
        ("Both fail:", (0.4, "unreachable"), (0.1, "busy")),
    ]
    for phase, first, second in scripts:
        print(phase)
        try:
            print(await Prices(delay, [("alpha", first), ("beta", second)]).price())
        except* ConnectionError as errors:
            print(f"{errors.message}: {'; '.join(map(str, errors.exceptions))}")

    print("The caller times out after 0.3 s:")
    prices = Prices(delay, [("alpha", (0.5, 7)), ("beta", (0.5, 9))])
    try:
        async with asyncio.timeout(0.3):
            print(await prices.price())
    except TimeoutError:
        print("timed out")

    print("A request that is not idempotent:")
    servers = []
    hosts = iter([("alpha", 0.4), ("beta", 0.1)])
    print(await hedged(delay, lambda: charge(servers, *next(hosts))))
    await asyncio.gather(*servers)


asyncio.run(main())
