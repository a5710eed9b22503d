"""What the environment says of the way to VIP: proxies and certificates, checked once for each client.

httpx would read the same variables, and raise what names none of them.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

from vipsync.client.deadline import limited
from vipsync.client.http import httpx, read_address
from vipsync.errors import SettingsError
from vipsync.settings.values import is_loopback

_KINDS = frozenset({"http", "https"})
_PORTS = range(1, 65536)
_CERTIFICATES = {"SSL_CERT_FILE": "cafile", "SSL_CERT_DIR": "capath"}


def transport_to(portal: httpx.URL, limits: httpx.Limits) -> httpx.HTTPTransport:
    """Return what leads to a portal; raise SettingsError, which names the variable to correct."""
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    transport = httpx.HTTPTransport(
        verify=_certificates() if portal.scheme == "https" else nobody,
        proxy=proxy_for(portal),
        limits=limits,
        trust_env=False,
    )
    return limited(transport)


def proxy_for(portal: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy that leads to a portal, None where none is wanted; raise SettingsError."""
    host, proxies = portal.host, getproxies()
    # A proxy cannot reach this machine's own loopback.
    if is_loopback(host) or proxy_bypass(host) or proxy_bypass(f"[{host}]"):
        return None
    for kind in (portal.scheme, "all"):
        if address := proxies.get(kind, ""):
            return _proxy(address, _variable(f"{kind}_proxy"), host)
    return None


def _variable(name: str) -> str:
    there = (spelt for spelt in (name, name.upper()) if os.environ.get(spelt))
    return next(there, "The system's setting for proxies")


def _proxy(address: str, variable: str, host: str) -> httpx.Proxy:
    """Read an address, which may hold a password: it is not repeated."""
    remedy = f"Correct it, or let NO_PROXY name {host} if VIP can be reached without a proxy."
    url = read_address(address if "://" in address else f"http://{address}")
    if url.scheme and url.scheme not in _KINDS:
        message = f"{variable} names a {url.scheme} proxy; only http and https ones can be used."
        raise SettingsError(message, remedy)
    if not (url.scheme and url.host) or (url.port is not None and url.port not in _PORTS):
        raise SettingsError(f"{variable} is no address of a proxy, like http://host:port.", remedy)
    return httpx.Proxy(url)


def _certificates() -> ssl.SSLContext:
    """Return what decides whom to trust."""
    try:
        for variable, kind in _CERTIFICATES.items():
            if place := os.environ.get(variable):
                return _trusting(variable, place, kind)
        return httpx.create_ssl_context(trust_env=False)
    except OSError as error:
        raise _unusable("SSLKEYLOGFILE", os.environ.get("SSLKEYLOGFILE", ""), error) from error


def _trusting(variable: str, place: str, kind: str) -> ssl.SSLContext:
    try:
        if kind == "capath":
            next(os.scandir(place), None)
        else:
            Path(place).open("rb").close()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(**{kind: place})
    except (OSError, ValueError) as error:
        raise _unusable(variable, place, error) from error
    return ssl.create_default_context(**{kind: place})  # type: ignore[arg-type]


def _unusable(variable: str, place: str, error: Exception) -> SettingsError:
    of_ssl = isinstance(error, ssl.SSLError)
    reason = "no certificates can be read there" if of_ssl else getattr(error, "strerror", "")
    return SettingsError(
        f"{variable} names {place}: {reason or error}.",
        f"Correct it, or take {variable} out of the environment.",
    )
