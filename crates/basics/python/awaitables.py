import asyncio


async def my_coroutine():
    await asyncio.sleep(1)
    return "Result"


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
    print("A coroutine:")
    result = await my_coroutine()
    print(result)

    print("A task:")
    task = asyncio.create_task(my_coroutine())
    result = await task
    print(result)

    print("A result for two waiters:")
    task = asyncio.create_task(my_coroutine())
    first, second = await asyncio.gather(task, task)
    print(f"{first}, {second}")

    print("A future whose result is set elsewhere:")
    future = asyncio.get_running_loop().create_future()

    async def set_later():
        await asyncio.sleep(0.5)
        future.set_result("value")

    setter = asyncio.create_task(set_later())
    result = await future
    print(result)
    await setter

    print("A future written by hand:")
    result = await Countdown(3)
    print(result)


asyncio.run(main())
