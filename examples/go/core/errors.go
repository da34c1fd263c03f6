package core

import (
	"errors"
	"mime"
	"net/http"
)

// Error is a refusal: what the client did wrong, where, and the status that says so.
// Its JSON, wrapped as {"error": …}, is the only error shape of the contract.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Record  *int   `json:"record,omitempty"` // index in the batch, from 0
	Field   string `json:"field,omitempty"`

	Header map[string]string `json:"-"` // what the answer's head has to say beside it
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// ErrorBody is the JSON document an Error travels in.
type ErrorBody struct {
	Error *Error `json:"error"`
}

// The refusals that need no details.
func NotFound() *Error {
	return &Error{Status: http.StatusNotFound, Code: "not_found", Message: "nothing is here"}
}

// MethodNotAllowed says that the path exists, for other methods.
func MethodNotAllowed() *Error {
	return &Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "this path has other methods"}
}

// MethodNotAllowedAt is MethodNotAllowed with the Allow header of path. Every router finds out that a method is
// missing, and each writes the header in its own way.
func MethodNotAllowedAt(path string) *Error {
	err := MethodNotAllowed()
	err.Header = map[string]string{"Allow": allow(path)}
	return err
}

func allow(path string) string {
	switch path {
	case "/pipeline", "/links", "/orders", "/compute":
		return http.MethodPost
	case "/ws":
		return http.MethodGet // a WebSocket has no HEAD
	}
	return http.MethodGet + "," + http.MethodHead
}

// NotJSON refuses a body whose content-type is not application/json.
func NotJSON() *Error {
	return &Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Message: "content-type must be application/json"}
}

// TooLarge refuses a body over BodyLimit.
func TooLarge() *Error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Message: "body must be at most 1048576 bytes"}
}

// BadBody says that the body could not be read to its end.
func BadBody() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "bad_body", Message: "body ended early"}
}

// UpgradeRequired answers a plain request where a WebSocket is spoken.
func UpgradeRequired() *Error {
	return &Error{
		Status: http.StatusUpgradeRequired, Code: "upgrade_required", Message: "this path speaks WebSocket",
		Header: map[string]string{"Upgrade": "websocket"},
	}
}

// BodyError is what to answer when reading a body failed.
func BodyError(err error) *Error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return TooLarge()
	}
	return BadBody()
}

// IsJSON reports whether a content-type says application/json.
func IsJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json"
}

func badJSON() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "bad_json", Message: "body must be one JSON document in UTF-8"}
}

func invalidBatch() *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: "invalid_batch", Message: "records must be an array of 1 to 1000 records", Field: "records"}
}

func invalidURL() *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: "invalid_url", Message: "url must be an absolute http or https URL of at most 2048 ASCII characters", Field: "url"}
}

func storeFull() *Error {
	return &Error{Status: http.StatusInsufficientStorage, Code: "store_full", Message: "no more links can be kept"}
}
