import asyncio


class Countdown:
    def __init__(self, left):
        self.left = left

    def __await__(self):
        while self.left > 0:
            print(self.left)
            self.left -= 1
            yield
        return "Lift-off"


async def main():
    result = await Countdown(3)
    print(result)


asyncio.run(main())
