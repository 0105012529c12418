package manage

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

type infoAnswer struct{ Body wireInfo }

// addInfo adds what tells of the installation, and the document of this API itself.
func (h *Handler) addInfo() {
	huma.Register(h.api, h.operation("getInfo", "GET", "/manage/info", "What this installation is: version, store, bus, providers and endpoints, limits, retention", http.StatusOK), h.getInfo)
	document := sync.OnceValues(func() ([]byte, error) { return json.Marshal(h.api.OpenAPI()) })
	h.mux.HandleFunc("GET /manage/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		text, err := document()
		if err != nil {
			panic(err) // it is made of constants, and tests read it
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // the caller may be gone
	})
}

func (h *Handler) getInfo(context.Context, *struct{}) (*infoAnswer, error) {
	return &infoAnswer{Body: h.infoOut()}, nil
}
