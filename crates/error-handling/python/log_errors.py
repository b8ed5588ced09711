import asyncio
import contextvars
import logging
import sys

log = logging.getLogger("shop")
request_id = contextvars.ContextVar("request_id", default=None)


class AddRequest(logging.Filter):
    def filter(self, record):
        id = request_id.get()
        record.request = "" if id is None else f"request{{id={id}}}: "
        return True


class OrderError(Exception):
    pass


class PaymentError(Exception):
    pass


class Declined(PaymentError):
    def __init__(self):
        super().__init__("the card was declined")


class Unavailable(PaymentError):
    def __init__(self):
        super().__init__("the bank does not answer")


def chain(error):
    """The error and its causes in one line."""
    return f"{error}: {chain(error.__cause__)}" if error.__cause__ else str(error)


async def charge(order):
    await asyncio.sleep(0.1 * order)
    match order:
        case 2:
            raise Declined
        case 3:
            raise Unavailable


async def place(order):
    """Fails without a word in the log: who calls it knows what the failure means."""
    try:
        await charge(order)
    except PaymentError as error:
        raise OrderError("the order is not placed") from error


async def place_noisily(order):
    try:
        await charge(order)
    except PaymentError as error:
        log.error(error)
        failure = OrderError("the order is not placed")
        log.error(f"{failure}: {error}")
        raise failure from error


async def confirm():
    """Nobody awaits its result, so it logs its error itself."""
    log.info("sending a mail")
    await asyncio.sleep(0.35)
    log.error("the mail is not sent: the server is full")


async def handle(order, group):
    """Answers a request; here its errors end."""
    request_id.set(order)
    try:
        await place(order)
    except OrderError as error:
        if isinstance(error.__cause__, Declined):
            log.info(chain(error))
            status = 402
        else:
            log.error(chain(error))
            status = 500
    else:
        group.create_task(confirm())
        status = 201
    print(f"Request {order}: {status}")


async def main():
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(AddRequest())
    handler.setFormatter(logging.Formatter("%(levelname)5s %(request)s%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)

    print("Logged at each level, one failure makes three lines:")
    token = request_id.set(3)
    try:
        await place_noisily(3)
    except OrderError as error:
        log.error(chain(error))
    request_id.reset(token)

    print("Logged where it is handled:")
    async with asyncio.TaskGroup() as group:
        for order in range(1, 4):
            group.create_task(handle(order, group))

    print("A task that is not told its request:")
    request_id.set(4)
    async with asyncio.TaskGroup() as group:
        group.create_task(confirm())


asyncio.run(main())
