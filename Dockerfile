# docker build -t weir .     some 20 minutes, and 12 GB while it builds; the image has some 250 MB
# How it is run: docs/operations.md, "In a container".
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN scripts/setup.sh \
 && cargo xtask page \
 && cargo build --release --locked --package weir-server \
 && strip --strip-debug -o /weir target/release/weir

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 weir \
 && install -d -o weir /data
COPY --from=build /weir /usr/local/bin/weir
USER weir
VOLUME /data
EXPOSE 8080
HEALTHCHECK --start-period=30s CMD ["weir", "sql", "SELECT 1"]
ENTRYPOINT ["weir"]
