// Package parity says whether two answers to one request are alike.
//
// Only what a client can rely on counts: status, content-type, location and body; of a WebSocket message type and body. A difference is data, not an
// error: a Finding with a few lines to show. Bodies are compared as JSON where both are JSON, so that the order of
// keys and the spelling of numbers (1, 1.0, 1e0) do not matter; else byte by byte. Answers come from code under
// test: whatever they hold, Compare ends soon, and what it shows is short and printable.
package parity

import (
	"cmp"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Answer is what a service said to one request.
type Answer struct {
	Type   string // of a WebSocket message, text or binary; it has no Status and no Header. Empty: HTTP
	Status int
	Header http.Header
	Body   []byte
	// Host is the host:port the request went to, as the service would write it; may be empty. A location on
	// it is compared by path.
	Host string
}

// What two answers can differ in.
const (
	Status      = "status"
	ContentType = "content-type"
	Location    = "location"
	Type        = "type"
	Body        = "body"
	Ignore      = "ignore" // not a difference: a path that is no JSONPath
)

// Finding is one difference. Diff has at most 12 lines of at most 160 characters; each begins with "-" (only or
// otherwise in a), "+" (only or otherwise in b) or " ".
type Finding struct {
	What string
	Diff []string
}

// Bounds of a Finding.
const (
	maxLines = 12
	maxChars = 160
)

// Compare returns the differences between a and b, none if they are alike. What the JSONPaths (RFC 9535) of
// ignore select is removed from both bodies first. Compare(a, b) and Compare(b, a) find the same, with - and +
// exchanged.
func Compare(a, b Answer, ignore []string) []Finding {
	var found []Finding
	text := func(what, of, other string) {
		if of != other {
			of, other = window(cmp.Or(of, "(none)"), cmp.Or(other, "(none)"))
			found = append(found, Finding{What: what, Diff: []string{line('-', of), line('+', other)}})
		}
	}
	text(Type, a.Type, b.Type)
	text(Status, strconv.Itoa(a.Status), strconv.Itoa(b.Status))
	text(ContentType, contentType(a), contentType(b))
	text(Location, location(a), location(b))

	paths, err := parsePaths(ignore)
	if err != nil {
		found = append(found, Finding{What: Ignore, Diff: []string{line(' ', err.Error())}})
	}
	if diff := bodies(a, b, paths); len(diff) > 0 {
		found = append(found, Finding{What: Body, Diff: diff})
	}
	return found
}

// Check refuses a list with an entry that is no JSONPath. Without it Compare would report the entry as a Finding.
func Check(ignore []string) error {
	_, err := parsePaths(ignore)
	return err
}

// contentType is the header's value with what has no meaning taken out: case of type, parameter names and charset,
// white space, order of parameters; for JSON also charset=utf-8, which RFC 8259 section 11 gives no effect.
func contentType(a Answer) string {
	given := header(a, "Content-Type")
	media, params, err := mime.ParseMediaType(given)
	if err != nil {
		return given
	}
	if charset, ok := params["charset"]; ok {
		params["charset"] = strings.ToLower(charset)
		if isJSON(media) && params["charset"] == "utf-8" {
			delete(params, "charset")
		}
	}
	if plain := mime.FormatMediaType(media, params); plain != "" {
		return plain
	}
	return given
}

func isJSON(media string) bool {
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// location is the header's value; where it leads back to the service itself, without scheme and host.
func location(a Answer) string {
	given := header(a, "Location")
	u, err := url.Parse(given)
	if err != nil || a.Host == "" || !strings.EqualFold(u.Host, a.Host) || u.User != nil {
		return given
	}
	path := url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery, Fragment: u.Fragment, RawFragment: u.RawFragment}
	if path.Path == "" {
		path.Path = "/"
	}
	return path.String()
}

func header(a Answer, name string) string { return strings.Join(a.Header.Values(name), ", ") }
