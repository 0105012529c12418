package manage

import (
	"context"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

var problemGoType = reflect.TypeFor[Problem]()

// withBody are the problems of a request that has a body.
var withBody = []int{http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}

type projectAnswer struct {
	ETag string `header:"ETag"`
	Body wireProject
}

func answerProject(p *llmproxy.Project) *projectAnswer {
	return &projectAnswer{ETag: etag(p.Revision), Body: projectOut(p)}
}

// ProjectPath names a project in a path.
type ProjectPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]+$" doc:"Id of the project"`
}

func (p ProjectPath) id() (llmproxy.ProjectID, error) {
	id, err := llmproxy.ParseProjectID(p.ID)
	if err != nil {
		return id, llmproxy.ErrNotFound
	}
	return id, nil
}

type createProjectInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Makes one project of requests that are sent again within 24 hours. The same key with another body is 422"`
	Body           wireNewProject
}

type createdProject struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     wireProject
}

type listProjectsInput struct {
	Active optionalBool `query:"active" doc:"Only active ones, or only others"`
	Q      string       `query:"q" minLength:"1" maxLength:"100" doc:"Part of the name, in any case"`
	PageParams
}

type projectsAnswer struct {
	Link string        `header:"Link" doc:"The next page, as <...>; rel=next. Where it is missing, this is the last"`
	Body []wireProject `nullable:"false"`
}

type changeProjectInput struct {
	ProjectPath
	IfMatch string `header:"If-Match" maxLength:"1000" doc:"ETag of the project that the change is meant for; 412 if it has changed since"`
	Body    ProjectChange
}

type changeProjectByIDInput struct {
	IfMatch string `header:"If-Match" maxLength:"1000"`
	Body    wireProjectChangeByID
}

type deleteProjectByIDInput struct{ Body wireProjectID }

type revokedAnswer struct{ Body wireRevoked }

// addProjects adds the paths of projects.
func (h *Handler) addProjects() {
	const all, one = "/manage/projects", "/manage/projects/{id}"
	change := append([]int{http.StatusNotFound, http.StatusPreconditionFailed}, withBody...)
	huma.Register(h.api, h.operation("createProject", "POST", all, "Make a project", http.StatusCreated, append([]int{http.StatusConflict, http.StatusUnprocessableEntity}, withBody...)...), h.createProject)
	huma.Register(h.api, h.operation("listProjects", "GET", all, "List projects, newest first", http.StatusOK), h.listProjects)
	huma.Register(h.api, h.operation("getProject", "GET", one, "Get a project", http.StatusOK, http.StatusNotFound), h.getProject)
	huma.Register(h.api, h.operation("updateProject", "PATCH", one, "Change a project: absent is unchanged, null is cleared", http.StatusOK, change...), h.changeProject)
	huma.Register(h.api, h.operation("deleteProject", "DELETE", one, "Delete a project: its key is gone, its tokens are refused", http.StatusNoContent, http.StatusNotFound), h.deleteProject)
	huma.Register(h.api, h.operation("updateProjectByID", "PATCH", all, "Change the project that the body names", http.StatusOK, change...), h.changeProjectByID)
	huma.Register(h.api, h.operation("deleteProjectByID", "DELETE", all, "Delete the project that the body names", http.StatusNoContent, append([]int{http.StatusNotFound}, withBody...)...), h.deleteProjectByID)
	huma.Register(h.api, h.operation("revokeProjectTokens", "POST", one+"/tokens/revoke", "Revoke all tokens of a project minted so far", http.StatusOK, http.StatusNotFound), h.revokeProjectTokens)
}

func (h *Handler) createProject(ctx context.Context, in *createProjectInput) (*createdProject, error) {
	project := in.Body.in()
	project.IdempotencyKey = strings.TrimSpace(in.IdempotencyKey)
	p, err := h.service.CreateProject(ctx, callOf(ctx).actor, project)
	if project.IdempotencyKey != "" && isNotFound(err) {
		return nil, newProblem(http.StatusConflict, "The project that this Idempotency-Key has made was deleted since. Use a new key to make another.")
	}
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return &createdProject{Location: "/manage/projects/" + p.ID.String(), ETag: etag(p.Revision), Body: projectOut(&p)}, nil
}

func (h *Handler) listProjects(ctx context.Context, in *listProjectsInput) (*projectsAnswer, error) {
	c := callOf(ctx)
	page, err := c.page(in.PageParams)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	projects, more, err := h.service.Projects(ctx, llmproxy.ProjectFilter{Active: in.Active.pointer(), Query: in.Q}, page)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	out := &projectsAnswer{Body: make([]wireProject, len(projects))}
	for i := range projects {
		out.Body[i] = projectOut(&projects[i])
	}
	if more {
		out.Link = c.next(projects[len(projects)-1].ID.UUID)
	}
	return out, nil
}

func (h *Handler) getProject(ctx context.Context, in *ProjectPath) (*projectAnswer, error) {
	id, err := in.id()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	p, err := h.service.Project(ctx, id)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return answerProject(&p), nil
}

func (h *Handler) changeProject(ctx context.Context, in *changeProjectInput) (*projectAnswer, error) {
	id, err := in.id()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return h.change(ctx, id, in.IfMatch, &in.Body)
}

func (h *Handler) changeProjectByID(ctx context.Context, in *changeProjectByIDInput) (*projectAnswer, error) {
	id, err := ProjectPath{in.Body.ProjectID}.id()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return h.change(ctx, id, in.IfMatch, &in.Body.ProjectChange)
}

func (h *Handler) change(ctx context.Context, id llmproxy.ProjectID, ifMatch string, body *ProjectChange) (*projectAnswer, error) {
	callOf(ctx).project = id
	patch, err := body.in()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	if patch.IfRevision, err = revisions(ifMatch); err != nil {
		return nil, h.problem(ctx, err)
	}
	p, err := h.service.UpdateProject(ctx, callOf(ctx).actor, id, patch)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return answerProject(&p), nil
}

func (h *Handler) deleteProject(ctx context.Context, in *ProjectPath) (*struct{}, error) {
	id, err := in.id()
	callOf(ctx).project = id
	if err == nil {
		err = h.service.DeleteProject(ctx, callOf(ctx).actor, id)
	}
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return nil, nil //nolint:nilnil // the framework's way to answer without a body
}

func (h *Handler) deleteProjectByID(ctx context.Context, in *deleteProjectByIDInput) (*struct{}, error) {
	return h.deleteProject(ctx, &ProjectPath{in.Body.ProjectID})
}

func (h *Handler) revokeProjectTokens(ctx context.Context, in *ProjectPath) (*revokedAnswer, error) {
	id, err := in.id()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	n, err := h.service.RevokeProjectTokens(ctx, callOf(ctx).actor, id)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return &revokedAnswer{Body: wireRevoked{Revoked: n}}, nil
}
