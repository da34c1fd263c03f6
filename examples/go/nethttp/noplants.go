//go:build !plants

package main

import "net/http"

// planted is the app itself: only test builds can plant anything.
func planted(app http.Handler) (http.Handler, error) { return app, nil }
