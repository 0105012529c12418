// Toy is a function that does what a test asks of it.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdaurl"

	"github.com/sofatutor/llm-proxy/internal/lambdahttp"
)

func main() {
	fmt.Println("hello from the function")
	switch os.Getenv("TOY") {
	case "exit":
		os.Exit(7)
	case "init error":
		_, _ = http.Post("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01/runtime/init/error", "application/json", nil)
		select {}
	case "bystander": // the test itself plays the runtime
		fmt.Println("api", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
		time.Sleep(time.Minute)
	case "events":
		lambda.Start(handleEvent)
	case "sigterm":
		lambda.StartWithOptions(lambdahttp.Stream(http.HandlerFunc(serve), nil), lambda.WithEnableSIGTERM(func() { fmt.Println("sigterm came") }))
	case "registering":
		conformRegistering()
	case "invoking":
		conformInvoking(400 * time.Millisecond)
	case "lambdaurl": // the library's own adapter, to compare with
		lambdaurl.Start(http.HandlerFunc(serve))
	case "buffered":
		lambda.Start(lambdahttp.Buffered(http.HandlerFunc(serve), nil))
	}
	lambda.Start(lambdahttp.Stream(http.HandlerFunc(serve), hook))
}

// small is an answer of about the size of a completion's.
var small = []byte(`{"choices":[{"message":{"content":"` + strings.Repeat("x", 1000) + `"}}]}`)

// hook is slow where the test asks for it.
func hook(context.Context) {
	ms, _ := strconv.Atoi(os.Getenv("HOOK_MS"))
	time.Sleep(time.Duration(ms) * time.Millisecond)
	if ms > 0 {
		fmt.Println("the hook has run")
	}
}

func handleEvent(_ context.Context, e map[string]any) (any, error) {
	fmt.Println("event", e["id"])
	switch e["do"] {
	case "fail":
		return nil, errors.New("fake failure")
	case "large":
		return make([]byte, 6<<20), nil
	case "exit":
		os.Exit(3)
	}
	return e, nil
}

func serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/echo", "/below/../nothing":
		echo(w, r)
	case "/stream":
		stream(w, r)
	case "/exit":
		_, _ = w.Write([]byte("data: 1\n\n"))
		w.(http.Flusher).Flush()
		time.Sleep(50 * time.Millisecond)
		os.Exit(3)
	case "/abort":
		_, _ = w.Write([]byte("data: 1\n\n"))
		panic(http.ErrAbortHandler)
	case "/panic":
		panic("fake panic")
	case "/hang":
		_, _ = w.Write([]byte("data: 1\n\n"))
		w.(http.Flusher).Flush()
		select {}
	case "/child":
		_ = exec.Command("sleep", "60").Start()
	case "/cookies":
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header().Set("Www-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
	case "/small":
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(small)
	case "/chunks":
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for range 43 {
			_, _ = w.Write(small[:60])
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
			}
		}
	case "/spin":
		spin(w, 60*time.Millisecond)
	case "/eat":
		eaten = make([]byte, 300<<20)
		for i := 0; i < len(eaten); i += 4 << 10 {
			eaten[i] = 1
		}
	case "/nothing":
		w.WriteHeader(http.StatusNoContent)
	}
}

var eaten []byte

// spin uses so much of a processor, and tells how long that took.
func spin(w http.ResponseWriter, most time.Duration) {
	began := time.Now()
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for from := used(); used()-from < most; {
	}
	fmt.Fprint(w, time.Since(began).Milliseconds())
}

// echo tells what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	env := map[string]string{}
	for _, name := range []string{"AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "HOME", "GREETING", "TMPDIR", "LAMBDA_TASK_ROOT"} {
		env[name] = os.Getenv(name)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "uri": r.RequestURI, "host": r.Host, "remote": r.RemoteAddr, "header": r.Header, "length": r.ContentLength,
		"sha256": fmt.Sprintf("%x", sha256.Sum256(body)), "env": env, "pid": os.Getpid(),
	})
}

// stream sends lines, waiting between them.
func stream(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	for i := range n {
		time.Sleep(time.Duration(ms) * time.Millisecond)
		fmt.Fprintf(w, "data: %d\n\n", i)
		w.(http.Flusher).Flush()
	}
	fmt.Println("the stream has ended")
	fmt.Fprint(os.Stderr, "half a line")
}
