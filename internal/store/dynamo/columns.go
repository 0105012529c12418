package dynamo

import (
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// item is a row as DynamoDB has it.
type item = map[string]types.AttributeValue

// Partitions of the Control table. Ids are UUIDv7, so each sorts by age.
const (
	projectsPartition = "PROJECTS" // sk: project id; all of a project
	tokensPartition   = "TOKENS"   // sk: token id; all tokens
	deletedPartition  = "DELETED"  // sk: project id; deleted projects whose rows are still there
	daysPartition     = "DAYS"     // sk: yyyy-mm-dd; days that have audit entries
	batchesPartition  = "BATCHES"  // sk: audit id; entries of a batch that have no rows of their own yet
	relayPartition    = "RELAY"    // sk: audit id; entries that are not on the bus yet
)

// gatePartition has a project's gate row, the only row of Control that a spend reads.
func gatePartition(id llmproxy.ProjectID) string { return "P#" + id.String() }

// gateSort is the sort key of a gate row.
const gateSort = "GATE"

// ownTokensPartition lists a project's tokens; sk: token id.
func ownTokensPartition(id llmproxy.ProjectID) string { return "T#" + id.String() }

// auditPartition has the audit entries of a day; sk: audit id.
func auditPartition(day string) string { return "A#" + day }

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// tokenKey is the key of a token's row.
func tokenKey(id llmproxy.TokenID) item { return item{"pk": text(id.String())} }

// controlKey is the key of a row of Control.
func controlKey(partition, sort string) item { return item{"pk": text(partition), "sk": text(sort)} }

// toMillis is a time as an attribute has it; the zero time is 0.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the time that an attribute has.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// tokenRow is a token as the Tokens table has it. Its windows, one attribute per hour, are read apart: their names move with the clock.
type tokenRow struct {
	ID            string   `dynamodbav:"pk"`
	Hash          []byte   `dynamodbav:"h"`
	PreviousHash  []byte   `dynamodbav:"h2,omitempty"`
	PreviousUntil int64    `dynamodbav:"h2x,omitempty"`
	Project       string   `dynamodbav:"prj"`
	Epoch         int64    `dynamodbav:"ep"`
	Active        bool     `dynamodbav:"act"`
	ExpiresAt     int64    `dynamodbav:"ex"`
	Max           int64    `dynamodbav:"mx,omitempty"`
	PerHour       int64    `dynamodbav:"rl,omitempty"`
	Count         int64    `dynamodbav:"cnt"`
	LastUsedAt    int64    `dynamodbav:"lst,omitempty"`
	Name          string   `dynamodbav:"nm,omitempty"`
	CreatedAt     int64    `dynamodbav:"cr"`
	RevokedAt     int64    `dynamodbav:"rv,omitempty"`
	Revision      int64    `dynamodbav:"rev"`
	HeadersDrop   []string `dynamodbav:"hd,omitempty"`
	TTL           int64    `dynamodbav:"ttl"`
}

// managed are the attributes that management changes. The others are the token's own for life, or belong to spends.
var managed = []string{"h", "h2", "h2x", "act", "ex", "mx", "rl", "nm", "rv", "rev", "hd", "ttl"}

// tokenTTL is when a token's rows may go, in seconds since the Unix epoch.
func tokenTTL(t *llmproxy.Token) int64 { return t.ExpiresAt.Add(llmproxy.TokensKeep).Unix() }

func tokenRowOf(g *llmproxy.Gate) tokenRow {
	r := tokenRow{
		ID: g.ID.String(), Hash: g.Hash[:], PreviousUntil: toMillis(g.PreviousUntil), Project: g.ProjectID.String(), Epoch: g.Epoch, Active: g.Active,
		ExpiresAt: toMillis(g.ExpiresAt), Max: g.MaxRequests, PerHour: g.RequestsPerHour, Name: g.Name, CreatedAt: toMillis(g.CreatedAt),
		RevokedAt: toMillis(g.RevokedAt), Revision: g.Revision, HeadersDrop: g.RequestHeadersDrop, TTL: tokenTTL(&g.Token),
	}
	if !g.PreviousUntil.IsZero() {
		r.PreviousHash = g.PreviousHash[:]
	}
	return r
}

// newestWindow is the hour that stands for the newest one in a row.
const newestWindow = -1

// gateOf reads a token's row. The window is that of the hour.
func gateOf(row item, hour int64) (llmproxy.Gate, error) {
	var r tokenRow
	if err := attributevalue.UnmarshalMap(row, &r); err != nil {
		return llmproxy.Gate{}, err
	}
	id, err := llmproxy.ParseTokenID(r.ID)
	if err != nil {
		return llmproxy.Gate{}, err
	}
	project, err := llmproxy.ParseProjectID(r.Project)
	if err != nil {
		return llmproxy.Gate{}, err
	}
	g := llmproxy.Gate{
		Token: llmproxy.Token{
			ID: id, ProjectID: project, Name: r.Name, CreatedAt: fromMillis(r.CreatedAt), ExpiresAt: fromMillis(r.ExpiresAt), Active: r.Active, RevokedAt: fromMillis(r.RevokedAt),
			MaxRequests: r.Max, RequestsPerHour: r.PerHour, RequestCount: r.Count, LastUsedAt: fromMillis(r.LastUsedAt), RequestHeadersDrop: r.HeadersDrop, Epoch: r.Epoch, Revision: r.Revision,
		},
		PreviousUntil: fromMillis(r.PreviousUntil),
	}
	copy(g.Hash[:], r.Hash)
	copy(g.PreviousHash[:], r.PreviousHash)
	if g.WindowHour = hour; hour == newestWindow {
		g.WindowHour = newestWindowOf(row)
	}
	if window, ok := row[windowName(g.WindowHour)]; ok {
		if err := attributevalue.Unmarshal(window, &g.WindowCount); err != nil {
			return llmproxy.Gate{}, err
		}
	}
	return g, nil
}

// windowName is the attribute that counts the spends of an hour.
func windowName(hour int64) string { return "w" + strconv.FormatInt(hour, 10) }

// windowsBefore are the windows in a row that are older than the hour.
func windowsBefore(row item, hour int64) (names []string) {
	for name := range row {
		if of, ok := hourOfWindow(name); ok && of < hour {
			names = append(names, name)
		}
	}
	return names
}

// newestWindowOf is the hour of the newest window in a row; 0 if there is none.
func newestWindowOf(row item) (hour int64) {
	for name := range row {
		if of, ok := hourOfWindow(name); ok {
			hour = max(hour, of)
		}
	}
	return hour
}

// hourOfWindow is the hour of an attribute that is a window.
func hourOfWindow(name string) (int64, bool) {
	digits, ok := strings.CutPrefix(name, "w")
	if !ok {
		return 0, false
	}
	hour, err := strconv.ParseInt(digits, 10, 64)
	return hour, err == nil
}

// gateRow is what a spend needs of a project: at most 4 KB with any usual key, which is one unit to read.
type gateRow struct {
	Partition string                   `dynamodbav:"pk"`
	Sort      string                   `dynamodbav:"sk"`
	Active    bool                     `dynamodbav:"act"`
	Epoch     int64                    `dynamodbav:"ep"`
	EpochAt   int64                    `dynamodbav:"epat,omitempty"`
	DeletedAt int64                    `dynamodbav:"del,omitempty"`
	Provider  string                   `dynamodbav:"pv"`
	SealedKey string                   `dynamodbav:"key,omitempty"`
	KeyRef    string                   `dynamodbav:"ref,omitempty"`
	Capture   llmproxy.Capture         `dynamodbav:"cap,omitempty"`
	Endpoints []llmproxy.EndpointGroup `dynamodbav:"eps,omitempty"`
}

func gateRowOf(p *llmproxy.Project) gateRow {
	return gateRow{
		Partition: gatePartition(p.ID), Sort: gateSort, Active: p.Active, Epoch: p.Epoch, EpochAt: toMillis(p.EpochAt), DeletedAt: toMillis(p.DeletedAt),
		Provider: p.Provider, SealedKey: p.SealedKey, KeyRef: p.KeyRef, Capture: p.Capture, Endpoints: p.Endpoints,
	}
}

// projectOfGate reads a gate row.
func projectOfGate(row item) (llmproxy.Project, error) {
	var r gateRow
	if err := attributevalue.UnmarshalMap(row, &r); err != nil {
		return llmproxy.Project{}, err
	}
	id, err := llmproxy.ParseProjectID(strings.TrimPrefix(r.Partition, "P#"))
	return llmproxy.Project{
		ID: id, Provider: r.Provider, Active: r.Active, DeletedAt: fromMillis(r.DeletedAt), SealedKey: r.SealedKey, KeyRef: r.KeyRef, Capture: r.Capture, Endpoints: r.Endpoints,
		Epoch: r.Epoch, EpochAt: fromMillis(r.EpochAt),
	}, err
}

// projectRow is all of a project.
type projectRow struct {
	Partition   string                   `dynamodbav:"pk"`
	ID          string                   `dynamodbav:"sk"`
	Name        string                   `dynamodbav:"nm"`
	Description string                   `dynamodbav:"ds,omitempty"`
	Metadata    map[string]string        `dynamodbav:"md,omitempty"`
	Provider    string                   `dynamodbav:"pv"`
	Active      bool                     `dynamodbav:"act"`
	CreatedAt   int64                    `dynamodbav:"cr"`
	UpdatedAt   int64                    `dynamodbav:"up"`
	SealedKey   string                   `dynamodbav:"key,omitempty"`
	KeyHint     string                   `dynamodbav:"hint,omitempty"`
	KeyRef      string                   `dynamodbav:"ref,omitempty"`
	Capture     llmproxy.Capture         `dynamodbav:"cap,omitempty"`
	Endpoints   []llmproxy.EndpointGroup `dynamodbav:"eps,omitempty"`
	Epoch       int64                    `dynamodbav:"ep"`
	EpochAt     int64                    `dynamodbav:"epat,omitempty"`
	Revision    int64                    `dynamodbav:"rev"`
}

func projectRowOf(p *llmproxy.Project) projectRow {
	return projectRow{
		Partition: projectsPartition, ID: p.ID.String(), Name: p.Name, Description: p.Description, Metadata: p.Metadata, Provider: p.Provider, Active: p.Active,
		CreatedAt: toMillis(p.CreatedAt), UpdatedAt: toMillis(p.UpdatedAt), SealedKey: p.SealedKey, KeyHint: p.KeyHint, KeyRef: p.KeyRef, Capture: p.Capture, Endpoints: p.Endpoints,
		Epoch: p.Epoch, EpochAt: toMillis(p.EpochAt), Revision: p.Revision,
	}
}

func projectOf(row item) (llmproxy.Project, error) {
	var r projectRow
	if err := attributevalue.UnmarshalMap(row, &r); err != nil {
		return llmproxy.Project{}, err
	}
	id, err := llmproxy.ParseProjectID(r.ID)
	return llmproxy.Project{
		ID: id, Name: r.Name, Description: r.Description, Metadata: r.Metadata, Provider: r.Provider, Active: r.Active, CreatedAt: fromMillis(r.CreatedAt), UpdatedAt: fromMillis(r.UpdatedAt),
		SealedKey: r.SealedKey, KeyHint: r.KeyHint, KeyRef: r.KeyRef, Capture: r.Capture, Endpoints: r.Endpoints, Epoch: r.Epoch, EpochAt: fromMillis(r.EpochAt), Revision: r.Revision,
	}, err
}

// listingRow lists a token, once among all and once among its project's. It changes only with the token's expiry.
type listingRow struct {
	Partition string `dynamodbav:"pk"`
	Token     string `dynamodbav:"sk"`
	ExpiresAt int64  `dynamodbav:"ex"`
	TTL       int64  `dynamodbav:"ttl"`
}

// listingRowsOf are the two rows that list a token.
func listingRowsOf(t *llmproxy.Token) []listingRow {
	row := listingRow{Partition: tokensPartition, Token: t.ID.String(), ExpiresAt: toMillis(t.ExpiresAt), TTL: tokenTTL(t)}
	own := row
	own.Partition = ownTokensPartition(t.ProjectID)
	return []listingRow{row, own}
}

// deletedRow is a deleted project whose rows are still there.
type deletedRow struct {
	Partition string `dynamodbav:"pk"`
	Project   string `dynamodbav:"sk"`
	DeletedAt int64  `dynamodbav:"del"`
}

// pageLimit is how many rows a page has.
func pageLimit(p llmproxy.Page) int {
	if p.Limit <= 0 || p.Limit > 100 {
		return 100
	}
	return p.Limit
}
