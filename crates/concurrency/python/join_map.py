import asyncio


class NotFound(Exception):
    pass


async def load(id, delay):
    await asyncio.sleep(delay)
    print(f"loaded {id}")
    assert id > 0, f"user {id} is not a user"
    if id == 404:
        raise NotFound("not found")
    return id


def report(name, task):
    try:
        print(f"{name}: {task.result()}")
    except NotFound as error:
        print(f"{name}: {error}")
    except AssertionError:
        print(f"{name}: a bug")
    except asyncio.CancelledError:
        print(f"{name}: aborted")


async def report_all(tasks):
    """Reports each outcome as it comes."""
    names = {task: name for name, task in tasks.items()}
    while names:
        done, _ = await asyncio.wait(names, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            report(names.pop(task), task)


async def main():
    print("Outcomes as they come, one task aborted:")
    tasks = {
        "Ann": asyncio.create_task(load(1, 0.3)),
        "Bob": asyncio.create_task(load(404, 0.1)),
        "Eve": asyncio.create_task(load(0, 0.2)),
        "Joe": asyncio.create_task(load(4, 0.4)),
    }
    await asyncio.sleep(0.05)
    for name in ["Joe", "Jim"]:
        if name in tasks:
            tasks[name].cancel()
        else:
            print(f"{name} is not there")
    await report_all(tasks)

    print("A key used twice:")
    tasks = {}
    tasks["Ann"] = asyncio.create_task(load(1, 0.2))
    tasks["Ann"] = asyncio.create_task(load(10, 0.3))
    if "Ann" not in tasks:
        tasks["Ann"] = asyncio.create_task(load(100, 0.1))
    await report_all(tasks)

    print("All tasks are stopped:")
    tasks = {"Ann": asyncio.create_task(load(1, 0.1))}
    for task in tasks.values():
        task.cancel()
    await asyncio.sleep(0.2)
    print("0.2 s later")


asyncio.run(main())
