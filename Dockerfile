# syntax=docker/dockerfile:1
# Two stages: the first installs with the Makefile's own step, the second holds nothing but the result.
FROM python:3.11-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
# Here torch has a CPU build, which pip prefers under the pin in constraints.txt; the default index has CUDA's, of GB.
# For a GPU: --build-arg PIP_EXTRA_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY Makefile pyproject.toml constraints.txt README.md LICENSE ./
COPY proto proto
COPY server server
COPY client client
RUN make image-steps IMAGE_VENV=/opt/adaptermux

FROM python:3.11-slim-bookworm
# The first process of a container gets no signal that it hasn't asked for yet: without tini one that still imports its
# libraries couldn't be stopped.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends tini && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home adaptermux \
    && install --directory --owner=adaptermux --mode=0700 /var/lib/adaptermux
COPY --from=build /opt/adaptermux /opt/adaptermux
ENV PATH=/opt/adaptermux/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    ADAPTERMUX_ADDRESS=0.0.0.0:50051 \
    ADAPTERMUX_ADMIN_ADDRESS=127.0.0.1:50052 \
    ADAPTERMUX_STORE=/var/lib/adaptermux/store \
    ADAPTERMUX_LOG_FORMAT=json
USER 10001
# Nothing else is written to, but for /tmp. The base model comes in from outside, for example:
#   docker run --read-only --tmpfs /tmp -v /srv/models:/models:ro -v adaptermux:/var/lib/adaptermux \
#     -p 127.0.0.1:50051:50051 adaptermux --model /models/base --adapter-root /models/adapters
VOLUME ["/var/lib/adaptermux"]
EXPOSE 50051
HEALTHCHECK --interval=30s --timeout=10s --start-period=300s --start-interval=5s \
    CMD ["adaptermux", "health", "--address", "127.0.0.1:50051"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "adaptermux", "serve"]
