import asyncio


async def operation(number, semaphore):
    async with semaphore:
        print(f"Operation {number} runs")
        await asyncio.sleep(0.1)
        return number * number


async def main():
    semaphore = asyncio.Semaphore(3)
    operations = [operation(number, semaphore) for number in range(1, 11)]
    print(f"Results: {await asyncio.gather(*operations)}")


asyncio.run(main())
