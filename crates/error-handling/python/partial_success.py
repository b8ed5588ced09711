import asyncio
from dataclasses import dataclass


@dataclass
class Outcomes:
    """What became of each input, in the order of the inputs."""

    succeeded: list
    failed: list

    def at_least(self, needed):
        if len(self.succeeded) < needed:
            raise TooFew(needed, self)
        return self


class TooFew(Exception):
    def __init__(self, needed, outcomes):
        super().__init__(f"{len(outcomes.succeeded)} succeeded, {needed} are needed")
        self.outcomes = outcomes


async def try_each(inputs, work):
    inputs = list(inputs)
    results = await asyncio.gather(*map(work, inputs), return_exceptions=True)
    outcomes = Outcomes([], [])
    for input, result in zip(inputs, results):
        if isinstance(result, BaseException):
            outcomes.failed.append((input, result))
        else:
            outcomes.succeeded.append((input, result))
    return outcomes


class StatusError(Exception):
    def __init__(self, status):
        super().__init__(f"status {status}")


async def fetch(page, attempt):
    slow = page == 3 or page == 4 and attempt == 1
    await asyncio.sleep(0.5 if slow else 0.1)
    if page == 2:
        raise StatusError(404)
    if page == 5 and attempt == 1:
        raise StatusError(503)
    assert page != 6, f"page {page} has no title"
    return f"text {page}"


async def fetch_in_time(page, attempt):
    async with asyncio.timeout(0.2):
        return await fetch(page, attempt)


def describe(error):
    match error:
        case TimeoutError():
            return "no answer in time"
        case StatusError():
            return str(error)
        case _:
            return "a bug"


def report(outcomes):
    for page, text in outcomes.succeeded:
        print(f"{page}: {text}")
    for page, error in outcomes.failed:
        print(f"{page} failed: {describe(error)}")


async def main():
    print("Errors silently dropped from five results:")
    results = await asyncio.gather(
        *(fetch_in_time(page, 1) for page in range(1, 6)), return_exceptions=True
    )
    texts = [result for result in results if not isinstance(result, Exception)]
    print(f"{len(texts)} of 5: {', '.join(texts)}")

    print("Successes and failures, in the order of the pages:")
    outcomes = await try_each(range(1, 7), lambda page: fetch_in_time(page, 1))
    report(outcomes)

    print("The failed pages are retried:")
    failed = [page for page, _ in outcomes.failed]
    outcomes = await try_each(failed, lambda page: fetch_in_time(page, 2))
    report(outcomes)

    print("Three pages are needed:")
    for pages in [range(1, 6), range(2, 6)]:
        outcomes = await try_each(pages, lambda page: fetch_in_time(page, 2))
        try:
            print(f"{len(outcomes.at_least(3).succeeded)} pages")
        except TooFew as error:
            print(f"error: {error}")
            report(error.outcomes)


asyncio.run(main())
