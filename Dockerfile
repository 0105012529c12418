# The server as a container image. See docs/container.md. BUILD may name an image that has /llm-proxy and an empty /data already.
ARG BUILD=compiled
ARG BASE=gcr.io/distroless/static-debian12:nonroot

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS compiled
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /llm-proxy ./local/llm-proxy \
	&& mkdir /data

FROM $BUILD AS build

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
