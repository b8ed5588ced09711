import asyncio

tasks = set()


def report(loop, context):
    loop.default_exception_handler(context)
    task = context.get("future")
    name = task.get_name() if isinstance(task, asyncio.Task) else "no name"
    print(f"Report from {name}: {context.get('exception', context['message'])}")


def detach(coroutine, name=None):
    task = asyncio.create_task(coroutine, name=name)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def pack(order):
    await asyncio.sleep(0.1)
    assert order > 0, "order 0 is empty"
    raise ValueError(f"order {order} is too heavy")


async def main():
    asyncio.get_running_loop().set_exception_handler(report)

    print("A detached task panics:")
    detach(pack(0), "packer")
    await asyncio.sleep(0.2)

    print("A detached task fails:")
    detach(pack(7), "packer")
    await asyncio.sleep(0.2)

    print("A spawned task fails, and nobody awaits it:")
    detach(pack(8), "no name")
    await asyncio.sleep(0.2)

    print("A task that panics is awaited:")
    try:
        await asyncio.create_task(pack(0))
    except AssertionError:
        await asyncio.sleep(0.2)
        print("The caller sees it")


asyncio.run(main())
