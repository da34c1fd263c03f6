package core

import "net/http"

// Error is a refusal: what the client did wrong, where, and the status that says so.
// Its JSON, wrapped as {"error": …}, is the only error shape of the contract.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Record  *int   `json:"record,omitempty"` // index in the batch, from 0
	Field   string `json:"field,omitempty"`
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
