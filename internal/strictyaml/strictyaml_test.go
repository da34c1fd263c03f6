package strictyaml

import (
	"strings"
	"testing"
	"time"
)

type doc struct {
	text  string
	list  []string
	args  []string
	n     int
	share float64
	d     time.Duration
	word  string
	deep  string
	free  map[string]string
}

func read(text string) (doc, error) {
	var d doc
	root, err := Parse("f.yml", []byte(text))
	if err != nil {
		return d, err
	}
	d.free = map[string]string{}
	err = root.Map(
		Field{Key: "text", Read: Text(&d.text, AtMost(20))},
		Field{Key: "list", Read: Texts(&d.list, 0, 3)},
		Field{Key: "args", Read: Scalars(&d.args, 0, 9)},
		Field{Key: "n", Read: Int(&d.n, 1, 10)},
		Field{Key: "share", Read: Share(&d.share, 1, 50)},
		Field{Key: "d", Read: Duration(&d.d, time.Second, time.Hour)},
		Field{Key: "word", Read: Choice(&d.word, "1", "all")},
		Field{Key: "under", Read: func(n Node) error { return n.Map(Field{Key: "deep", Required: true, Read: Text(&d.deep)}) }},
		Field{Key: "free", Read: Each(2, func(key string, n Node) error {
			var value string
			err := Scalar(&value)(n)
			d.free[key] = value
			return err
		})},
	)
	return d, err
}

func TestRead(t *testing.T) {
	d, err := read("\ufeff# comment\r\ntext: |\r\n  two\r\n  lines\r\nlist: [a, 'b', \"c\"]\r\nargs: [012, 1e3, yes, null-ish, true, .5]\r\n" +
		"n: 10\r\nshare: 2.5%\r\nd: 1m30s\r\nword: 1\r\nunder: {deep: x}\r\nfree: {1: a, b: 2}\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if d.text != "two\nlines\n" || strings.Join(d.list, "") != "abc" || d.n != 10 || d.share != 0.025 || d.d != 90*time.Second || d.word != "1" || d.deep != "x" {
		t.Errorf("got %+v", d)
	}
	if got, want := strings.Join(d.args, " "), "012 1e3 yes null-ish true .5"; got != want {
		t.Errorf("args: got %q, want %q: a value is what it looks like", got, want)
	}
	if d.free["1"] != "a" || d.free["b"] != "2" {
		t.Errorf("free: got %v", d.free)
	}
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"text: 1":                      "f.yml:1:7: text: expected text, got the number 1 (put quotes around it)",
		"text: true":                   "f.yml:1:7: text: expected text, got true (put quotes around it)",
		"text: ''":                     `f.yml:1:7: text "": expected 1 to 20 bytes`,
		"text:":                        "f.yml:1:1: text: expected text, got nothing",
		"text: ~":                      "f.yml:1:1: text: expected text, got nothing",
		"text: \"a\\u0000b\"":          "f.yml:1:7: text: unexpected control character",
		"list: [a, b, c, d]":           "f.yml:1:7: list has 4 items: expected 0 to 3",
		"list:\n  - a\n  - [b]":        "f.yml:3:5: list[1]: expected text, got a list",
		"n: 011":                       "f.yml:1:4: n: expected a whole number from 1 to 10, got the number 011",
		"n: 1_0":                       "f.yml:1:4: n: expected a whole number from 1 to 10, got the number 1_0",
		"n: 0x5":                       "f.yml:1:4: n: expected a whole number from 1 to 10, got the number 0x5",
		"n: -1":                        "f.yml:1:4: n: expected a whole number from 1 to 10, got the number -1",
		"n: 11":                        "f.yml:1:4: n 11: expected 1 to 10",
		"share: 51%":                   "f.yml:1:8: share 51%: expected a percentage from 1% to 50%",
		"share: -2%":                   `f.yml:1:8: share: expected a percentage from 1% to 50%, got "-2%"`,
		"d: 2h":                        "f.yml:1:4: d 2h: expected 1s to 1h",
		"d: -2h":                       `f.yml:1:4: d: expected 1s to 1h, such as 1s, got "-2h"`,
		"word: 2":                      "f.yml:1:7: word: expected one of 1, all, got the number 2",
		"under: {}":                    `f.yml:1:8: missing key "deep"`,
		"under: x":                     `f.yml:1:8: under: expected a map, got "x"`,
		"free: {a: 1, b: 2, c: 3}":     "f.yml:1:8: free has 3 keys: expected at most 2",
		"? text\n: x":                  `f.yml:1:1: unexpected explicit key: write "key: value" (or quote a leading ?)`,
		"%YAML 1.2\n---\ntext: x":      "f.yml:1:1: unexpected directive: directives are not supported (quote a leading %)",
		"text: 'open":                  "f.yml:1:7: could not find end character of single-quoted text",
		"text: a\n text: b":            "",
		"[a]: b":                       "",
		"text: a\u0085b":               "f.yml:1:8: unexpected control character U+0085",
		strings.Repeat("a: b\n", 4000): "f.yml:3334:2: the file is too long: expected at most 10000 words and signs",
	} {
		_, err := read(text)
		if err == nil || want != "" && err.Error() != want {
			t.Errorf("%.40q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{6 * time.Hour: "6h", time.Minute: "1m", 90 * time.Second: "1m30s", 500 * time.Millisecond: "500ms", time.Hour + time.Second: "1h0m1s", 90 * time.Minute: "1h30m"} {
		if got := Short(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}
