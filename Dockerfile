# The server as a container image. See docs/container.md.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /llm-proxy ./local/llm-proxy \
	&& mkdir /data

# Has the certificates of authorities, a user that is not root, and nothing to run but the program.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /llm-proxy /llm-proxy
COPY --from=build --chown=65532:65532 /data /data
ENV LLM_PROXY_ADDR=0.0.0.0:8080 LLM_PROXY_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s CMD ["/llm-proxy", "server", "health"]
ENTRYPOINT ["/llm-proxy"]
CMD ["server"]
