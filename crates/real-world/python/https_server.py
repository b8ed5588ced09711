# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp", "httpx"]
# ///
import asyncio
import pathlib
import socket
import ssl
import tempfile
from dataclasses import dataclass

import httpx
from aiohttp import web

# Made once, valid until the year 4096.
AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBTDCB86ADAgECAgEBMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAkNBMCAXDTI1
MDEwMTAwMDAwMFoYDzQwOTYwMTAxMDAwMDAwWjANMQswCQYDVQQDDAJDQTBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABObsvzbvss/kVUpqtxSXDaAWon28YcXNnRN6
X2TjfrfMtZtPpPx8/pSvG8YpWrSRkC1Y/w5I39th3J2Z3Lc6+iujQjBAMA8GA1Ud
EwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMB0GA1UdDgQWBBQjGboCdC82F1Kb
YqbMw8fUpAGyEDAKBggqhkjOPQQDAgNIADBFAiEA2c8VAtvRYH5+N1RHiV3qiEEE
59980Cs3mWuxMlsQ+4ICIBD6u3wqNgQwsMv9dk879Pv4pLkj/YUxN1jZCx2Z9t/O
-----END CERTIFICATE-----
"""
FIRST_CHAIN = """\
-----BEGIN CERTIFICATE-----
MIIBSDCB7qADAgECAgECMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAkNBMCAXDTI1
MDEwMTAwMDAwMFoYDzQwOTYwMTAxMDAwMDAwWjARMQ8wDQYDVQQDDAZzZXJ2ZXIw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAScHTG9CZ8eq8Mhct4TrhnqAAnkZVBj
z8acOgTiwWAz93fediXvojQBxwPSncjAZ3UunlOQ1hF4Ugug2EYbCIJAozkwNzAU
BgNVHREEDTALgglsb2NhbGhvc3QwHwYDVR0jBBgwFoAUIxm6AnQvNhdSm2KmzMPH
1KQBshAwCgYIKoZIzj0EAwIDSQAwRgIhAOcD28OH+/ETCS6s2QT0g0h9NtHSLAT8
tOShh5VTyBprAiEA/7HVwR+QMDFx1/KbXX/2MXutrYs2GeuT1HxlEASQSgE=
-----END CERTIFICATE-----
"""
FIRST_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5waoHQgin89HoyNZ
z/qanAjZgPPY2jyUlYKrSpAiohyhRANCAAScHTG9CZ8eq8Mhct4TrhnqAAnkZVBj
z8acOgTiwWAz93fediXvojQBxwPSncjAZ3UunlOQ1hF4Ugug2EYbCIJA
-----END PRIVATE KEY-----
"""
RENEWED_CHAIN = """\
-----BEGIN CERTIFICATE-----
MIIBRjCB7qADAgECAgEDMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAkNBMCAXDTI1
MDEwMTAwMDAwMFoYDzQwOTYwMTAxMDAwMDAwWjARMQ8wDQYDVQQDDAZzZXJ2ZXIw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASUSgOgptBEueE12UfFZsG4QNzfxh0p
UpJo5vtqGHxJKGNLgP6FcIlLgLKLSdl/GXNufLOgXUffKWJklxs1NsO/ozkwNzAU
BgNVHREEDTALgglsb2NhbGhvc3QwHwYDVR0jBBgwFoAUIxm6AnQvNhdSm2KmzMPH
1KQBshAwCgYIKoZIzj0EAwIDRwAwRAIgA30j4IDMbN3UsqC5snfW92wRbx+N6vdh
7BUcQI4r+8sCIGhdVaMble4eayVsnbXl0DoNuLI52arNm0DihaYaP51e
-----END CERTIFICATE-----
"""
RENEWED_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+lKg2RQiucxpF4l1
iKRHXmh7xti51EGEtltWukl3enihRANCAASUSgOgptBEueE12UfFZsG4QNzfxh0p
UpJo5vtqGHxJKGNLgP6FcIlLgLKLSdl/GXNufLOgXUffKWJklxs1NsO/
-----END PRIVATE KEY-----
"""


@dataclass
class Limits:
    """What the server allows. aiohttp leaves connections and headers to a proxy."""

    handshake: float
    drain: float


class Certificate:
    """A certificate chain and its key, from two files."""

    def __init__(self, chain, key):
        self.chain = chain
        self.key = key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_alpn_protocols(["http/1.1"])
        self.reload()

    def reload(self):
        """Reads the files again. New connections get what they have."""
        # If this fails, it leaves the context without a pair that fits. So try first.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.chain, self.key)
        self.context.load_cert_chain(self.chain, self.key)


async def serve(listener, certificate, routes, limits, stop):
    """Serves until `stop` is set, and then lets the requests end."""
    app = web.Application()
    app.add_routes(routes)
    # Without `lingering_time` it reads a body that nobody wants for 10 s.
    runner = web.AppRunner(
        app, shutdown_timeout=limits.drain, lingering_time=limits.drain
    )
    await runner.setup()
    try:
        # `SSLSite` has no limit for the handshake but the 60 s of asyncio.
        server = await asyncio.get_running_loop().create_server(
            runner.server,
            sock=listener,
            ssl=certificate.context,
            ssl_handshake_timeout=limits.handshake,
        )
        await stop.wait()
        server.close()
    finally:
        await runner.cleanup()


def trusting(authority):
    """Returns a client that trusts this authority alone."""
    context = ssl.create_default_context(cadata=authority)
    return httpx.AsyncClient(verify=context, trust_env=False, timeout=LONG)


async def ask(client, url):
    """Prints what a request comes to, and with which of the certificates."""
    try:
        response = await client.get(url)
    except httpx.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            print("the certificate is signed by nobody we trust")
        else:
            print("no connection")
        return
    stream = response.extensions["network_stream"]
    seen = stream.get_extra_info("ssl_object").getpeercert(binary_form=True)
    is_first = seen == ssl.PEM_cert_to_DER_cert(FIRST_CHAIN)
    which = "first" if is_first else "renewed"
    print(f"{response.text}, with the {which} certificate")


def reload(certificate):
    try:
        certificate.reload()
        print("the certificate is renewed")
    except ssl.SSLError:
        print("the key does not fit: it stays")
    except OSError:
        print("a file cannot be read: it stays")


async def main():
    with tempfile.TemporaryDirectory() as folder:
        await show(pathlib.Path(folder))


# No part takes as long.
LONG = 30


async def show(folder):
    loop = asyncio.get_running_loop()
    # The clients take time to make.
    ready = loop.time() + 2
    chain, key = folder / "fullchain.pem", folder / "privkey.pem"
    chain.write_text(FIRST_CHAIN)
    key.write_text(FIRST_KEY)
    certificate = Certificate(chain, key)
    # A nap begins, and ends when it is told to.
    begun, end = asyncio.Event(), asyncio.Event()

    async def hello(request):
        return web.Response(text="hello")

    async def nap(request):
        begun.set()
        await end.wait()
        return web.Response(text="slept well")

    def start(routes, handshake):
        listener = socket.create_server(("127.0.0.1", 0))
        limits = Limits(handshake, drain=LONG)
        stop = asyncio.Event()
        serving = serve(listener, certificate, routes, limits, stop)
        return listener.getsockname(), stop, asyncio.create_task(serving)

    routes = [web.get("/", hello), web.get("/nap", nap)]
    address, stop, server = start(routes, LONG)
    root = f"https://localhost:{address[1]}"
    async with (
        trusting(AUTHORITY) as old_client,
        trusting(AUTHORITY) as new_client,
        trusting(AUTHORITY) as late_client,
        httpx.AsyncClient(
            verify=ssl.create_default_context(), trust_env=False
        ) as as_the_system,
    ):
        await asyncio.sleep(ready - loop.time())
        print("Clients that trust our authority, and the system's:")
        await ask(old_client, root)
        await ask(as_the_system, root)

        print("The two files are renewed, one after the other:")
        chain.write_text(RENEWED_CHAIN)
        reload(certificate)
        key.write_text(RENEWED_KEY)
        reload(certificate)
        await ask(old_client, root)
        await ask(new_client, root)

        print("A client that says nothing:")
        strict, stop_strict, strict_server = start([], 0.3)
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(*strict)
        print(f"it gets {len(await reader.read())} bytes")
        writer.close()
        stop_strict.set()
        await strict_server

        print("The server stops while it answers a request:")
        answered = asyncio.create_task(ask(old_client, f"{root}/nap"))
        await begun.wait()
        stop.set()
        await ask(late_client, root)
        end.set()
        await answered
        await server
        print("the server has stopped")


asyncio.run(main())
