package provider_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

// here marks the line of a file that its mistake is reported at.
const here = "#!"

// TestEachMistakeIsNamedWithItsLineAndCause: an operator who starts the server with a wrong file reads one line that says where to look.
func TestEachMistakeIsNamedWithItsLineAndCause(t *testing.T) {
	const top = "# our providers\ndefault: a\nproviders:\n"
	const ours = top + "  a:\n    preset: openai_compatible\n    base_url: https://a.example\n"
	with := func(lines ...string) string { return ours + "    " + strings.Join(lines, "\n    ") + "\n" }
	base := func(url string) string {
		return top + "  a:\n    preset: openai_compatible\n    base_url: " + url + " #!\n"
	}
	endpoints := func(lines ...string) string {
		return ours + "    endpoints:\n      - " + strings.Join(lines, "\n      - ") + "\n"
	}
	for name, c := range map[string]struct{ file, cause string }{
		// YAML
		"a tab":                   {top + "  a:\n\tpreset: openai #!\n", ""},
		"no end of a list":        {with("cors: {allowed_origins: [x #!"), ""},
		"an indent too little":    {top + "  a:\n    preset: openai\n   base_url: x #!\n", ""},
		"a text for a map":        {top + "  a: openai #!\n", "mapping"},
		"a list for a map":        {"default: a\nproviders:\n  - a #!\n", "mapping"},
		"a list for a text":       {with("path_prefix: [x] #!"), ""},
		"a text for a number":     {with("retry: {attempts: many} #!"), ""},
		"a text for a truth":      {with("private: maybe #!"), ""},
		"an alias without anchor": {with("auth: *theirs #!"), ""},
		"nothing":                 {"", "providers is missing"},
		"a comment":               {"# nothing yet\n", "providers is missing"},
		"only a default":          {"default: a\n", "providers is missing"},
		"a provider of nothing":   {top + "  a: #!\n", "mapping"},
		"a text for the whole":    {"openai #!\n", ""},
		// keys
		"unknown at the top":     {"colour: red #!\n" + ours, "unknown field"},
		"unknown in a provider":  {with("colour: red #!"), "unknown field"},
		"unknown in a part":      {with("timeouts:", "  idle: 5s", "  total: 5s #!"), "unknown field"},
		"unknown in an endpoint": {endpoints("path: /v1/a", "path: /v1/b\n        methods: [GET]\n        cost: high #!"), "unknown field"},
		"a key twice":            {with("base_url: https://b.example #!"), "already defined"},
		"a part twice":           {with("timeouts: {idle: 5s}", "timeouts: {idle: 6s} #!"), "already defined"},
		"a provider twice":       {ours + "  a: {preset: openai} #!\n", "already defined"},
		"merged keys":            {with("<<: {preset: openai} #!"), ""},
		// names
		"the default of nobody": {"default: b #!\nproviders:\n  a: {preset: openai}\n", "default names no provider: \"b\""},
		"no default":            {"providers:\n  a: {preset: openai}\n", "default names no provider"},
		"reserved v1":           {"default: v1\nproviders:\n  v1: {preset: openai} #!\n", "reserved"},
		"reserved manage":       {ours + "  manage: {preset: openai} #!\n", "reserved"},
		"reserved admin":        {ours + "  admin: {preset: openai} #!\n", "reserved"},
		"reserved health":       {ours + "  health: {preset: openai} #!\n", "reserved"},
		"reserved metrics":      {ours + "  metrics: {preset: openai} #!\n", "reserved"},
		"a name in capitals":    {ours + "  OpenAI: {preset: openai} #!\n", "[a-z0-9-]"},
		"a name with a slash":   {ours + "  a/b: {preset: openai} #!\n", "[a-z0-9-]"},
		"a name with a dot":     {ours + "  a.b: {preset: openai} #!\n", "[a-z0-9-]"},
		"an empty name":         {ours + "  '': {preset: openai} #!\n", "[a-z0-9-]"},
		"a long name":           {ours + "  " + strings.Repeat("a", 65) + ": {preset: openai} #!\n", "[a-z0-9-]"},
		"an unknown preset":     {top + "  a:\n    preset: mistral #!\n    base_url: https://a.example\n", "unknown preset \"mistral\", only openai"},
		// where it is
		"no base URL":                {top + "  a: #!\n    preset: openai_compatible\n", "base_url is missing"},
		"http":                       {base("http://a.example"), "https or set private"},
		"http to a private address":  {base("http://10.0.0.1"), "private"},
		"another scheme":             {base("ftp://a.example"), "https URL"},
		"no scheme":                  {base("a.example"), "https URL"},
		"no host":                    {base("https:///v1"), "https URL"},
		"a user":                     {base("https://user:pass@a.example"), "user"},
		"a query":                    {base("'https://a.example?key=x'"), "query"},
		"an empty query":             {base("'https://a.example?'"), "query"},
		"a fragment":                 {base("'https://a.example#x'"), "fragment"},
		"a port out of range":        {base("https://a.example:70000"), "port"},
		"port 0":                     {base("https://a.example:0"), "port"},
		"an encoded path":            {base("https://a.example/a%2fb"), "path"},
		"dots in a path":             {base("https://a.example/v1/../x"), "path"},
		"an empty segment":           {base("https://a.example//v1"), "path"},
		"private 10":                 {base("https://10.0.0.1"), "private"},
		"private 192.168":            {base("https://192.168.0.1"), "private"},
		"private IPv6":               {base("https://[fd00::1]"), "private"},
		"link-local":                 {base("https://169.254.169.254"), "link-local"},
		"link-local IPv6":            {base("https://[fe80::1]"), "link-local"},
		"mapped loopback":            {base("https://[::ffff:127.0.0.1]"), "hides"},
		"mapped private":             {base("https://[::ffff:10.0.0.1]"), "hides"},
		"decimal":                    {base("https://2130706433"), "usual form"},
		"hexadecimal":                {base("https://0x7f000001"), "usual form"},
		"octal":                      {base("https://0177.0.0.1"), "usual form"},
		"shortened":                  {base("https://127.1"), "usual form"},
		"unspecified":                {base("https://0.0.0.0"), "no host"},
		"everybody":                  {base("https://255.255.255.255"), "private"},
		"a name of other letters":    {base("https://\u0430.example"), "usual form"},
		"a prefix without a slash":   {with("path_prefix: v2 #!"), "path_prefix"},
		"a prefix with one too many": {with("path_prefix: /v2/ #!"), "path_prefix"},
		"a prefix with dots":         {with("path_prefix: /../v2 #!"), "path_prefix"},
		// endpoints
		"no endpoints":              {top + "  a: #!\n    base_url: https://a.example\n", "no endpoints"},
		"the same path and method":  {endpoints("{path: /v1/x, methods: [GET]}", "{path: /v1/x, methods: [POST, GET]} #!"), "GET /v1/x is there twice"},
		"a method twice":            {endpoints("{path: /v1/x, methods: [GET, GET]} #!"), "twice"},
		"one of the preset's":       {endpoints("{path: /v1/chat/completions, methods: [POST]} #!"), "twice"},
		"another name for an id":    {endpoints("{path: '/v1/models/{m}', methods: [GET]} #!"), "twice"},
		"no methods":                {endpoints("{path: /v1/x} #!"), "no methods"},
		"no path":                   {endpoints("{methods: [GET]} #!"), "template"},
		"a path without /v1":        {endpoints("{path: /x, methods: [GET]} #!"), "template"},
		"a path of /v1":             {endpoints("{path: /v1, methods: [GET]} #!"), "template"},
		"a slash at the end":        {endpoints("{path: /v1/x/, methods: [GET]} #!"), "template"},
		"an id within a segment":    {endpoints("{path: '/v1/x-{id}', methods: [GET]} #!"), "template"},
		"an id without a name":      {endpoints("{path: '/v1/{}', methods: [GET]} #!"), "template"},
		"a star":                    {endpoints("{path: '/v1/*', methods: [GET]} #!"), "template"},
		"an encoded path of one":    {endpoints("{path: '/v1/a%2fb', methods: [GET]} #!"), "template"},
		"dots in a template":        {endpoints("{path: /v1/a/../b, methods: [GET]} #!"), "template"},
		"a query in a template":     {endpoints("{path: '/v1/a?b', methods: [GET]} #!"), "template"},
		"an unknown method":         {endpoints("{path: /v1/x, methods: [FETCH]} #!"), "unknown method"},
		"a method in small letters": {endpoints("{path: /v1/x, methods: [get]} #!"), "unknown method"},
		"CONNECT":                   {endpoints("{path: /v1/x, methods: [CONNECT]} #!"), "unknown method"},
		"an unknown usage":          {endpoints("{path: /v1/x, methods: [GET], usage: guess} #!"), "unknown usage \"guess\", only openai-chat"},
		"an unknown group":          {endpoints("{path: /v1/x, methods: [GET], group: all} #!"), "unknown group"},
		"a cap that is no size":     {endpoints("{path: /v1/x, methods: [GET], request_bytes: 5MB} #!"), "size"},
		// headers
		"a key in no header":    {with("auth: {header: Content-Length} #!"), "cannot carry a key"},
		"a key in Host":         {with("auth: {header: host} #!"), "cannot carry a key"},
		"a key in a cookie":     {with("auth: {header: Cookie} #!"), "cannot carry a key"},
		"a header of two words": {with("auth: {header: My Key} #!"), "invalid header name"},
		"a scheme of two words": {with("auth: {scheme: a b} #!"), "scheme"},
		"a credential set":      {with("request_headers: {set: {Authorization: x}} #!"), "cannot be set"},
		"framing set":           {with("request_headers: {set: {transfer-encoding: chunked}} #!"), "cannot be set"},
		"a line end set":        {with("request_headers: {set: {X-A: \"a\\r\\nX-B: c\"}} #!"), "invalid value"},
		"a name set twice":      {with("request_headers: {set: {X-A: 1, x-a: 2}} #!"), "twice"},
		"a bad name set":        {with("request_headers: {set: {'X A': 1}} #!"), "invalid header name"},
		"a bad name dropped":    {with("request_headers: {drop: ['X A']} #!"), "invalid header name"},
		"a bad name in answers": {with("response_headers: {drop: ['']} #!"), "invalid header name"},
		"other errors":          {with("errors: google #!"), "unknown errors"},
		// numbers
		"a duration of words":     {with("timeouts: {idle: soon} #!"), "no duration"},
		"a duration without unit": {with("timeouts: {connect: 5} #!"), "no duration"},
		"no time at all":          {with("timeouts: {response_header: 0s} #!"), "no duration"},
		"a negative time":         {with("timeouts: {idle: -5s} #!"), "no duration"},
		"a year":                  {with("timeouts: {idle: 8760h} #!"), "no duration"},
		"a window of words":       {with("circuit_breaker: {window: long} #!"), "no duration"},
		"a cooldown of none":      {with("circuit_breaker: {cooldown: 0s} #!"), "no duration"},
		"no failures":             {with("circuit_breaker: {failures: 0} #!"), "between 1 and 1000"},
		"two tries more":          {with("retry: {attempts: 2} #!"), "between 0 and 1"},
		"a size in MB":            {with("limits: {request_bytes: 5MB} #!"), "size"},
		"a size of nothing":       {with("limits: {request_bytes: 0B} #!"), "size"},
		"a size of everything":    {with("limits: {request_bytes: 9999999999GiB} #!"), "1024GiB"},
		"no connections":          {with("limits: {connections_per_host: 0} #!"), "between 1 and 65535"},
		"every origin":            {with("cors: {allowed_origins: ['*']} #!"), "origin"},
		"an origin with a path":   {with("cors: {allowed_origins: ['https://a.example/']} #!"), "origin"},
		"an origin in capitals":   {with("cors: {allowed_origins: ['https://A.example']} #!"), "origin"},
	} {
		t.Run(name, func(t *testing.T) {
			line := 1
			if i := strings.Index(c.file, here); i >= 0 {
				line = 1 + strings.Count(c.file[:i], "\n")
			}
			file := filepath.Join(t.TempDir(), "providers.yaml")
			require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(c.file, here, "  ")), 0o600))
			_, err := provider.Load(file)
			require.Error(t, err)
			require.True(t, strings.HasPrefix(err.Error(), fmt.Sprintf("%s:%d:", file, line)), "wanted line %d: %s", line, err)
			require.Contains(t, err.Error(), c.cause)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	_, err := provider.Load(filepath.Join(t.TempDir(), "nowhere.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = provider.Parse("p.yaml", make([]byte, 1<<20+1))
	require.ErrorContains(t, err, "p.yaml:1:1: the file is larger than 1 MiB")
}

// TestWhatAFileMaySay: everything at once, and what becomes of it.
func TestWhatAFileMaySay(t *testing.T) {
	s, err := provider.Parse("p.yaml", []byte(`
default: ours
providers:
  ours:
    base_url: http://192.168.1.20:11434/base/
    private: true
    path_prefix: ""
    auth: {header: x-our-key}
    errors: anthropic
    request_headers: {drop: [x-one, X-TWO], set: {x-b: "2", x-a: "1"}}
    response_headers: {drop: [x-three]}
    endpoints:
      - {path: /v1/chat/completions, methods: [POST], usage: openai-chat, request_bytes: 2KiB}
      - {path: "/v1/models/{m}", methods: [GET], group: stored}
    timeouts: {connect: 1s, response_header: 2m, idle: 3m}
    limits: {request_bytes: 3MiB, connections_per_host: 7}
    cors: {allowed_origins: ["https://app.example", "http://localhost:3000"]}
    retry: {attempts: 0}
    circuit_breaker: {failures: 9, window: 1m, cooldown: 2s}
  loopback: {preset: openai_compatible, base_url: "http://[::1]:8080"}
`))
	require.NoError(t, err)
	p := s.Providers["ours"]
	require.Equal(t, "http://192.168.1.20:11434/base", p.BaseURL.String())
	require.Equal(t, provider.Auth{Header: "X-Our-Key"}, p.Auth, "a header of its own has no scheme unless one is named")
	require.Equal(t, []string{"X-One", "X-Two"}, p.RequestHeaders.Drop)
	require.Equal(t, "[{X-A 1} {X-B 2}]", fmt.Sprint(p.RequestHeaders.Set))
	require.Equal(t, []string{"X-Three"}, p.ResponseHeaders.Drop, "a list of its own replaces the default's")
	require.Equal(t, "{1s 2m0s 3m0s}", fmt.Sprint(p.Timeouts))
	require.Equal(t, provider.Limits{RequestBytes: 3 << 20, ConnectionsPerHost: 7}, p.Limits)
	require.Equal(t, []string{"https://app.example", "http://localhost:3000"}, p.AllowedOrigins)
	require.Zero(t, p.RetryAttempts)
	require.Equal(t, "{9 1m0s 2s}", fmt.Sprint(p.Breaker))
	require.EqualValues(t, 2<<10, p.RequestCap(p.Endpoints[0]))
	require.EqualValues(t, 3<<20, p.RequestCap(p.Endpoints[1]))
	m, err := s.Match("GET", "/v1/models/x")
	require.NoError(t, err)
	require.Equal(t, "/base/models/x", m.Path)
}
