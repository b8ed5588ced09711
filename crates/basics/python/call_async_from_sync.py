import asyncio
from concurrent.futures import ThreadPoolExecutor


async def fetch_price(item):
    await asyncio.sleep(0.2)
    match item:
        case "tea":
            return 3
        case _:
            raise LookupError(f"there is no {item}")


def price(item):
    return asyncio.run(fetch_price(item))


def price_in_place(item):
    # Nothing else runs on the loop meanwhile: asyncio has no better way.
    with ThreadPoolExecutor() as executor:
        return executor.submit(price, item).result()


async def under_async_code():
    print("Under async code, on a thread where blocking is allowed:")
    print(f"Tea costs {await asyncio.to_thread(price, 'tea')}")

    print("Under async code, in place:")
    print(f"Tea costs {price_in_place('tea')}")


def with_loop(loop):
    task = asyncio.run_coroutine_threadsafe(fetch_price("tea"), loop)
    print(f"Tea costs {task.result()}")


async def serve_thread():
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(with_loop, loop)


def main():
    print("From a plain program:")
    print(f"Tea costs {price('tea')}")
    try:
        print(f"Gold costs {price('gold')}")
    except LookupError as error:
        print(f"Error: {error}")

    asyncio.run(under_async_code())

    print("On a thread that has a handle:")
    asyncio.run(serve_thread())


main()
