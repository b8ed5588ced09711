# /// script
# dependencies = ["asyncpg"]
# ///
import asyncio
import contextlib
import os
import ssl
import tempfile
import time
from urllib.parse import urlsplit

import asyncpg

# Made once, valid until the year 4096.
AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBTDCB86ADAgECAgEBMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAkNBMCAXDTI1
MDEwMTAwMDAwMFoYDzQwOTYwMTAxMDAwMDAwWjANMQswCQYDVQQDDAJDQTBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABMvFemGPr4loMPorCDUI+ToEuqydLxiTYrcu
44EdnETUeEAMUWNTsKBpxj3lD2V8+OI72e69OfXNOL4uSW6zJXSjQjBAMA8GA1Ud
EwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMB0GA1UdDgQWBBTDwozihOOgmNHO
0NZWo+8J0/7tvjAKBggqhkjOPQQDAgNIADBFAiEA/6B8YWsNTiilzkGW1o3JJB/H
zuV4KK/0T0lG/OdviM4CIBbkUbHtHW/iK5YS3jXLP+anJ+9jGtDBhhpSaz9gnWO5
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgF6MtCs+G8Bc24RJn
gJaB8hdKMhr0s8GEv9P70XbQxYShRANCAARxMwSqnRihZtyhzAZO8YHHW4wD9tmQ
fnlaK9jSjB1pkFKvwjPav6KLdvEKjrQmSRBHwvxcKyr5tSmFGLZ5Jz/o
-----END PRIVATE KEY-----
"""
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBSDCB7qADAgECAgECMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAkNBMCAXDTI1
MDEwMTAwMDAwMFoYDzQwOTYwMTAxMDAwMDAwWjARMQ8wDQYDVQQDDAZzZXJ2ZXIw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARxMwSqnRihZtyhzAZO8YHHW4wD9tmQ
fnlaK9jSjB1pkFKvwjPav6KLdvEKjrQmSRBHwvxcKyr5tSmFGLZ5Jz/oozkwNzAU
BgNVHREEDTALgglsb2NhbGhvc3QwHwYDVR0jBBgwFoAUw8KM4oTjoJjRztDWVqPv
CdP+7b4wCgYIKoZIzj0EAwIDSQAwRgIhAK94vRmn7+PB7swwFPiAsZizpOM+O1/d
xGrmVqnRWqhRAiEArrUNxB6cuoh8Oh0jqKQQknvN+Z2o3TR4Qo/wCxS3Nmw=
-----END CERTIFICATE-----
"""
# Valid until 2025.
OLD_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBRjCB7KADAgECAgEDMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAkNBMB4XDTI1
MDEwMTAwMDAwMFoXDTI1MDEwMjAwMDAwMFowETEPMA0GA1UEAwwGc2VydmVyMFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcTMEqp0YoWbcocwGTvGBx1uMA/bZkH55
WivY0owdaZBSr8Iz2r+ii3bxCo60JkkQR8L8XCsq+bUphRi2eSc/6KM5MDcwFAYD
VR0RBA0wC4IJbG9jYWxob3N0MB8GA1UdIwQYMBaAFMPCjOKE46CY0c7Q1laj7wnT
/u2+MAoGCCqGSM49BAMCA0kAMEYCIQCYd4Cb2yCdcRsdUeg9Q+TaxdrhLuLmxVU8
dADVISpYPgIhAPP4V59Hsnwyax7rsb79f49IukYZLzFH1HumxUXv7MMW
-----END CERTIFICATE-----
"""

# The codes of X509_verify_cert(3).
REFUSED = {
    10: "the certificate has expired",
    18: "the certificate is signed by nobody we trust",
    19: "the certificate is signed by nobody we trust",
    20: "the certificate is signed by nobody we trust",
    64: "the certificate is for another host",
}


def identify(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # It is read from files only.
    with tempfile.NamedTemporaryFile("w") as chain:
        chain.write(certificate + KEY)
        chain.flush()
        context.load_cert_chain(chain.name)
    return context


async def copy(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def forward(answer, reader, writer):
    """Answers a client who asks for TLS, and brings what it says to the database."""
    database = urlsplit(os.environ["DATABASE_URL"])
    try:
        # Four bytes of length, and a number that asks for TLS.
        await reader.readexactly(8)
        writer.write(b"N" if answer == "no" else b"S")
        if answer == "silence":
            # Until the client is gone.
            await reader.read(-1)
            return
        if answer != "no":
            await writer.start_tls(answer)
        to_database = await asyncio.open_connection(
            database.hostname, database.port or 5432
        )
        await asyncio.gather(
            copy(reader, to_database[1]), copy(to_database[0], writer)
        )
    except (OSError, asyncio.IncompleteReadError):
        # Refused, or gone.
        pass
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def front(answer):
    connections = set()

    def connected(reader, writer):
        connection = asyncio.create_task(forward(answer, reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield {
            "dsn": os.environ["DATABASE_URL"],
            "host": "localhost",
            "port": server.sockets[0].getsockname()[1],
            "timeout": 10,
        }
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def try_to_connect(server):
    try:
        connection = await asyncpg.connect(**server)
    except ssl.SSLCertVerificationError as error:
        print(REFUSED[error.verify_code])
    except TimeoutError:
        print("no connection in time")
    except ConnectionError:
        print("refused: the server has no TLS")
    else:
        print("over TLS:", await connection.fetchval("SELECT 42"))
        await connection.close()


async def main():
    start = time.monotonic()

    async def at(millis):
        await asyncio.sleep(start + millis / 1000 - time.monotonic())

    trust = ssl.create_default_context(cadata=AUTHORITY)
    trust_others = ssl.create_default_context(cadata=CERTIFICATE)
    async with (
        front(identify(CERTIFICATE)) as good,
        front(identify(OLD_CERTIFICATE)) as old,
        front("no") as none,
        front("silence") as silent,
    ):
        await at(400)
        print("A certificate of an authority that we trust:")
        await try_to_connect({**good, "ssl": trust})

        await at(600)
        print("Certificates that are refused:")
        await try_to_connect({**good, "ssl": trust_others})
        await try_to_connect({**old, "ssl": trust})
        await try_to_connect({**good, "ssl": trust, "host": "127.0.0.1"})

        await at(800)
        print("Three callers share a pool of two connections:")
        async with asyncpg.create_pool(
            **good, ssl=trust, min_size=0, max_size=2
        ) as pool:
            calls = (pool.execute("SELECT pg_sleep(0.1)") for _ in range(3))
            await asyncio.gather(*calls)
            await at(1100)
            print("connections:", pool.get_size())

        await at(1300)
        print("A caller gives up after 0.1 s, and its statement is cancelled:")
        connection = await asyncpg.connect(**good, ssl=trust)
        with contextlib.suppress(TimeoutError):
            await connection.execute("SELECT pg_sleep(60)", timeout=0.1)
        answer = await connection.fetchval("SELECT 42")
        await at(1500)
        print("the next caller gets", answer)
        await connection.close()

        await at(1700)
        print("Somebody in between says that the server has no TLS:")
        await try_to_connect({**none, "ssl": trust})
        connection = await asyncpg.connect(**none, ssl="prefer")
        answer = await connection.fetchval("SELECT 42")
        print("with prefer, in plain text:", answer)
        await connection.close()

        await at(1900)
        print("A server that says yes and then nothing:")
        await try_to_connect({**silent, "ssl": trust, "timeout": 0.3})


asyncio.run(main())
