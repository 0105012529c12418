package lambdahost

import (
	"net/http"
	"strings"
	"time"
)

// defaultRoute takes what no other does.
const defaultRoute = "$default"

// route is the way through an API that a request took.
type route struct {
	key        string // "ANY /manage/{proxy+}", or $default
	parameters map[string]string
}

// gatewayPatience is how long an API waits for its function.
const gatewayPatience = 30 * time.Second

// gateway leads requests to the functions of an HTTP API.
type gateway struct{ doors map[string]*door }

// API serves the function as an API Gateway HTTP API does that leads everything to it, in the payload's version 2.0.
func (h *Host) API() http.Handler { return API(map[string]*Host{defaultRoute: h}) }

// API serves functions as an API Gateway HTTP API does, in the payload's version 2.0. Each route leads any method to one: it is a path
// such as /health, or one that ends in /{proxy+} and takes what lies below. What no route takes is 404.
func API(routes map[string]*Host) http.Handler {
	g := &gateway{doors: map[string]*door{}}
	for path, host := range routes {
		g.doors[path] = &door{
			host: host, domain: "lambdahost.execute-api." + host.cfg.Region + ".amazonaws.com", api: true,
			failure: http.StatusInternalServerError, patience: gatewayPatience,
		}
	}
	return g
}

// ServeHTTP implements [http.Handler].
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.RequestURI, "/") {
		writeJSON(w, http.StatusBadRequest, map[string]string{"message": http.StatusText(http.StatusBadRequest)})
		return
	}
	path := target(r, true)
	d, to := g.find(path)
	if d == nil {
		writeJSON(w, http.StatusNotFound, map[string]string{"message": http.StatusText(http.StatusNotFound)})
		return
	}
	d.pass(w, r, path, to)
}

// greedy ends a route that takes what lies below it.
const greedy = "/{proxy+}"

// find returns the function for a path: that of the path itself, else that of the longest route above it.
func (g *gateway) find(path string) (*door, route) {
	if d := g.doors[path]; d != nil {
		return d, route{key: "ANY " + path}
	}
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] != '/' || i == len(path)-1 {
			continue
		}
		if d := g.doors[path[:i]+greedy]; d != nil {
			return d, route{key: "ANY " + path[:i] + greedy, parameters: map[string]string{"proxy": path[i+1:]}}
		}
	}
	return g.doors[defaultRoute], route{key: defaultRoute}
}
