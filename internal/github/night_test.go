package github

import (
	"errors"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/github/fake"
)

// What earlier runs of the very workflow left on the very branch, and nobody recorded, is found.
func TestLeftOver(t *testing.T) {
	h := fake.New(t, fake.Options{})
	h.Grant(map[string]string{"actions": "read"})
	h.Workflow(4, ".github/workflows/nightly.yml")
	h.Workflow(5, ".github/workflows/other.yml")
	night := func(text string) []byte { return zipped(t, entry{name: "night.json", mode: 0o644, text: text}) }
	ran := func(id int64, change func(*fake.Run)) {
		r := fake.Run{ID: id, Workflow: 4, Attempt: 1, Event: "schedule", Head: sha("a"), Branch: "main", From: "o/r", Conclusion: "failure"}
		if change != nil {
			change(&r)
		}
		h.Ran(r)
		h.Left(fake.Artifact{ID: 100 + id, Run: id, Name: "duet-night-1", Zip: night("night of " + string(rune('0'+id)))})
		h.Left(fake.Artifact{ID: 200 + id, Run: id, Name: "duet-night-runs-1", Zip: []byte("never opened")})
	}
	ran(1, nil)
	ran(2, func(r *fake.Run) { r.Event = "workflow_dispatch" })
	h.Left(fake.Artifact{ID: 302, Run: 2, Name: "duet-night-2", Zip: zipped(t, entry{name: "night.json", mode: 0o644, text: "again"}, entry{name: "anchor.json", mode: 0o644, text: "moved"})})
	ran(3, func(r *fake.Run) { r.Branch = "topic" })
	ran(4, func(r *fake.Run) { r.From = "eve/r" })
	ran(5, func(r *fake.Run) { r.Event = "pull_request" })
	ran(6, func(r *fake.Run) { r.Workflow = 5 })
	ran(7, func(r *fake.Run) { r.Conclusion = "" })                                                                                          // still runs
	ran(8, nil)                                                                                                                              // recorded
	h.Ran(fake.Run{ID: 9, Workflow: 4, Attempt: 1, Event: "schedule", Head: sha("a"), Branch: "main", From: "o/r", Conclusion: "cancelled"}) // left nothing
	c, err := New(Options{APIURL: h.URL, Token: fake.Token, Repository: "o/r", Clock: newFakeClock()})
	if err != nil {
		t.Fatal(err)
	}
	earlier := Earlier{Before: 10, Workflow: ".github/workflows/nightly.yml", Branch: "main", Artifact: "duet-night", Known: func(run int64) bool { return run == 8 }}
	all, err := c.LeftOver(t.Context(), earlier)
	if err != nil || len(all) != 2 || all[0].Run != 1 || all[1].Run != 2 || len(all[0].Nights) != 1 || string(all[0].Nights[0]) != "night of 1" ||
		len(all[1].Nights) != 2 || string(all[1].Nights[0]) != "moved" || string(all[1].Nights[1]) != "again" {
		t.Errorf("got %+v, %v", all, err)
	}
	if n := len(h.Calls()); n != 6 {
		t.Errorf("%d calls, want the list, three runs' artifacts and two downloads:\n%v", n, h.Calls())
	}
	h.Left(fake.Artifact{ID: 101, Run: 1, Name: "duet-night-1", Zip: zipped(t, entry{name: "../night.json", mode: 0o644, text: "x"})})
	if _, err := c.LeftOver(t.Context(), earlier); !errors.Is(err, ErrArtifact) || !strings.Contains(err.Error(), "run 1") {
		t.Errorf("a path that leaves the archive: got %v", err)
	}
	h.Grant(map[string]string{"contents": "write", "issues": "write"})
	if _, err := c.LeftOver(t.Context(), earlier); !errors.Is(err, ErrReadOnly) {
		t.Errorf("without actions: read: got %v", err)
	}
}

func TestStrangeNights(t *testing.T) {
	file := func(name string) entry { return entry{name: name, mode: 0o644, text: "{}"} }
	for name, artifact := range map[string][]byte{
		"no zip": []byte("hello"), "nothing": zipped(t), "three files": zipped(t, file("a.json"), file("b.json"), file("c.json")),
		"one name twice": zipped(t, file("a.json"), file("a.json")), "a folder": zipped(t, file("x/a.json")), "out of it": zipped(t, file("../a.json")),
		"a link": zipped(t, entry{name: "a.json", mode: 0o777 | 1<<27, text: "/etc/passwd"}), "another name": zipped(t, file("a.sh")),
	} {
		if got, err := NightsIn(artifact); !errors.Is(err, ErrArtifact) {
			t.Errorf("%s: got %d nights, %v", name, len(got), err)
		}
	}
}
