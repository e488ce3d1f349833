"""Why there is no connection. gRPC tells only of the last address that it tried, and little of that: so look again."""

import re
import socket
import ssl

from adaptermux_client.security import TlsOptions

_SECONDS = 3.0
_ADDRESS = re.compile(r"(?:dns:/*|ipv[46]:)?(?:\[(?P<v6>[^]]+)\]|(?P<host>[^:/]+)):(?P<port>\d{1,5})")
_PLAIN = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


def diagnose(address: str, tls: TlsOptions | None) -> str:
    """What to check, where TLS keeps a client from connecting to `address`; empty: it is something else.

    Takes at most a few seconds.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return ""
    host, port = found["v6"] or found["host"], int(found["port"])
    try:
        return _without_tls(host, port) if tls is None else _with_tls(host, port, tls)
    except (OSError, ValueError):
        # Nobody listens, or in a way that tells nothing. (Errors of `ssl` are OSErrors too.)
        return ""


def _without_tls(host: str, port: int) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is sent and nothing believed: that there is a handshake says all.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _shake_hands(context, host, port, host)
    except ssl.SSLError as error:
        if "ALERT" not in (error.reason or ""):
            return ""
    return "the server speaks TLS: give --ca, or --tls if a public authority signed its certificate"


def _with_tls(host: str, port: int, tls: TlsOptions) -> str:
    name = tls.server_name or host
    context = ssl.create_default_context(cafile=None if tls.ca is None else str(tls.ca))
    try:
        if tls.certificate is not None and tls.key is not None:
            context.load_cert_chain(str(tls.certificate), str(tls.key))
    except ssl.SSLError:
        return "the client's key isn't that of its certificate, or is encrypted: check --cert and --key"
    try:
        is_taken = _shake_hands(context, host, port, name)
    except ssl.SSLCertVerificationError as error:
        return _distrust(error, name)
    except ssl.SSLError as error:
        if error.reason in _PLAIN:
            return "the server doesn't speak TLS on this port: leave --ca and --tls out, or check the port"
        is_taken = "ALERT" not in (error.reason or "")
    if is_taken:
        return ""
    if tls.certificate is None:
        return "the server wants a certificate of the client too: give --cert and --key"
    return "the server refuses the client's certificate: check that it hasn't expired, and who signed it"


def _distrust(error: ssl.SSLCertVerificationError, name: str) -> str:
    # https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
    match error.verify_code:
        case 10:
            return "the server's certificate has expired: have it renewed, or check this machine's clock"
        case 9:
            return "the server's certificate isn't valid yet: check this machine's clock"
        case 62 | 64:
            return f"the server's certificate isn't for {name!r}: give --server-name, or another address"
        case _:
            return f"--ca isn't the authority of the server's certificate ({error.verify_message})"


def _shake_hands(context: ssl.SSLContext, host: str, port: int, name: str) -> bool:
    """Whether the server still wants to talk afterwards: of a client's certificate TLS 1.3 decides only then.

    Raises ssl.SSLError where the handshake fails, other kinds of OSError where there is no connection.
    """
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, port), _SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as encrypted,
    ):
        # A server of HTTP/2 speaks first.
        return bool(encrypted.recv(1))
