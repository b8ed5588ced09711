import asyncio
import contextlib
import functools
import socket
import ssl
import tempfile


class TlsError(Exception):
    pass


def identify(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # It is read from files only.
    with tempfile.NamedTemporaryFile("w") as chain:
        chain.write(certificate + key)
        chain.flush()
        context.load_cert_chain(chain.name)
    return context


# The codes of X509_verify_cert(3).
EXPIRED = 10
UNKNOWN_ISSUER = (7, 18, 19, 20)
WRONG_HOST = 62


async def connect(context, host, server, limit):
    try:
        return await asyncio.open_connection(
            *server, ssl=context, server_hostname=host, ssl_handshake_timeout=limit
        )
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in UNKNOWN_ISSUER:
            raise TlsError("the certificate is signed by nobody we trust") from error
        if error.verify_code == EXPIRED:
            raise TlsError("the certificate has expired") from error
        if error.verify_code == WRONG_HOST:
            raise TlsError("the certificate is for another host") from error
        raise TlsError("the handshake failed") from error
    except ConnectionAbortedError as error:
        raise TlsError("no handshake in time") from error
    except OSError as error:
        raise TlsError("the handshake failed") from error


async def answer(permits, reader, writer):
    try:
        async with permits, asyncio.timeout(LONG):
            # At most the `limit` of `start_server`.
            question = await reader.readline()
            if question == b"whole\n":
                writer.write(b"1234")
                writer.close()
                await writer.wait_closed()
            else:
                writer.write(b"12")
                await writer.drain()
    except (TimeoutError, ValueError, OSError):
        # Too slow, too long, or gone.
        pass
    finally:
        writer.transport.abort()


async def ask(connection, question):
    reader, writer = connection
    writer.write(f"{question}\n".encode())
    answer = await reader.read()
    print(f"{question}: {answer.decode()}")
    writer.close()
    await writer.wait_closed()


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

LIMIT = 0.3
# No part takes as long.
LONG = 30
CONNECTIONS = 100


@contextlib.asynccontextmanager
async def start(context, handshake=LONG):
    connected = functools.partial(answer, asyncio.Semaphore(CONNECTIONS))
    server = await asyncio.start_server(
        connected,
        "127.0.0.1",
        0,
        limit=1000,
        ssl=context,
        ssl_handshake_timeout=handshake,
    )
    async with server:
        yield server.sockets[0].getsockname()


async def upgrade(context, reader, writer):
    """Answers a command without TLS, and then begins it."""
    await reader.readline()
    writer.write(b"go ahead\n")
    await writer.start_tls(context)
    writer.write(await reader.readline())
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def main():
    loop = asyncio.get_running_loop()
    ready = loop.time() + 0.4
    client = ssl.create_default_context(cadata=AUTHORITY)
    as_the_system = ssl.create_default_context()
    identity = identify(CERTIFICATE, KEY)
    async with (
        start(identity) as server,
        start(identify(OLD_CERTIFICATE, KEY)) as old_server,
        start(identity, LIMIT) as strict,
    ):
        await asyncio.sleep(ready - loop.time())
        print("Two answers, one of them cut off:")
        for question in ["whole", "half"]:
            await ask(await connect(client, "localhost", server, LONG), question)

        print("Certificates that are refused:")
        for context, host, address in [
            (as_the_system, "localhost", server),
            (client, "localhost", old_server),
            (client, "example.com", server),
        ]:
            try:
                await connect(context, host, address, LONG)
                print("connected")
            except TlsError as error:
                print(error)

        print("A client who says nothing does not hold up the others:")
        _, silent = await asyncio.open_connection(*server)
        await ask(await connect(client, "localhost", server, LONG), "whole")
        silent.close()
        reader, writer = await asyncio.open_connection(*strict)
        print(f"the silent one gets {len(await reader.read())} bytes")
        writer.close()

        print("A server that says nothing:")
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            try:
                await connect(client, "localhost", nobody.getsockname(), LIMIT)
            except TlsError as error:
                print(error)

    print("TLS begins after a command, and something was sent in between:")
    upgraded = functools.partial(upgrade, identity)
    async with await asyncio.start_server(upgraded, "127.0.0.1", 0) as plain:
        address = plain.sockets[0].getsockname()
        for command in [b"STARTTLS\n", b"STARTTLS\nand more\n"]:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(command)
            await reader.readline()
            await writer.start_tls(client, server_hostname="localhost")
            writer.write(b"hello\n")
            print(f"over TLS came: {(await reader.readline()).decode().rstrip()}")
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


asyncio.run(main())
