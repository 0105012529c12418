package llmproxy

import "time"

// Capture says how much of a request's bodies its event carries.
type Capture string

const (
	CaptureDefault  Capture = ""         // as the installation's setting says
	CaptureFull     Capture = "full"     // what capture kept of request and response
	CaptureMetadata Capture = "metadata" // no body leaves the proxy; usage is read before
)

// EndpointGroup names endpoints that a project has to enable together.
type EndpointGroup string

const (
	GroupInference EndpointGroup = "inference" // the group of an endpoint that names none; a new project has it
	GroupStored    EndpointGroup = "stored"    // resources that every token of one provider key shares: files, batches, stored responses
)

// Project is a provider key and the tokens minted for it.
type Project struct {
	ID          ProjectID
	Name        string            // 1..100 characters
	Description string            // at most 500
	Metadata    map[string]string // at most 20 entries, keys to 40, values to 100 characters
	Provider    string            // name of a provider in providers.yaml
	Active      bool
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DeletedAt   time.Time // zero while it lives

	SealedKey string          // the provider key as package seal wrote it; empty when KeyRef is set
	KeyHint   string          // last four characters of the key
	KeyRef    string          // name of a secret that holds the key instead
	Capture   Capture         //
	Endpoints []EndpointGroup // groups its tokens may call

	Epoch    int64     // a bulk revoke raises it; tokens of an earlier epoch are refused
	EpochAt  time.Time // when the last bulk revoke was; zero if there was none
	Revision int64     // raised by each management change; what ETag and If-Match compare
}

// Enabled reports whether the project's tokens may call endpoints of this group.
func (p *Project) Enabled(g EndpointGroup) bool {
	for _, e := range p.Endpoints {
		if e == g {
			return true
		}
	}
	return false
}
