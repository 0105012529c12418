package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTheFrontDecidesByTheRawPath: what only looks like a path of the server's own is the proxy's, which knows what to make of it.
func TestTheFrontDecidesByTheRawPath(t *testing.T) {
	is := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name, " ", r.RequestURI) })
	}
	f := &front{exact: map[string]http.Handler{"/health": is("health")}, under: []prefixed{{"/manage/", is("manage")}, {"/admin/", is("admin")}}, proxy: is("proxy")}
	for target, want := range map[string]string{
		"/health":                  "health",
		"/health?x=1":              "health",
		"/health/":                 "proxy",
		"/Health":                  "proxy",
		"//health":                 "proxy",
		"/x/../health":             "proxy",
		"/healt%68":                "proxy",
		"http://elsewhere/health":  "proxy",
		"/manage/tokens":           "manage",
		"/manage/tokens?limit=1":   "manage",
		"/manage/":                 "manage",
		"/manage":                  "proxy",
		"/managed/tokens":          "proxy",
		"/admin/":                  "admin",
		"/admin/api/session":       "admin",
		"/admin/../v1/models":      "admin",
		"/administration/":         "proxy",
		"/%61dmin/api/session":     "proxy",
		"/manage%2ftokens":         "proxy",
		"/./manage/tokens":         "proxy",
		"/v1/manage/tokens":        "proxy",
		"/v1/models?next=/manage/": "proxy",
		"*":                        "proxy",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RequestURI = target
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		require.Equal(t, want+" "+target, w.Body.String())
	}
}

// TestABodyThatNeverComesHoldsNoConnection: the server would wait for it without end, though the handler has answered long ago, and a
// stop with it.
func TestABodyThatNeverComesHoldsNoConnection(t *testing.T) {
	answered := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") })
	f := &front{
		exact: map[string]http.Handler{"/health": answered}, under: []prefixed{{"/manage/", answered}}, proxy: answered,
		bodyWithin: 50 * time.Millisecond,
	}
	server := httptest.NewServer(f)
	defer server.Close()
	for _, head := range []string{
		"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
		"POST /manage/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
		"POST /manage/tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{",
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, head)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(scriptPatience)))
		answer, err := io.ReadAll(conn)
		require.NoError(t, err, "the server ends the connection: %q", head)
		require.Contains(t, string(answer), "fine")
	}
}
