// Package socket is the WebSocket echo of the services that stand on net/http.
package socket

import (
	"context"
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"github.com/duet-bench/duet/examples/go/core"
)

// Echo sends every message back until the client or the service ends. A request that asks for no WebSocket is refused,
// and has not been answered yet.
func Echo(w http.ResponseWriter, r *http.Request, app *core.App) *core.Error {
	if !holds(r.Header, "Connection", "upgrade") || !holds(r.Header, "Upgrade", "websocket") {
		return core.UpgradeRequired()
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // of any Origin: there is nothing to steal
	if err != nil {
		return nil // answered by Accept
	}
	defer conn.CloseNow()
	conn.SetReadLimit(core.SocketLimit) // beyond it Read closes with 1009
	app.Socket(func(stopping context.Context) {
		defer context.AfterFunc(stopping, func() { conn.Close(websocket.StatusGoingAway, "") })()
		ctx := context.Background() // the request's own is over
		for {
			kind, message, err := conn.Read(ctx)
			if err != nil {
				return
			}
			if conn.Write(ctx, kind, message) != nil {
				return
			}
		}
	})
	return nil
}

// holds reports whether a header, a list of words, holds one of them in any case.
func holds(h http.Header, name, word string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), word) {
				return true
			}
		}
	}
	return false
}
