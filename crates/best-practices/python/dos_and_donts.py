import asyncio
import time

STEP = 0.1


class NotFound(Exception):
    def __init__(self):
        super().__init__("nobody sells it")


class Busy(Exception):
    def __init__(self):
        super().__init__("the server is busy")


async def price(article):
    """Stands for a request to a server."""
    await asyncio.sleep(STEP)
    match article:
        case "tea":
            return 3
        case "pot":
            return 20
        case "cup":
            return 5
        case "sugar":
            raise Busy
    raise NotFound


async def one_after_another(articles):
    return sum([await price(article) for article in articles])


async def together(articles):
    return sum(await asyncio.gather(*map(price, articles)))


async def with_a_coroutine(other_work):
    coroutine = price("tea")
    await asyncio.sleep(other_work)
    return await coroutine


async def with_a_task(other_work):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(price("tea"))
        await asyncio.sleep(other_work)
    return task.result()


async def total_whatever_fails(articles):
    async def price_or_nothing(article):
        try:
            return await price(article)
        except Exception:
            return 0

    return sum(await asyncio.gather(*map(price_or_nothing, articles)))


async def total(articles):
    """What nobody sells costs nothing; any other error is the caller's."""

    async def price_if_sold(article):
        try:
            return await price(article)
        except NotFound:
            return 0

    return sum(await asyncio.gather(*map(price_if_sold, articles)))


class Connection:
    open = 0

    async def __aenter__(self):
        Connection.open += 1

    async def __aexit__(self, *error):
        Connection.open -= 1


async def closed_by_hand():
    """Closes by hand, and the exception goes past it."""
    Connection.open += 1
    found = await price("sugar")
    Connection.open -= 1
    return found


async def closed_by_with():
    async with Connection():
        return await price("sugar")


def blocking_call():
    time.sleep(3 * STEP)
    print("the call has ended")


async def heartbeat():
    for _ in range(2):
        await asyncio.sleep(STEP)
        print("heartbeat")


async def write_file():
    await asyncio.sleep(2 * STEP)
    print("the file is written")


async def send_log():
    await asyncio.sleep(STEP)
    print("the log is sent")


tasks = set()


async def save():
    """Leaves a task behind."""
    task = asyncio.create_task(send_log())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    print("saved")


def save_on_a_loop_of_its_own():
    """For code that is not async. With the loop ends what was created on it."""
    asyncio.run(save())


def save_on_the_loop(loop):
    asyncio.run_coroutine_threadsafe(save(), loop).result()


async def main():
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def part(number):
        await asyncio.sleep(start + 8 * STEP * number - loop.time())

    articles = ["tea", "pot", "cup"]
    print("Don't await one after another:")
    print(f"total: {await one_after_another(articles)}")
    print("Do await together:")
    print(f"total: {await together(articles)}")

    await part(1)
    print("Don't take a future for a task:")
    print(f"price: {await with_a_coroutine(2 * STEP)}")
    print("Do spawn what is to run meanwhile:")
    print(f"price: {await with_a_task(2 * STEP)}")

    await part(2)
    articles = ["tea", "unicorn", "sugar"]
    print("Don't swallow errors:")
    print(f"total: {await total_whatever_fails(articles)}")
    print("Do handle the one you know, and pass on the rest:")
    for some in (articles[:2], articles):
        try:
            print(f"total: {await total(some)}")
        except Busy as error:
            print(f"error: {error}")

    await part(3)
    print("Don't release by hand:")
    try:
        await closed_by_hand()
    except Busy as error:
        print(f"{error}, and open: {Connection.open}")
    Connection.open = 0
    print("Do release by a guard:")
    try:
        await closed_by_with()
    except Busy as error:
        print(f"{error}, and open: {Connection.open}")

    await part(4)
    print("Don't block:")

    async def blocking():
        blocking_call()

    await asyncio.gather(heartbeat(), blocking())
    print("Do block in a thread:")
    await asyncio.gather(heartbeat(), asyncio.to_thread(blocking_call))

    await part(5)
    print("Don't spawn what is awaited at once:")
    try:
        async with asyncio.timeout(STEP):
            await asyncio.create_task(write_file())
    except TimeoutError:
        print("given up")
    await asyncio.sleep(2 * STEP)
    print("Do await it:")
    try:
        async with asyncio.timeout(STEP):
            await write_file()
    except TimeoutError:
        print("given up")

    await part(6)
    print("Don't make a runtime for a call:")
    await asyncio.to_thread(save_on_a_loop_of_its_own)
    await asyncio.sleep(2 * STEP)
    print("Do give it the handle of the one there is:")
    await asyncio.to_thread(save_on_the_loop, loop)
    await asyncio.sleep(2 * STEP)


asyncio.run(main())
