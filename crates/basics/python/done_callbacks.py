import asyncio


async def fetch(page):
    await asyncio.sleep(0.1)
    assert page != "empty", "the page is empty"
    print(f"fetched {page}")
    return page


def report(task):
    if task.cancelled():
        print("callback: cancelled")
    elif task.exception():
        print("callback: failed")
    else:
        print(f"callback: {task.result()}")


async def main():
    print("A task that succeeds, one that fails, one that is cancelled:")
    for page in ["news", "empty", "slow"]:
        task = asyncio.create_task(fetch(page))
        task.add_done_callback(report)
        await asyncio.sleep(0.05)
        if page == "slow":
            task.cancel()
        await asyncio.sleep(0.1)

    print("A callback that is removed:")
    task = asyncio.create_task(fetch("news"))
    task.add_done_callback(report)
    task.remove_done_callback(report)
    await asyncio.sleep(0.15)


asyncio.run(main())
