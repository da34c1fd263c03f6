package fake

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
)

// An answer of the fake's that GitHub would not give is refused, before and after it is filled.
func TestAnswersAreHeldToTheDescription(t *testing.T) {
	d, err := described[dotcom]()
	if err != nil {
		t.Fatal(err)
	}
	comment := d.doc.Components.Schemas["issue-comment"].Value
	for name, said := range map[string]any{
		"a field that GitHub has not":             object{"text": "x"},
		"deep down":                               object{"user": object{"name_of_user": "x"}},
		"a list for an object":                    []any{},
		"an enumeration's word that is not there": object{"author_association": "FRIEND"},
	} {
		if v, err := fill(comment, said, 0); err == nil {
			t.Errorf("%s: filled as %v", name, v)
		}
	}
	op := operation{method: "GET", path: "/repos/{owner}/{repo}/issues/comments/{comment_id}"}
	route, err := d.route(op)
	if err != nil {
		t.Fatal(err)
	}
	in := &openapi3filter.RequestValidationInput{Request: httptest.NewRequest("GET", "/", nil), Route: route, Options: filter}
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	for name, v := range map[string]struct {
		status int
		body   string
		want   string // in the complaint; "": none
	}{
		"a status it has not":             {201, `{}`, "status is not supported"},
		"fields that are missing":         {200, `{"id":1}`, "is missing"},
		"a field of another type":         {200, `{"id":"1"}`, "id"},
		"no JSON":                         {200, `hello`, "decode"},
		"a refusal that is not listed":    {403, `{"message":"no"}`, ""},
		"a refusal of another shape":      {403, `{"message":{}}`, "message"},
		"a listed refusal":                {404, `{"message":"Not Found"}`, ""},
		"a listed refusal, another shape": {404, `[]`, "object"},
	} {
		err := d.response(t.Context(), in, v.status, header, []byte(v.body))
		if (err == nil) != (v.want == "") || err != nil && !strings.Contains(err.Error(), v.want) {
			t.Errorf("%s: got %v, want %q", name, err, v.want)
		}
	}
}
