import asyncio


async def live_prices():
    for price in (44, 51, 47):
        await asyncio.sleep(0.1)
        yield price


async def saved_prices(prices):
    for price in prices:
        yield price


def above(prices, limit):
    """Returns the prices, only those above a limit if there is one."""
    if limit is None:
        return prices
    return (price async for price in prices if price > limit)


def prices_of(source):
    match source:
        case "live":
            return live_prices()
        case "closed":
            return saved_prices([])
        case prices:
            return saved_prices(prices)


async def main():
    print("With and without a filter:")
    for limit in (45, None):
        async for price in above(live_prices(), limit):
            print(f"price {price}")

    print("From three sources:")
    for source in ("live", [42, 43], "closed"):
        async for price in prices_of(source):
            print(f"price {price}")
        print("no more prices")


asyncio.run(main())
