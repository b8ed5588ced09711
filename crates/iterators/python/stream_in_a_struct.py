import asyncio


class Market:
    def __init__(self, quotes):
        self.quotes = quotes

    async def prices(self, symbol):
        price = self.quotes.get(symbol)
        if price is None:
            return
        while True:
            await asyncio.sleep(0.1)
            yield price
            price += 5


async def take(items, count):
    if count == 0:
        return
    async for item in items:
        yield item
        count -= 1
        if count == 0:
            break


async def each_of(items):
    for item in items:
        yield item


class Watcher:
    def __init__(self, name, prices):
        self.name = name
        self.prices = prices

    async def report(self, price):
        await asyncio.sleep(0.1)
        print(f"{self.name}: {price}")

    async def watch(self):
        async for price in self.prices:
            await self.report(price)
        return f"{self.name}: no more prices"


async def main():
    market = Market({"gold": 40})

    print("From a method into a struct, and into a task:")
    gold = Watcher("gold", take(market.prices("gold"), 2))
    print(await asyncio.create_task(gold.watch()))

    print("Any other stream fits:")
    fixed = Watcher("bread", each_of([2, 3]))
    print(await fixed.watch())


asyncio.run(main())
