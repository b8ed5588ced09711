import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class Prices:
    apple: int


class Shop:
    def __init__(self, stock, prices):
        self.visitors = 0
        self.stock = stock
        self.prices = prices

    def take(self, item):
        if self.stock.get(item, 0) == 0:
            return False
        self.stock[item] -= 1
        return True

    async def buy_apple(self, name, arrival):
        await asyncio.sleep(arrival)
        self.visitors += 1
        prices = self.prices
        if self.take("apple"):
            # The customer pays the price of the moment of arrival.
            await asyncio.sleep(0.3)
            print(f"{name} has paid {prices.apple}")
        else:
            print(f"{name} finds none left")


async def main():
    shop = Shop(stock={"apple": 3}, prices=Prices(apple=5))

    arrivals = [("Ada", 0.1), ("Ben", 0.2), ("Cleo", 0.5), ("Dan", 0.6)]
    customers = [
        asyncio.create_task(shop.buy_apple(name, arrival))
        for name, arrival in arrivals
    ]

    await asyncio.sleep(0.3)
    shop.prices = Prices(apple=7)
    print(f"An apple is now {shop.prices.apple}")

    await asyncio.gather(*customers)
    print(f"Visitors: {shop.visitors}")


asyncio.run(main())
