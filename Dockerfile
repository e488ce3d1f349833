# syntax=docker/dockerfile:1
# Two stages: the first installs with the Makefile's own step, the second holds nothing but the result.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Makefile pyproject.toml constraints.txt README.md LICENSE ./
COPY proto proto
COPY server server
COPY client client
RUN make image-steps IMAGE_VENV=/opt/adaptermux

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home adaptermux
COPY --from=build /opt/adaptermux /opt/adaptermux
ENV PATH=/opt/adaptermux/bin:$PATH \
    HF_HUB_OFFLINE=1 \
    ADAPTERMUX_ADDRESS=0.0.0.0:50051 \
    ADAPTERMUX_ADMIN_ADDRESS=127.0.0.1:50052 \
    ADAPTERMUX_LOG_FORMAT=json
USER 10001
EXPOSE 50051
# Mount the base model and the adapters, for example:
#   docker run --read-only -v /models:/models:ro -p 50051:50051 adaptermux \
#     --model /models/base --adapter sentiment=/models/adapters/sentiment
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
    CMD ["adaptermux", "health", "--address", "127.0.0.1:50051"]
ENTRYPOINT ["adaptermux", "serve"]
