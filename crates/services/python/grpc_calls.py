# /// script
# dependencies = ["grpcio"]
# ///
import asyncio
import json
import os
import socket
import time

# Otherwise a client logs that its server has stopped. It is read at the import.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
import grpc  # noqa: E402

stopped = 0


# grpcio-tools makes this of a .proto file, with Protobuf instead of JSON.


def encode(message):
    return json.dumps(message).encode()


class ShopClient:
    def __init__(self, channel):
        codec = {"request_serializer": encode, "response_deserializer": json.loads}
        self.quote = channel.unary_unary("/shop.Shop/Quote", **codec)
        self.watch = channel.unary_stream("/shop.Shop/Watch", **codec)


def shop_handlers(shop):
    codec = {"request_deserializer": json.loads, "response_serializer": encode}
    handlers = {
        "Quote": grpc.unary_unary_rpc_method_handler(shop.quote, **codec),
        "Watch": grpc.unary_stream_rpc_method_handler(shop.watch, **codec),
    }
    return grpc.method_handlers_generic_handler("shop.Shop", handlers)


def take_stopped():
    global stopped
    number, stopped = stopped, 0
    return number


class Front:
    """The server that clients call. It asks the second one."""

    def __init__(self, stock):
        self.stock = stock

    async def quote(self, item, context):
        global stopped
        try:
            await asyncio.sleep(0.1)
            return await self.stock.quote(item, timeout=context.time_remaining())
        except asyncio.CancelledError:
            stopped += 1
            raise
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details())

    async def watch(self, item, context):
        prices = self.stock.watch(item, timeout=context.time_remaining())
        try:
            async for price in prices:
                await context.write(price)
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details())
        finally:
            prices.cancel()


class Stock:
    """The second server."""

    async def quote(self, item, context):
        global stopped
        if item["name"] == "tea":
            print(f"the second server has {int(context.time_remaining())} s left")
        elif item["name"] == "salt":
            await asyncio.sleep(0.2)
        else:
            try:
                # It is cancelled with this handler.
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self.work())
            except asyncio.CancelledError:
                stopped += 1
                raise
        return {"cents": 300}

    async def work(self):
        global stopped
        try:
            await asyncio.sleep(300)
        except asyncio.CancelledError:
            stopped += 1
            raise

    async def watch(self, item, context):
        global stopped
        try:
            for cents in range(1, 1001):
                await asyncio.sleep(0 if item["name"] == "tea" else 0.1)
                await context.write({"cents": cents, "note": " " * 16_384})
        finally:
            if item["name"] == "tea":
                stopped += 1


async def serve(shop):
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([shop_handlers(shop)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, grpc.aio.insecure_channel(f"127.0.0.1:{port}")


async def show(call):
    try:
        price = await call
        print("cents:", price["cents"])
    except grpc.aio.AioRpcError as error:
        show_status(error.code())


def show_status(code):
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            print("the deadline is over")
        case grpc.StatusCode.UNAVAILABLE:
            print("the server is unavailable: retry")
        case _:
            print(f"{code.value[1]}: do not retry")


async def main():
    start = time.monotonic()

    async def at(seconds):
        await asyncio.sleep(start + seconds - time.monotonic())

    stock, to_stock = await serve(Stock())
    front, to_front = await serve(Front(ShopClient(to_stock)))
    try:
        await run(at, front, ShopClient(to_front))
    finally:
        await to_front.close()
        await front.stop(None)
        await to_stock.close()
        await stock.stop(None)


async def run(at, front, client):
    await at(0.4)
    print("A call of at most 30 s, through two servers:")
    await show(client.quote({"name": "tea"}, timeout=30))

    await at(0.6)
    print("A call that takes longer than its deadline:")
    await show(client.quote({"name": "cake"}, timeout=0.3))
    await at(1)
    print("handlers and tasks that were stopped:", take_stopped())

    await at(1.2)
    print("A client that gives up:")
    try:
        async with asyncio.timeout(0.2):
            await client.quote({"name": "cake"})
    except TimeoutError:
        print("given up")
    await at(1.5)
    print("handlers and tasks that were stopped:", take_stopped())

    await at(1.6)
    print("A stream of 1,000 messages, of which the client reads 3:")
    prices = client.watch({"name": "tea"})
    for _ in range(3):
        await prices.read()
    prices.cancel()
    await at(1.8)
    print("streams that were stopped:", take_stopped())

    await at(2)
    print("A deadline in the middle of a stream:")
    try:
        async for price in client.watch({"name": "salt"}, timeout=0.25):
            print("cents:", price["cents"])
    except grpc.aio.AioRpcError as error:
        show_status(error.code())

    await at(2.4)
    print("Nobody listens:")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as nobody:
            await show(ShopClient(nobody).quote({"name": "tea"}))

    await at(2.6)
    print("The server stops while it answers:")

    async def stop():
        await at(2.7)
        await front.stop(60)

    async def other():
        await at(2.8)
        await show(client.quote({"name": "tea"}))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(show(client.quote({"name": "salt"})))
        tasks.create_task(stop())
        tasks.create_task(other())
    await at(3)
    print("the server has stopped")


asyncio.run(main())
