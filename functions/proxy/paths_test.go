//go:build unix

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hostile are request targets that name no endpoint byte for byte, though something on the way might read them as one.
var hostile = []string{
	"/v1%2fchat/completions", "/v1%2Fchat%2Fcompletions", "%2fv1/chat/completions", "/v1%5cchat/completions", "/v1\\chat\\completions",
	"//v1/chat/completions", "/v1//chat/completions", "/v1/chat//completions", "///v1/chat/completions", "/v1/chat/completions/", "/v1/chat/completions//",
	"/./v1/chat/completions", "/v1/./chat/completions", "/v1/chat/./completions", "/v1/chat/completions/.", "/v1/chat/completions.",
	"/v1/../v1/chat/completions", "/../v1/chat/completions", "/v1/chat/x/../completions", "/v1/chat/completions/..", "/v1/%2e%2e/v1/chat/completions",
	"/v1/%2e/chat/completions", "/v1/.%2e/v1/chat/completions", "/v1/%252e%252e/chat/completions", "/v1%252fchat/completions",
	"/v1/chat/completions;a=b", "/v1;a=b/chat/completions", "/v1/chat/completions%3b", "/V1/chat/completions", "/v1/Chat/completions", "/v1/chat/COMPLETIONS",
	"/v1/ch%61t/completions", "/%76%31/chat/completions", "/v1/chat/completions%20", "/v1/chat/completions%00", "/v1/chat/completions%0a", "/v1/chat/completions%3f",
	"/v1/chat/completions%23x", "/v1/chat/completions#x", "/v1/chat/completions&x", "/v1/chat/completions,", "/v1/chat/completions~", "/v1/chat/completions\xff",
	"/v1/chat/\u017fcompletions", "/v1/models/..", "/v1/models/.", "/v1/models/a/b", "/v1/models/%2e%2e", "/v1/models/a%2fb", "/v1/models/" + "a%00",
	"http://elsewhere.example/v1/chat/completions", "http:/v1/chat/completions", "v1/chat/completions", "*", "/", "/v1", "/v1/", "/another/v1/chat/completions",
	"/manage/projects", "/v1/organization/admin_api_keys", "/v1/realtime/client_secrets/../../chat/completions",
}

// raw sends a target as it stands.
func (s *stack) raw(t *testing.T, door, method, target, token string) int {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(door, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: proxy.example\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		method, target, token, len(question), question)
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, "%s %q", method, target)
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestHostilePathsReachNothingThroughEitherDoor(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	for _, target := range hostile {
		for _, method := range []string{"GET", "POST"} {
			local, onLambda := s.raw(t, s.server, method, target, token), s.raw(t, s.url, method, target, token)
			require.Contains(t, []int{400, 404, 405}, local, "%s %q", method, target)
			require.Equal(t, local, onLambda, "%s %q", method, target)
		}
	}
	require.Empty(t, s.upstream.Requests())
	require.NotContains(t, s.log.String(), `"begin"`, "and nothing was counted")
	require.GreaterOrEqual(t, len(hostile), 60)
}
