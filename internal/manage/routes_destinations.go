package manage

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// DestinationPath names a destination in a path.
type DestinationPath struct {
	Name string `path:"name" pattern:"^[A-Za-z0-9_-]+$" maxLength:"64" doc:"As the list of destinations has it"`
}

type destinationsAnswer struct {
	Body []wireDestination `nullable:"false"`
}

type destinationTestAnswer struct{ Body wireDestinationTest }

type redriveAnswer struct{ Body wireRedrive }

// addDestinations adds the paths of where events go.
func (h *Handler) addDestinations() {
	const all, one = "/manage/destinations", "/manage/destinations/{name}"
	huma.Register(h.api, h.operation("listDestinations", "GET", all, "Where events go, and how that goes; all of them, by name", http.StatusOK, http.StatusNotFound), h.listDestinations)
	huma.Register(h.api, h.operation("testDestination", "POST", one+"/test", "Send a destination a test event, as it gets all others", http.StatusOK, http.StatusNotFound, http.StatusConflict), h.testDestination)
	huma.Register(h.api, h.operation("redriveDestination", "POST", one+"/redrive", "Begin to send a destination its dead letters again", http.StatusAccepted, http.StatusNotFound, http.StatusConflict), h.redriveDestination)
}

// destinations is what knows where events go.
func (h *Handler) destinations() (Destinations, error) {
	if h.cfg.Destinations == nil {
		return nil, missing("This installation does not tell of its destinations.", h.cfg.NoDestinations)
	}
	return h.cfg.Destinations, nil
}

func (h *Handler) listDestinations(ctx context.Context, _ *struct{}) (*destinationsAnswer, error) {
	destinations, err := h.destinations()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	all, err := destinations.Destinations(ctx)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	out := &destinationsAnswer{Body: make([]wireDestination, len(all))}
	for i := range all {
		out.Body[i] = destinationOut(&all[i])
	}
	return out, nil
}

// destination finds one that may be acted upon, or says why it may not; why is how it tells.
func (h *Handler) destination(ctx context.Context, name string, why func(*llmproxy.Destination) string) (Destinations, error) {
	destinations, err := h.destinations()
	if err != nil {
		return nil, err
	}
	all, err := destinations.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Name != name {
			continue
		}
		if reason := why(&all[i]); reason != "" {
			return nil, newProblem(http.StatusConflict, "%s", reason)
		}
		return destinations, nil
	}
	return nil, newProblem(http.StatusNotFound, "There is no such destination.")
}

func (h *Handler) testDestination(ctx context.Context, in *DestinationPath) (*destinationTestAnswer, error) {
	destinations, err := h.destination(ctx, in.Name, func(d *llmproxy.Destination) string { return d.NoTest })
	if err == nil {
		err = h.service.tellDestination(ctx, callOf(ctx).actor, actions["testDestination"], in.Name)
	}
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	test, err := destinations.TestDestination(ctx, in.Name)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return &destinationTestAnswer{wireDestinationTest{EventID: test.ID.String(), Result: test.Result, Error: test.Error, DurationMS: test.Took.Milliseconds()}}, nil
}

func (h *Handler) redriveDestination(ctx context.Context, in *DestinationPath) (*redriveAnswer, error) {
	destinations, err := h.destination(ctx, in.Name, func(d *llmproxy.Destination) string { return d.NoRedrive })
	if err == nil {
		err = h.service.tellDestination(ctx, callOf(ctx).actor, actions["redriveDestination"], in.Name)
	}
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	n, err := destinations.RedriveDestination(ctx, in.Name)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return &redriveAnswer{wireRedrive{n}}, nil
}

// tellDestination stores that something is done to a destination. It comes before: what cannot be audited does not happen.
func (s *Service) tellDestination(ctx context.Context, actor llmproxy.Actor, action, name string) error {
	e := entry(s.now(), actor, action)
	e.After = map[string]string{"destination": name}
	return s.cfg.Store.AppendAudit(ctx, e)
}
