package plan

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/workload"
)

// resourcesOf loads a plan from two configurations; base "" has none.
func resourcesOf(t *testing.T, base, head string, fork bool) Plan {
	t.Helper()
	in := Inputs{HeadConfig: config(t, two+head), Base: &Commit{SHA: "b"}, Head: Commit{SHA: "h"}, Fork: fork,
		Workloads: map[string]workload.Workload{"health": {Name: "health"}}}
	if base != "" {
		in.BaseConfig = config(t, two+base)
	}
	p, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Files are each side's own; where credentials go is base's, and never anything for a fork.
func TestWhoseDatabase(t *testing.T) {
	check := func(name, base, head string, fork bool, want map[Side]Resources, said string) {
		t.Helper()
		p := resourcesOf(t, base, head, fork)
		if !reflect.DeepEqual(p.Resources, want) {
			t.Errorf("%s: got base %+v, head %+v, want %+v, %+v", name, p.Resources[Base].Postgres, p.Resources[Head].Postgres, want[Base].Postgres, want[Head].Postgres)
		}
		if got := strings.Join(p.Warnings, "; "); said == "" && strings.Contains(got, "url_env") || !strings.Contains(got, said) {
			t.Errorf("%s: warnings %q, want …%s…", name, got, said)
		}
	}
	of := func(schema, urlEnv string, connect Connect) Resources {
		return Resources{Postgres: &Postgres{Schema: schema, URLEnv: urlEnv, Connect: connect}}
	}
	const none = "resources: {}\n"
	check("no database", none, none, false, nil, "")
	check("each side's own files", "resources: {postgres: {schema: a.sql}}\n", "resources: {postgres: {schema: b.sql}}\n", false,
		map[Side]Resources{Base: of("a.sql", "", ConnectSocket), Head: of("b.sql", "", ConnectSocket)}, "")
	check("head adds a database", none, "resources: {postgres: {schema: b.sql, connect: tcp}}\n", false,
		map[Side]Resources{Head: of("b.sql", "", ConnectTCP)}, "")
	check("no configuration at base", "", "resources: {postgres: {schema: b.sql, url_env: U}}\n", false,
		map[Side]Resources{Base: of("b.sql", "U", ConnectSocket), Head: of("b.sql", "U", ConnectSocket)}, "")
	check("head names another server", "resources: {postgres: {url_env: OURS}}\n", "resources: {postgres: {url_env: THEIRS}}\n", false,
		map[Side]Resources{Base: of("", "OURS", ConnectSocket), Head: of("", "OURS", ConnectSocket)}, `url_env is "THEIRS" at head, but "OURS" is used`)
	check("head alone names a server", none, "resources: {postgres: {url_env: THEIRS}}\n", false,
		map[Side]Resources{Head: of("", "", ConnectSocket)}, `url_env is "THEIRS" at head, but "" is used`)
	check("a fork", "resources: {postgres: {url_env: OURS}}\n", "resources: {postgres: {url_env: OURS}}\n", true,
		map[Side]Resources{Base: of("", "", ConnectSocket), Head: of("", "", ConnectSocket)}, "a fork's code gets a throwaway server")
	check("connect is head's", "resources: {postgres: {connect: socket}}\n", "resources: {postgres: {connect: tcp}}\n", false,
		map[Side]Resources{Base: of("", "", ConnectTCP), Head: of("", "", ConnectTCP)}, "")
}

// A workload that needs a database asks for one in duet.yml.
func TestWorkloadNeedsDatabase(t *testing.T) {
	load := func(head string) error {
		_, err := Load(Inputs{HeadConfig: config(t, two+head+"workloads: [db]\n"),
			Workloads: map[string]workload.Workload{"db": {Name: "db", Needs: workload.NeedsPostgres}}})
		return err
	}
	var usage *UsageError
	if err := load(""); !errors.As(err, &usage) || !strings.Contains(err.Error(), "workload db needs postgres") || !strings.Contains(usage.Hint, "resources: {postgres:") {
		t.Errorf("got %v, want a usage error with the way out", err)
	}
	if err := load("resources: {postgres: {}}\n"); err != nil {
		t.Error(err)
	}
}
