package main

import (
	"context"
	"time"

	"github.com/gofiber/contrib/v3/websocket"
	"github.com/gofiber/fiber/v3"

	"github.com/duet-bench/duet/examples/go/core"
)

func requireUpgrade(c fiber.Ctx) error {
	if !websocket.IsWebSocketUpgrade(c) {
		return core.UpgradeRequired()
	}
	return c.Next()
}

// echo sends every message back until the client or the service ends.
func echo(app *core.App) fiber.Handler {
	return websocket.New(func(conn *websocket.Conn) {
		conn.SetReadLimit(core.SocketLimit) // beyond it ReadMessage closes with 1009
		app.Socket(func(stopping context.Context) {
			defer context.AfterFunc(stopping, func() { goAway(conn) })()
			for {
				kind, message, err := conn.ReadMessage()
				if err != nil {
					return
				}
				if conn.WriteMessage(kind, message) != nil {
					return
				}
			}
		})
	})
}

// goAway asks the client to close.
func goAway(conn *websocket.Conn) {
	bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
	// The client may be gone already.
	_ = conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
}
