package lambdahost

import (
	"encoding/json"
	"net/http"
	"strings"
)

// extension is a part of the process that registered for events of its own.
type extension struct {
	name    string
	invoke  bool             // it is told of invocations
	waiting bool             // it asks for its next event
	events  chan *invocation // never more than one waits in it
}

// maxExtensions is how many may register.
const maxExtensions = 10

// serveRegister takes an extension. Only those inside the process can come here, which may ask for invocations alone.
func (env *environment) serveRegister(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Events []string `json:"events"`
	}
	name := r.Header.Get("Lambda-Extension-Name")
	if name == "" {
		refuse(w, http.StatusForbidden, "Extension.InvalidExtensionName", "the name is missing")
		return
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequestFormat", "the events are missing")
		return
	}
	x := &extension{name: name, events: make(chan *invocation, 1)}
	for _, event := range asked.Events {
		if event != "INVOKE" {
			refuse(w, http.StatusForbidden, "Extension.InvalidEventType", "an extension inside the process cannot register for "+event)
			return
		}
		x.invoke = true
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	if kind, message := env.registrable(name); kind != "" {
		refuse(w, http.StatusForbidden, kind, message)
		return
	}
	id := uuid()
	env.extensions[id] = x
	w.Header().Set("Lambda-Extension-Identifier", id)
	writeJSON(w, http.StatusOK, map[string]string{"functionName": env.host.cfg.Name, "functionVersion": "$LATEST", "handler": "bootstrap"})
}

// registrable says why an extension cannot register; nothing if it can. The lock is held.
func (env *environment) registrable(name string) (kind, message string) {
	if env.initiated {
		return "Extension.RegistrationClosed", "extensions register before the function asks for its first invocation"
	}
	for _, other := range env.extensions {
		if other.name == name {
			return "Extension.InvalidExtensionState", "an extension of this name is registered"
		}
	}
	if len(env.extensions) >= maxExtensions {
		return "Extension.TooManyExtensions", "there are ten extensions"
	}
	return "", ""
}

// isUUID reports whether a text has the form of an identifier.
func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range []byte(text) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
			return false
		}
	}
	return true
}

// serveEvent is asked for an extension's next event: it has done what the last one asked of it.
func (env *environment) serveEvent(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Lambda-Extension-Identifier")
	if !isUUID(id) {
		kind := "Extension.InvalidExtensionIdentifier"
		if id == "" {
			kind = "Extension.MissingExtensionIdentifier"
		}
		refuse(w, http.StatusForbidden, kind, "the identifier is missing, or none")
		return
	}
	env.mu.Lock()
	x := env.extensions[id]
	if x == nil {
		env.mu.Unlock()
		refuse(w, http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "no extension has this identifier")
		return
	}
	if x.waiting {
		env.mu.Unlock()
		refuse(w, http.StatusForbidden, "Extension.InvalidExtensionState", "the extension waits for an event already")
		return
	}
	x.waiting = true
	env.settle()
	env.mu.Unlock()
	select {
	case inv := <-x.events:
		writeJSON(w, http.StatusOK, map[string]any{
			"eventType": "INVOKE", "deadlineMs": inv.deadline.UnixMilli(), "requestId": inv.id, "invokedFunctionArn": env.host.arn(),
			"tracing": map[string]string{"type": "X-Amzn-Trace-Id", "value": inv.trace},
		})
	case <-env.dead:
	case <-r.Context().Done():
	}
}
