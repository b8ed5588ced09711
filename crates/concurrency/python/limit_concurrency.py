import asyncio

# How many connections the whole program may have.
CONNECTIONS = asyncio.Semaphore(2)


async def operation(number, semaphore):
    async with semaphore:
        print(f"Operation {number} runs")
        await asyncio.sleep(0.1)
        return number * number


async def connect(number):
    async with CONNECTIONS:
        print(f"Connection {number} opens")
        await asyncio.sleep(0.1)


async def main():
    print("Three operations at a time:")
    semaphore = asyncio.Semaphore(3)
    operations = [operation(number, semaphore) for number in range(1, 11)]
    print(f"Results: {await asyncio.gather(*operations)}")

    print("Two connections at a time, in the whole program:")
    await asyncio.gather(*(connect(number) for number in range(1, 5)))


asyncio.run(main())
