"""TLS from PEM files that may be renewed while the server runs."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from adaptermux_server.transport.security.files import MAX_BYTES, Reloaded, SecurityFileError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a listener. With `client_ca`, clients must show a certificate that it signed (mTLS)."""

    certificate: Path
    """The listener's certificate, then those between it and a root."""
    key: Path
    """The private key, not encrypted."""
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class _Contents:
    certificate: bytes
    key: bytes
    client_ca: bytes | None


class Certificates:
    """What the files hold. Raises SecurityFileError where they can't be used."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._read_files: Reloaded[_Contents, grpc.ServerCertificateConfiguration] = Reloaded(
            f"certificate {files.certificate}", self._read, self._parse
        )

    @property
    def is_mutual(self) -> bool:
        """Whether clients must show a certificate too."""
        return self._files.client_ca is not None

    def credentials(self) -> grpc.ServerCredentials:
        """For a listener: each new connection gets what the files hold then; those that are open stay as they are."""
        return grpc.dynamic_ssl_server_credentials(
            self._read_files.value,
            self._renewed,  # type: ignore[arg-type] # the stubs don't know that it may give None
            require_client_authentication=self.is_mutual,
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """gRPC calls this before each handshake, in threads of its own; None: nothing is new."""
        return self._read_files.value if self._read_files.refresh() else None

    def _read(self) -> _Contents:
        files = self._files
        return _Contents(
            _read(files.certificate), _read(files.key), _read(files.client_ca) if files.client_ca else None
        )

    def _parse(self, contents: _Contents) -> grpc.ServerCertificateConfiguration:
        """Check that what was read fits together: gRPC would only find out with each handshake, and say nothing."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # A key that is encrypted would else have the terminal asked for its password.
            context.load_cert_chain(self._files.certificate, self._files.key, password="")
        except (OSError, ValueError) as error:
            raise SecurityFileError(f"{self._files.certificate} and {self._files.key}: {error}") from error
        try:
            if contents.client_ca is not None:
                context.load_verify_locations(cadata=contents.client_ca.decode("ascii"))
        except (OSError, ValueError) as error:
            raise SecurityFileError(f"{self._files.client_ca} holds no certificates") from error
        if self._read() != contents:
            raise SecurityFileError("they are being changed")
        return grpc.ssl_server_certificate_configuration(
            [(contents.key, contents.certificate)], root_certificates=contents.client_ca
        )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise SecurityFileError(f"{path} can't be read: {error.strerror}") from error
