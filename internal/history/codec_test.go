package history_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/history/made"
)

// few is a small history.
func few(seed uint64, nights int) []history.Entry {
	return made.Nights(made.Options{Seed: seed, Nights: nights, Workloads: []string{"health"}, Metrics: []string{"p50", "instructions"}})
}

func encoded(t *testing.T, e history.Entry) []byte {
	t.Helper()
	text, err := history.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What was encoded decodes, and encodes to the same bytes again, so that an entry can be told from another one.
func TestCodecRoundTrip(t *testing.T) {
	t.Parallel()
	for _, e := range made.Nights(made.Options{Seed: 1, Nights: 6, Failed: []int{2}, Moves: []int{4}}) {
		text := encoded(t, e)
		if bytes.Count(text, []byte("\n")) != 1 {
			t.Errorf("%s: more than one line", e.ID)
		}
		decoded, err := history.Decode("x.json", text)
		if err != nil {
			t.Fatal(err)
		}
		if again := encoded(t, decoded); !bytes.Equal(again, text) {
			t.Errorf("%s: encoded again it differs:\n%s", e.ID, cmp.Diff(string(text), string(again)))
		}
	}
}

// Texts that people wrote are cut, and figures rounded, rather than a night lost.
func TestEncodeTidies(t *testing.T) {
	t.Parallel()
	e := few(1, 1)[0]
	e.Commit.Subject = "one\ntwo \x1b[31m" + strings.Repeat("ä", 300)
	e.Error = strings.Repeat("x", 10_000)
	e.Rows[0].Ratio, e.Rows[0].Low, e.Rows[0].High = 1.23456789012, 1.1, 1.3
	got, err := history.Decode("x.json", encoded(t, e))
	if err != nil {
		t.Fatal(err)
	}
	if s := []rune(got.Commit.Subject); len(s) != 200 || strings.ContainsAny(got.Commit.Subject, "\n\x1b") || !strings.HasPrefix(got.Commit.Subject, "one two") {
		t.Errorf("got subject %q", got.Commit.Subject)
	}
	if got.Rows[0].Ratio != 1.234568 || len(got.Error) > 210 {
		t.Errorf("got ratio %v, an error of %d bytes", got.Rows[0].Ratio, len(got.Error))
	}
	if e.Rows[0].Ratio != 1.23456789012 {
		t.Error("encoding changed the entry it was given")
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good := string(encoded(t, few(1, 1)[0]))
	change := func(old, new string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("the entry has no %s", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "empty"},
		{"blank", " \n", "empty"},
		{"truncated", good[:len(good)/2], "truncated"},
		{"not JSON", "<html>", "not JSON"},
		{"a list", "[]", `schema ""`},
		{"null", "null", `schema ""`},
		{"newer", change(`"duet.night/1"`, `"duet.night/2"`), `schema "duet.night/2": this version of Duet reads "duet.night/1"`},
		{"foreign", `{"lastUpdate": 1, "repoUrl": "x", "entries": {}}`, "not an entry of Duet's history"},
		{"unknown key", change(`"duet":`, `"spice":1,"duet":`), `unknown field "spice"`},
		{"doubled key", change(`"duet":`, `"state":"measured","duet":`), `key "state" stands twice`},
		{"doubled key in another case", change(`"duet":`, `"STATE":"measured","duet":`), `key "state" stands twice`},
		{"doubled key, escaped", change(`"duet":`, `"st\u0061te":"measured","duet":`), `key "state" stands twice`},
		{"doubled key below", change(`"service":`, `"metric":"p50","service":`), `key "metric" stands twice`},
		{"deep", change(`"duet":`, `"x":`+strings.Repeat("[", 20)+strings.Repeat("]", 20)+`,"duet":`), "nested deeper"},
		{"very deep", strings.Repeat("[", 1_000_000), "not JSON"},
		{"two of them", good + good, "not JSON"},
		{"large", good + strings.Repeat(" ", history.MaxBytes), "more than the"},
		{"a negative ratio", change(`"ratio":`, `"ratio":-1,"rounds_":`), "unknown field"},
		{"another's id", change(`"id":"`, `"id":"0`), "expected SHA-RUN.ATTEMPT"},
		{"no time", change(`"recorded":"2024`, `"recorded":"24`), "recorded"},
		{"state", change(`"state":"measured"`, `"state":"great"`), `state "great"`},
		{"rows of nothing", change(`"state":"measured"`, `"state":"not-measured"`), "measured nothing"},
		{"verdict", change(`"verdict":"unchanged"`, `"verdict":"fine"`), `verdict "fine"`},
	} {
		_, err := history.Decode("data/2024/01/x.json", []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "data/2024/01/x.json: ") {
			t.Errorf("%s: got error %v, want one of the file with %q", tt.name, err, tt.want)
		}
	}
	for _, figure := range []string{"-1", "1e16", "1e999", `"1"`} {
		e := few(1, 1)[0]
		e.Rows[0].Noise = 0.125
		text := strings.Replace(string(encoded(t, e)), `"noise":0.125`, `"noise":`+figure, 1)
		if _, err := history.Decode("x.json", []byte(text)); err == nil {
			t.Errorf("noise %s was taken", figure)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*history.Entry){
		"two rows of one key": func(e *history.Entry) { e.Rows = append(e.Rows, e.Rows[0]) },
		"an id of another":    func(e *history.Entry) { e.Commit.SHA = strings.Repeat("a", 40) },
		"no anchor":           func(e *history.Entry) { e.Anchor = history.Commit{} },
		"an upside-down row":  func(e *history.Entry) { e.Rows[0].Low, e.Rows[0].High = 2, 1 },
		"no schema":           func(e *history.Entry) { e.Schema = "" },
		"too many rows": func(e *history.Entry) {
			for len(e.Rows) <= 10_000 {
				e.Rows = append(e.Rows, e.Rows[0])
			}
		},
	} {
		e := few(1, 1)[0]
		spoil(&e)
		if text, err := history.Encode(e); err == nil {
			t.Errorf("%s was encoded: %s", name, text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range made.Nights(made.Options{Seed: 1, Nights: 4, Failed: []int{1}, Moves: []int{3}, Workloads: []string{"health"}}) {
		text, err := history.Encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"schema":"duet.night/1","Schema":"duet.night/1"}`))
	f.Add([]byte(`{"\u0073chema":"x"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := history.Decode("x.json", text)
		if err != nil {
			return
		}
		again, err := history.Encode(e)
		if err != nil {
			t.Fatalf("decoded, and not to be encoded: %v", err)
		}
		back, err := history.Decode("x.json", again)
		if err != nil {
			t.Fatalf("encoded, and not to be decoded: %v", err)
		}
		if twice, _ := history.Encode(back); !bytes.Equal(twice, again) {
			t.Fatalf("not stable:\n%s\n%s", again, twice)
		}
		var loose map[string]any
		if json.Unmarshal(text, &loose) != nil {
			t.Fatal("taken, and not JSON")
		}
	})
}
