package socket

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/duet-bench/duet/examples/go/core"
)

func TestOnlyUpgradesAreAccepted(t *testing.T) {
	app := core.InMemory(core.NewLinks(1))
	for _, tt := range []struct{ connection, upgrade string }{
		{"", ""}, {"upgrade", ""}, {"", "websocket"}, {"keep-alive", "websocket"}, {"Upgrade", "h2c"}, {"upgraded", "websocket"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/ws", nil)
		r.Header.Set("Connection", tt.connection)
		r.Header.Set("Upgrade", tt.upgrade)
		w := httptest.NewRecorder()
		if err := Echo(w, r, app); err == nil || err.Status != http.StatusUpgradeRequired || err.Header["Upgrade"] != "websocket" {
			t.Errorf("%+v: got %v", tt, err)
		}
	}
	// With the right words it is the library's turn, which misses a key.
	r := httptest.NewRequest(http.MethodGet, "/ws", nil)
	r.Header.Set("Connection", "keep-alive, Upgrade")
	r.Header.Set("Upgrade", "WebSocket")
	w := httptest.NewRecorder()
	if err := Echo(w, r, app); err != nil || w.Code != http.StatusBadRequest {
		t.Errorf("got %v and %d, want a 400", err, w.Code)
	}
}
