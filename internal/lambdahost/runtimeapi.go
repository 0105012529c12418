package lambdahost

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// api is what AWS_LAMBDA_RUNTIME_API leads to: the Runtime API and the Extensions API.
func (env *environment) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", env.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", env.serveResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", env.serveError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", env.serveInitError)
	mux.HandleFunc("POST /2020-01-01/extension/register", env.serveRegister)
	mux.HandleFunc("GET /2020-01-01/extension/event/next", env.serveEvent)
	return mux
}

// refuse answers as both APIs tell an error.
func refuse(w http.ResponseWriter, status int, kind, message string) {
	writeJSON(w, status, map[string]string{"errorType": kind, "errorMessage": message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a process that has gone has no use for it
}

// accepted is the one answer that runtimes go on after.
func accepted(w http.ResponseWriter) {
	writeJSON(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

// serveNext is asked for the next invocation: the last one is over, and the process is frozen until there is another.
func (env *environment) serveNext(w http.ResponseWriter, r *http.Request) {
	env.mu.Lock()
	if env.asked || env.current != nil && !env.answered {
		env.mu.Unlock()
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation has no answer yet")
		return
	}
	env.asked = true
	env.settle()
	env.mu.Unlock()
	select {
	case inv := <-env.next:
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", env.host.arn())
		h.Set("Lambda-Runtime-Trace-Id", inv.trace)
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(inv.payload) // a process that has gone is seen to end
	case <-env.dead:
	case <-r.Context().Done():
	}
}

// answers finds the invocation that is answered, and sees to it that it is answered once.
func (env *environment) answers(w http.ResponseWriter, r *http.Request) *invocation {
	env.mu.Lock()
	defer env.mu.Unlock()
	switch {
	case env.current == nil || r.PathValue("id") != env.current.id:
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no such invocation is under way")
		return nil
	case env.answering:
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation has been answered")
		return nil
	}
	env.answering = true
	return env.current
}

// answerDone lets the runtime ask for the next invocation.
func (env *environment) answerDone() {
	env.mu.Lock()
	defer env.mu.Unlock()
	env.answered = true
}

// serveResponse takes the function's answer, as it comes or as a whole.
func (env *environment) serveResponse(w http.ResponseWriter, r *http.Request) {
	inv := env.answers(w, r)
	if inv == nil {
		return
	}
	if inv.buffered {
		env.takeWhole(w, r, inv)
		return
	}
	if pipe := inv.stream(r.Header.Get("Content-Type")); pipe != nil {
		if _, err := io.Copy(pipe, r.Body); err != nil {
			inv.fail(&FunctionError{Type: "Runtime.TruncatedResponse"})
		} else if failure := trailerError(r.Trailer); failure != nil {
			inv.fail(failure)
		} else {
			inv.end()
		}
	}
	env.answerDone()
	accepted(w)
}

func (env *environment) takeWhole(w http.ResponseWriter, r *http.Request, inv *invocation) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxPayload))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		message := fmt.Sprintf("the answer is larger than %d bytes", maxPayload)
		inv.fail(&FunctionError{Type: "Function.ResponseSizeTooLarge"})
		env.answerDone()
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", message)
		return
	case err != nil:
		inv.fail(&FunctionError{Type: "Runtime.TruncatedResponse"})
	default:
		if failure := trailerError(r.Trailer); failure != nil {
			inv.fail(failure)
		} else {
			inv.whole(r.Header.Get("Content-Type"), body)
		}
	}
	env.answerDone()
	accepted(w)
}

// trailerError is the failure that a runtime tells behind an answer that it had begun; nil if it tells none.
func trailerError(trailer http.Header) *FunctionError {
	kind := trailer.Get("Lambda-Runtime-Function-Error-Type")
	if kind == "" {
		return nil
	}
	body, err := base64.StdEncoding.DecodeString(trailer.Get("Lambda-Runtime-Function-Error-Body"))
	if err != nil {
		body = nil
	}
	return &FunctionError{Type: kind, Body: body}
}

// serveError takes the function's word that an invocation failed.
func (env *environment) serveError(w http.ResponseWriter, r *http.Request) {
	inv := env.answers(w, r)
	if inv == nil {
		return
	}
	inv.fail(readError(r))
	env.answerDone()
	accepted(w)
}

// serveInitError takes the function's word that it cannot start.
func (env *environment) serveInitError(w http.ResponseWriter, r *http.Request) {
	failure := readError(r)
	env.mu.Lock()
	late := env.initiated
	env.mu.Unlock()
	if late {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the function has started")
		return
	}
	accepted(w)
	env.host.work.Go(func() { env.shutdown(failure) })
}

func readError(r *http.Request) *FunctionError {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload))
	if err != nil {
		body = nil
	}
	kind := r.Header.Get("Lambda-Runtime-Function-Error-Type")
	if kind == "" {
		var told struct {
			Type string `json:"errorType"`
		}
		if json.Unmarshal(body, &told) == nil {
			kind = told.Type
		}
	}
	return &FunctionError{Type: orElse(kind, "Unhandled"), Body: body}
}
