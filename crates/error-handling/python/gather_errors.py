import asyncio


class JobError(Exception):
    pass


async def job(number, delay):
    await asyncio.sleep(delay)
    assert number != 4, f"job {number} has no steps"
    if number % 2 == 0:
        print(f"job {number} fails")
        raise JobError(f"job {number} failed")
    print(f"job {number} is done")
    return f"result {number}"


async def main():
    jobs = [(1, 0.3), (2, 0.1), (6, 0.2)]

    print("The first error:")
    try:
        results = await asyncio.gather(*(job(*each) for each in jobs))
        print(", ".join(results))
    except JobError as error:
        print(f"error: {error}")
    await asyncio.sleep(0.3)

    print("The first error; the other tasks run on:")
    try:
        tasks = [asyncio.create_task(job(*each)) for each in jobs]
        print(", ".join(await asyncio.gather(*tasks)))
    except JobError as error:
        print(f"error: {error}")
    await asyncio.sleep(0.3)

    print("All results, errors among them:")
    jobs = [(1, 0.3), (2, 0.1), (3, 0.2), (4, 0.4)]
    results = await asyncio.gather(
        *(job(*each) for each in jobs), return_exceptions=True
    )
    for number, result in enumerate(results, start=1):
        match result:
            case str():
                print(f"{number}: {result}")
            case JobError():
                print(f"{number}: error: {result}")
            # A bug is among the results, too.
            case _:
                print(f"{number}: error: a bug")


asyncio.run(main())
