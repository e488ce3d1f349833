"""Where adapters come from: folders of this machine and places in the network, under roots that the operator allowed.

`sources` is the public face. `local` and `place` say which URIs lie under which roots, without a look at the network;
`schemes` says how each scheme is reached, `guards` what its library mustn't do; `fetch` brings the files here, within
limits.
"""

from adaptermux_server.adapters.sources.sources import FETCH_SECONDS, Sources

__all__ = ["FETCH_SECONDS", "Sources"]
