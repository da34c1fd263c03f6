package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseEvent(t *testing.T) {
	t.Parallel()
	base, head := strings.Repeat("a", 40), strings.Repeat("b", 40)
	pull := func(headRepo string) string {
		return fmt.Sprintf(`{"action": "synchronize", "number": 7, "repository": {"full_name": "o/r", "default_branch": "trunk"}, "pull_request": {"number": 7, "draft": false,
			"base": {"sha": %q, "ref": "release/1.x", "repo": {"full_name": "o/r", "default_branch": "trunk"}},
			"head": {"sha": %q, "ref": "x", "repo": %s}}}`, base, head, headRepo)
	}
	own := &Event{Name: "pull_request", Number: 7, Action: "synchronize", BaseSHA: base, HeadSHA: head, HeadRepo: "o/r", BaseRepo: "o/r", BaseRef: "release/1.x", DefaultBranch: "trunk"}
	fork, deleted, target, upper := *own, *own, *own, *own
	upper.HeadRepo = "O/R"
	fork.HeadRepo, fork.Fork = "stranger/r", true
	deleted.HeadRepo, deleted.Fork = "", true
	target.Name = "pull_request_target"
	plain := func(name string) *Event {
		return &Event{Name: name, HeadRepo: "o/r", BaseRepo: "o/r", DefaultBranch: "trunk"}
	}
	pushed := func(ref, before string) *Event {
		e := plain("push")
		if e.Ref = ref; before != "" {
			e.BaseSHA, e.BaseRef = before, "trunk"
		}
		return e
	}
	const repository = `"repository": {"full_name": "o/r", "default_branch": "trunk"}`
	for _, tt := range []struct {
		name, text string
		want       *Event
		wantErr    string
	}{
		{"pull_request", pull(`{"full_name": "o/r"}`), own, ""},
		{"pull_request", pull(`{"full_name": "O/R"}`), &upper, ""},
		{"pull_request", pull(`{"full_name": "stranger/r"}`), &fork, ""},
		{"pull_request", pull(`null`), &deleted, ""},
		{"pull_request_target", pull(`{"full_name": "o/r"}`), &target, ""},
		{"merge_group", fmt.Sprintf(`{%s, "merge_group": {"base_sha": %q, "head_sha": %q, "base_ref": "refs/heads/main", "head_ref": "refs/heads/gh-readonly-queue/main/pr-1"}}`, repository, base, head),
			&Event{Name: "merge_group", BaseSHA: base, HeadSHA: head, HeadRepo: "o/r", BaseRepo: "o/r", BaseRef: "main", DefaultBranch: "trunk"}, ""},
		{"push", fmt.Sprintf(`{%s, "ref": "refs/heads/trunk", "before": %q, "after": %q}`, repository, base, head), pushed("refs/heads/trunk", base), ""},
		{"push", fmt.Sprintf(`{%s, "ref": "refs/heads/trunk", "before": %q}`, repository, strings.Repeat("0", 40)), pushed("refs/heads/trunk", ""), ""},
		{"push", fmt.Sprintf(`{%s, "ref": "refs/heads/x", "before": %q}`, repository, base), pushed("refs/heads/x", ""), ""},
		{"push", fmt.Sprintf(`{%s, "ref": "refs/heads/trunk", "before": "--x"}`, repository), nil, "base sha"},
		{"schedule", "{" + repository + `, "schedule": "0 3 * * *"}`, plain("schedule"), ""},
		{"workflow_dispatch", "{" + repository + `, "inputs": null}`, plain("workflow_dispatch"), ""},
		{"unheard_of", "{}", &Event{Name: "unheard_of"}, ""},
		{"pull_request", "{" + repository + "}", nil, "no pull_request with a base and a head"},
		{"merge_group", "{}", nil, "no merge_group"},
		{"push", "{", nil, "reading the push event"},
		{"push", `{"repository": "o/r"}`, nil, "reading the push event"},
		{"pull_request", strings.Replace(pull("null"), base, "--upload-pack=x", 1), nil, "base sha \"--upload-pack=x\" is not"},
		{"pull_request", strings.Replace(pull("null"), head, "HEAD", 1), nil, "head sha"},
		{"pull_request", strings.Replace(pull("null"), "release/1.x", "--x", 1), nil, "base branch \"--x\" is not a branch name"},
		{"push", `{"repository": {"default_branch": "a..b"}}`, nil, "default branch"},
		{"push", strings.Repeat(" ", maxEvent+1), nil, "more than"},
	} {
		got, err := ParseEvent(tt.name, []byte(tt.text))
		if tt.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("%s: got error %v, want %q", tt.name, err, tt.wantErr)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add("pull_request", `{"pull_request": {"base": {"sha": "x"}, "head": {}}}`)
	f.Add("merge_group", `{"merge_group": {"base_ref": "refs/heads/a b"}}`)
	f.Fuzz(func(t *testing.T, name, text string) {
		e, err := ParseEvent(name, []byte(text))
		if err != nil {
			return
		}
		for _, sha := range []string{e.BaseSHA, e.HeadSHA} {
			if sha != "" && !isHex(sha) {
				t.Errorf("sha %q", sha)
			}
		}
		for _, ref := range []string{e.BaseRef, e.DefaultBranch} {
			if strings.HasPrefix(ref, "-") || strings.ContainsAny(ref, "\x00\n ") {
				t.Errorf("branch %q", ref)
			}
		}
	})
}

func TestBranchName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"main", "release/1.x", "dependabot/npm_and_yarn/@a/b-1.2", "ü", "a-b", "$(id)"} {
		if !branchName(name) {
			t.Errorf("branchName(%q) = false", name)
		}
	}
	for _, name := range []string{"", "-x", "/a", "a/", "a//b", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", `a\b`, "a.", ".a", "x/.a", "a.lock", "a@{1}", "@", "a\nb", strings.Repeat("a", 2000)} {
		if branchName(name) {
			t.Errorf("branchName(%q) = true", name)
		}
	}
}
