import asyncio
from contextlib import aclosing


async def handle(order):
    print(f"order {order}: begun")
    await asyncio.sleep(0.3)
    print(f"order {order}: finished")


async def take_until(stop, orders):
    stopped = asyncio.create_task(stop.wait())
    getting = None
    try:
        while not stop.is_set():
            getting = asyncio.create_task(orders.get())
            await asyncio.wait([getting, stopped], return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                order, getting = getting.result(), None
                yield order
    finally:
        stopped.cancel()
        # An order that came just then goes back: nobody else would take it.
        if getting is not None and not getting.cancel():
            orders.put_nowait(getting.result())


async def handle_until(stop, orders):
    async with aclosing(take_until(stop, orders)) as until_stopped:
        async for order in until_stopped:
            await handle(order)


async def handle_all(orders):
    while True:
        await handle(await orders.get())


def stop_after(seconds, function):
    def stop():
        print("stop!")
        function()

    asyncio.get_running_loop().call_later(seconds, stop)


def open_shop(last):
    orders = asyncio.Queue()
    for order in range(1, last + 1):
        orders.put_nowait(order)
    return orders


def drain(orders):
    return [orders.get_nowait() for _ in range(orders.qsize())]


async def main():
    print("Cancelled as a whole, the loop loses order 2:")
    orders = open_shop(3)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(handle_all(orders))
        stop_after(0.4, task.cancel)
    print(f"left: {drain(orders)}")

    print("Stopped between two orders:")
    orders = open_shop(3)
    stop = asyncio.Event()
    stop_after(0.4, stop.set)
    await handle_until(stop, orders)
    print(f"left: {drain(orders)}")

    print("Stopped while it waits for an order:")
    orders = open_shop(1)
    stop = asyncio.Event()
    stop_after(0.4, stop.set)
    await handle_until(stop, orders)
    orders.put_nowait(2)
    # Whoever still waited for an order would take it now.
    await asyncio.sleep(0)
    print(f"left: {drain(orders)}")


asyncio.run(main())
