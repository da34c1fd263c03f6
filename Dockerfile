# Duet with all it measures with: pinned Go and Rust toolchains, git, a C compiler and linker, valgrind, gperftools and
# PostgreSQL. It is the command (docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/repo" duet run) and the sandbox of
# `duet measure --isolation container --image …`. scripts/image-test builds it and tries both.
#
# The base images are build arguments, by digest of the multi-platform index; the tag before it is for readers.
ARG DEBIAN=debian:bookworm-slim@sha256:96e378d7e6531ac9a15ad505478fcc2e69f371b10f5cdf87857c4b8188404716
ARG GOLANG=golang:1.26.8-bookworm@sha256:9fdc884aacc3bec89b20ffc69f4bb369c78210e3e4f600387b5128b12c199f81
ARG RUST=rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082

FROM ${GOLANG} AS go
ENV GOTOOLCHAIN=local CGO_ENABLED=0
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -trimpath -buildvcs=false -ldflags=-s -o /out/duet ./cmd/duet
# What compiles, without what Go itself is tested with.
RUN cp -a /usr/local/go /out/go && cd /out/go && rm -rf test api doc misc \
 && find src -depth -type d -name testdata -exec rm -rf {} + && find src -name '*_test.go' -delete

FROM ${RUST} AS rust
# The toolchain by itself: without rustup nothing can be chosen or installed later.
RUN mkdir /out && cp -a "$(rustc --print sysroot)" /out/rust && cd /out/rust \
 && rm -rf share etc bin/*clippy* bin/*rustfmt* bin/cargo-fmt bin/rustdoc bin/rust-gdb* bin/rust-lldb bin/rust-analyzer \
    libexec/rust-analyzer* lib/rustlib/src lib/rustlib/*/analysis \
 && chmod -R go+rX .

FROM ${DEBIAN}
# The version of the distribution is the base image's. The cluster that installing PostgreSQL makes is of no use here.
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
    ca-certificates gcc git google-perftools libc6-dev libgoogle-perftools4 postgresql valgrind \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /var/lib/postgresql/*/main \
    /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale \
 && useradd --uid 10001 --create-home --shell /usr/sbin/nologin duet \
 && install -d -o 10001 -g 10001 -m 0755 /repo && install -d -m 0711 /duet
COPY --from=rust /out/rust /usr/local/rust
COPY --from=go /out/go /usr/local/go
COPY --from=go /out/duet /usr/local/bin/duet
ENV PATH=/usr/local/go/bin:/usr/local/rust/bin:/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    GOTOOLCHAIN=local LANG=C.UTF-8
USER 10001:10001
WORKDIR /repo
ENTRYPOINT ["duet"]
CMD ["--help"]
