package history

import (
	"reflect"
	"strings"
	"testing"
)

func suspected() Entry {
	at := func(digit, subject string) Commit {
		return Commit{SHA: strings.Repeat(digit, 40), Subject: subject, Author: "ann", Date: "2026-01-02T03:04:05Z"}
	}
	bad := at("c", "core: cache lines")
	return Entry{
		Schema: Schema, ID: strings.Repeat("d", 40) + "-7.1", Recorded: "2026-01-03T03:00:00Z", Duet: "0.1.0", State: Measured,
		Commit: at("d", "last"), Anchor: at("a", "first"),
		Suspects: []Suspect{
			{Service: "go", Workload: "health", Metric: "p50", From: at("a", "first"), To: at("d", "last"), FirstBad: &bad,
				Steps: []Step{{Commit: bad.SHA, Found: FoundBad, Ratio: 1.2, Low: 1.1, High: 1.3, Rounds: 7}, {Commit: strings.Repeat("b", 40), Found: FoundSkipped, Why: "does not build at head"}}},
			{Service: "rust", Workload: "health", Metric: "p50", From: at("a", "first"), To: at("d", "last"), Left: []Commit{at("b", "x"), bad}, Why: "2 commits cannot be told apart"},
		},
		Notes: []string{"the anchor is not on the default branch any more"},
	}
}

func TestSuspectsTravel(t *testing.T) {
	want := suspected()
	text, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode("night.json", text)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	long := suspected()
	long.Notes[0], long.Suspects[0].FirstBad.Subject = strings.Repeat("x", 300), "a\nb"
	if text, err = Encode(long); err != nil || strings.Contains(string(text), strings.Repeat("x", 201)) {
		t.Errorf("long texts: %v", err)
	}
}

func TestStrangeSuspects(t *testing.T) {
	for name, spoil := range map[string]func(*Entry){
		"a sha that is none":   func(e *Entry) { e.Suspects[0].FirstBad.SHA = "main" },
		"a step of nothing":    func(e *Entry) { e.Suspects[0].Steps[0].Commit = "" },
		"a word nobody knows":  func(e *Entry) { e.Suspects[0].Steps[0].Found = "perhaps" },
		"a ratio below zero":   func(e *Entry) { e.Suspects[0].Steps[0].Ratio = -1 },
		"an interval reversed": func(e *Entry) { e.Suspects[0].Steps[0].Low = 2 },
		"too many left":        func(e *Entry) { e.Suspects[1].Left = make([]Commit, MaxLeft+1) },
		"too many notes":       func(e *Entry) { e.Notes = make([]string, maxNotes+1) },
		"a control character":  func(e *Entry) { e.Suspects[1].Service = "go\x1b[31m" },
	} {
		e := suspected()
		spoil(&e)
		if err := e.check(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
