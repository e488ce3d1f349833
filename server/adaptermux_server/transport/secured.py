"""What the settings say of the listeners' security and connections, made ready before anything else starts."""

from pathlib import Path

from adaptermux_server.config import ServerSettings
from adaptermux_server.transport.connections import ConnectionLimits
from adaptermux_server.transport.listeners import Security
from adaptermux_server.transport.security.tls import Certificates, TlsFiles
from adaptermux_server.transport.security.tokens import TokenFile


def securities(settings: ServerSettings) -> tuple[Security, Security]:
    """Of the data listener and of the admin listener, which know the same tokens. Raises SecurityFileError."""
    tokens = None if settings.tokens_file is None else TokenFile(settings.tokens_file)
    data = _certificates(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    admin = _certificates(settings.admin_tls_certificate, settings.admin_tls_key, settings.admin_tls_client_ca)
    return Security(data, tokens), Security(admin, tokens)


def connection_limits(settings: ServerSettings) -> ConnectionLimits:
    """Of both listeners."""
    return ConnectionLimits(
        max_concurrent_streams=settings.max_concurrent_streams,
        max_connection_idle_seconds=settings.max_connection_idle_seconds,
        max_connection_age_seconds=settings.max_connection_age_seconds,
        max_connection_age_grace_seconds=settings.max_connection_age_grace_seconds,
        keepalive_seconds=settings.keepalive_seconds,
        keepalive_timeout_seconds=settings.keepalive_timeout_seconds,
        max_metadata_bytes=settings.max_metadata_bytes,
    )


def _certificates(certificate: Path | None, key: Path | None, client_ca: Path | None) -> Certificates | None:
    return None if certificate is None or key is None else Certificates(TlsFiles(certificate, key, client_ca))
