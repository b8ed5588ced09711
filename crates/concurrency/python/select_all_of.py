import asyncio


class Failed(Exception):
    pass


async def step(name, delay):
    await asyncio.sleep(delay / 2)
    print(f"{name} is half-way")
    await asyncio.sleep(delay / 2)
    if name == "bad":
        raise Failed(f"{name} failed")
    return name


def report(done, pending):
    print(f"done: {', '.join(done)}; pending: {len(pending)}")


async def main():
    print("Until the first is done:")
    delays = [("slow", 0.8), ("fast", 0.2), ("middle", 0.6)]
    pending = {asyncio.create_task(step(*delay)) for delay in delays}
    while pending:
        done, pending = await asyncio.wait(
            pending, return_when=asyncio.FIRST_COMPLETED
        )
        report([task.result() for task in done], pending)

    print("Until the first error:")
    delays = [("slow", 0.8), ("fast", 0.2), ("bad", 0.5), ("gone", 0.4)]
    tasks = [asyncio.create_task(step(*delay)) for delay in delays]
    await asyncio.sleep(0.3)
    tasks[-1].cancel()
    done, pending = await asyncio.wait(
        tasks, return_when=asyncio.FIRST_EXCEPTION
    )
    values = []
    for task in done:
        if task.cancelled():
            continue
        if error := task.exception():
            print(error)
        else:
            values.append(task.result())
    report(values, pending)
    print("The rest:")
    done, pending = await asyncio.wait(
        pending, return_when=asyncio.FIRST_EXCEPTION
    )
    values += [task.result() for task in done]
    report(values, pending)

    # Whatever `wait` takes is a task, so the rest goes on meanwhile.
    print("The rest of futures that are no tasks:")
    delays = [("slow", 0.8), ("fast", 0.2)]
    pending = {asyncio.create_task(step(*delay)) for delay in delays}
    done, pending = await asyncio.wait(
        pending, return_when=asyncio.FIRST_COMPLETED
    )
    report([task.result() for task in done], pending)
    await asyncio.sleep(0.5)
    print("0.5 s later")
    done, pending = await asyncio.wait(
        pending, return_when=asyncio.FIRST_COMPLETED
    )
    report([task.result() for task in done], pending)


asyncio.run(main())
