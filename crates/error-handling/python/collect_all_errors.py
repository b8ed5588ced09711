import asyncio


class Invalid(Exception):
    pass


def all_or_raise(results):
    """All values, or all errors in one."""
    errors = [result for result in results if isinstance(result, Invalid)]
    if errors:
        raise ExceptionGroup("invalid", errors)
    # What is none of them is a bug.
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def check_name(name):
    await asyncio.sleep(0.2)
    if name in ("Ann", "Joe"):
        raise Invalid(f"the name {name} is taken")
    return name


async def check_age(age):
    await asyncio.sleep(0.1)
    if not age.isdecimal():
        raise Invalid(f"{age} is not a number")
    return int(age)


async def first_mistake(name, age):
    return await check_name(name), await check_age(age)


async def all_mistakes(name, age):
    results = await asyncio.gather(
        check_name(name), check_age(age), return_exceptions=True
    )
    return all_or_raise(results)


async def check_names(names):
    results = await asyncio.gather(*map(check_name, names), return_exceptions=True)
    return all_or_raise(results)


async def report(checking):
    try:
        await checking
        print("valid")
    except* Invalid as errors:
        for error in errors.exceptions:
            print(f"- {error}")


async def main():
    print("One mistake at a time:")
    await report(first_mistake("Ann", "old"))
    await report(first_mistake("Anna", "old"))

    print("All mistakes at once:")
    await report(all_mistakes("Ann", "old"))
    await report(all_mistakes("Anna", "18"))

    print("All mistakes in a list of names:")
    await report(check_names(["Bob", "Joe", "Ann"]))
    await report(check_names(["Bob", "Eve", "Dan"]))


asyncio.run(main())
