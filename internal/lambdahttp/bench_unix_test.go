//go:build unix

package lambdahttp_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdaurl"

	"github.com/sofatutor/llm-proxy/internal/lambdahttp"
)

// cpu is the time that this process has spent on a CPU: what an invocation costs, however busy the machine is.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkInvocation compares this package with the library's own adapter, from the payload to the last byte of the answer.
func BenchmarkInvocation(b *testing.B) {
	small := []byte(`{"choices":[{"message":{"content":"` + strings.Repeat("x", 1000) + `"}}]}`)
	chunk := []byte(`data: {"choices":[{"delta":{"content":"hello"}}]}` + "\n\n")
	handlers := map[string]http.HandlerFunc{
		"answer": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header()["Content-Type"] = []string{"application/json"}
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write(small)
		},
		"stream of 43 chunks": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header()["Content-Type"] = []string{"text/event-stream"}
			w.WriteHeader(http.StatusOK)
			for range 43 {
				_, _ = w.Write(chunk)
				if f, ok := w.(http.Flusher); ok {
					f.Flush()
				}
			}
		},
	}
	payload := []byte(request("POST", "/v1/chat/completions",
		`"headers":{"host":"`+urlDomain+`","content-type":"application/json","authorization":"Bearer sk-fake-a","accept":"application/json","accept-encoding":"gzip, deflate","user-agent":"OpenAI/Python 3.54","x-stainless-lang":"python","x-stainless-os":"Linux","x-forwarded-for":"192.0.2.7","x-forwarded-port":"443","x-forwarded-proto":"https","x-amzn-trace-id":"Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e"}`,
		`"body":`+quote(`{"model":"m","messages":[{"role":"user","content":"`+strings.Repeat("y", 450)+`"}]}`), `"isBase64Encoded":false`))
	for name, h := range handlers {
		for adapter, f := range map[string]any{"lambdahttp": lambdahttp.Stream(h, func(context.Context) {}), "lambdaurl": lambdaurl.Wrap(h)} {
			b.Run(name+"/"+adapter, func(b *testing.B) {
				invoker := lambda.NewHandler(f)
				b.ReportAllocs()
				before := cpu(b)
				for b.Loop() {
					if _, err := invoker.Invoke(context.Background(), payload); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
