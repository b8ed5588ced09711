import os
import subprocess
import time

from run import twin

scraper = twin("real-world/web_scraper")


async def bench(size):
    command = [os.environ["BENCHES"], "site", str(size)]
    pipe = subprocess.PIPE
    # It ends with its input, at the end of the block.
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as site:
        port = int(site.stdout.readline())
        options = scraper.Options(
            at_once=10, per_host=10, delay=0, depth=1_000, pages=size
        )
        items = total = 0

        def report(url, outcome):
            nonlocal items, total
            if not isinstance(outcome, scraper.Page):
                raise outcome
            items += 1
            total += len(outcome.body) + len(outcome.links)

        async with options.client() as client:
            first = [f"http://127.0.0.1:{port}/0"]
            begun = time.perf_counter()
            await scraper.scrape(client, first, options, report)
            seconds = time.perf_counter() - begun
    return seconds, items, total
