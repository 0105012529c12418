package dynamo

import (
	"sync"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// owners remembers which project a token belongs to, so that both rows can be asked for at once. That never changes; what the rows
// say is never remembered. Two generations bound it: when the younger is full, the older goes.
type owners struct {
	mu           sync.Mutex
	young, older map[llmproxy.TokenID]llmproxy.ProjectID
}

// ownersPerGeneration bounds the memory: two generations of so many pairs of 32 bytes are about 2 MB.
const ownersPerGeneration = 16 << 10

// of returns the project of a token that was met before.
func (o *owners) of(id llmproxy.TokenID) (llmproxy.ProjectID, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if project, ok := o.young[id]; ok {
		return project, true
	}
	project, ok := o.older[id]
	if ok {
		o.keep(id, project)
	}
	return project, ok
}

// remember notes whose a token is.
func (o *owners) remember(id llmproxy.TokenID, project llmproxy.ProjectID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keep(id, project)
}

func (o *owners) keep(id llmproxy.TokenID, project llmproxy.ProjectID) {
	if o.young == nil || len(o.young) >= ownersPerGeneration {
		o.older, o.young = o.young, map[llmproxy.TokenID]llmproxy.ProjectID{}
	}
	o.young[id] = project
}
