# The server as a container image, with the admin site. See docs/container.md. What it is built on and from can be named otherwise, by its digest too.
ARG NODE=node:20-bookworm-slim
ARG GO=golang:1.26-bookworm
ARG BASE=gcr.io/distroless/static-debian12:nonroot

FROM --platform=$BUILDPLATFORM $NODE AS site
COPY internal/admin/ui /ui
RUN --mount=type=cache,target=/root/.cache --mount=type=cache,target=/root/.npm /ui/tools/build.sh

FROM --platform=$BUILDPLATFORM $GO AS build
WORKDIR /src
COPY . .
COPY --from=site /ui/dist internal/admin/ui/dist
ARG TARGETOS TARGETARCH VERSION=dev GOPROXY
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
	CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /llm-proxy ./local/llm-proxy \
	&& mkdir /data

# Has the certificates of authorities and nothing to run but the program.
FROM $BASE
COPY --from=build /llm-proxy /llm-proxy
COPY --from=build --chown=65532:65532 /data /data
ENV LLM_PROXY_ADDR=0.0.0.0:8080 LLM_PROXY_DATA_DIR=/data
USER 65532:65532
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s CMD ["/llm-proxy", "server", "health"]
ENTRYPOINT ["/llm-proxy"]
CMD ["server"]
