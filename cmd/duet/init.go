package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/openapi"
	"github.com/duet-bench/duet/internal/plan"
)

//go:embed init.tmpl
var initTemplate string

func initCommand(w world) *cobra.Command {
	var repo, openAPI string
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a commented duet.yml after finding Go main packages and Cargo binaries, or draft a workload",
		Long: `Look for go.mod main packages and Cargo binaries and write a commented duet.yml for the first of each. The
others are listed in it. An existing duet.yml is left alone.

With --openapi, draft a workload instead, bench/NAME.yaml, from an OpenAPI 3.0 or 3.1 document in YAML or JSON: one
request an operation, with comments on what to edit. Nothing that the document refers to is fetched.`,
		Example: "  duet init\n  duet init --openapi docs/openapi.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			if openAPI != "" {
				return initWorkload(w, repo, openAPI)
			}
			file := filepath.Join(repo, "duet.yml")
			if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
				return plan.Usagef("edit it, or move it away first", "%s is there already", file)
			}
			found, err := build.Discover(os.DirFS(repo))
			if err != nil {
				return err
			}
			text, err := draftConfig(found)
			if err != nil {
				return err
			}
			out := outFolder{path: repo, owner: nobody()}
			if err := out.write("duet.yml", text); err != nil {
				return err
			}
			fmt.Fprintf(w.stdout, "wrote %s: read it, then commit it and try `duet plan`\n", file)
			return nil
		},
	}
	c.Flags().StringVar(&repo, "repo", ".", "repository to look at")
	c.Flags().StringVar(&openAPI, "openapi", "", "OpenAPI document to draft a workload from")
	return c
}

// initWorkload drafts a workload from an OpenAPI document.
func initWorkload(w world, repo, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return plan.Usagef("", "reading the OpenAPI document: %w", err)
	}
	defer f.Close()
	document, err := readAtMost(f, openapi.MaxBytes)
	if err != nil {
		return plan.Usagef("cut it to the operations that matter", "reading %s: %w", file, err)
	}
	draft, err := openapi.New(filepath.Base(file), document)
	if err != nil {
		return plan.Usagef("", "%w", err)
	}
	name := path.Join("bench", draft.Name+".yaml")
	to := filepath.Join(repo, filepath.FromSlash(name))
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return plan.Usagef("edit it, or move it away first", "%s is there already", to)
	}
	out, err := newOutFolder(filepath.Dir(to), w)
	if err != nil {
		return err
	}
	if err := out.write(filepath.Base(to), draft.Text); err != nil {
		return err
	}
	fmt.Fprintf(w.stdout, "wrote %s: %s drafted", to, count(draft.Requests, "request"))
	if n := len(draft.LeftOut); n > 0 {
		fmt.Fprintf(w.stdout, ", %s left out (the file says why)", count(n, "operation"))
	}
	fmt.Fprintf(w.stdout, "\nedit it, try it: duet workload check %s --url http://127.0.0.1:8080\nand name it in duet.yml: workloads: [./%s]\n", to, name)
	return nil
}

// draft is what the template of a new duet.yml is filled with.
type draft struct {
	Go, Rust           *drafted
	OtherGo, OtherRust []drafted
}

// drafted is one service of a draft.
type drafted struct {
	Name string
	Dir  string
	Bin  string // Rust: the binary to choose among the crate's several; empty: it has one
}

// draftConfig fills the template and proves that the parser takes it.
func draftConfig(found build.Found) ([]byte, error) {
	d := draft{}
	d.Go, d.OtherGo = firstOfAll(found.Go, func(c build.Candidate) drafted {
		return drafted{Name: c.Name, Dir: path.Dir(c.Main)} // a main package is built in its own folder
	})
	d.Rust, d.OtherRust = firstOfAll(found.Rust, func(c build.Candidate) drafted {
		return drafted{Name: c.Name, Dir: c.Dir, Bin: c.Package}
	})
	if d.Go == nil && d.Rust == nil {
		return nil, plan.Usagef("run it at the root of the repository, or write duet.yml by hand: docs/configuration.md",
			"no Go main package (go.mod) and no Cargo binary (Cargo.toml) found")
	}
	var text strings.Builder
	page, err := template.New("duet.yml").Parse(initTemplate)
	if err != nil {
		return nil, err
	}
	if err := page.Execute(&text, d); err != nil {
		return nil, err
	}
	if _, err := plan.ParseConfig("duet.yml", []byte(text.String())); err != nil {
		return nil, fmt.Errorf("the drafted duet.yml is not valid, write one by hand (docs/configuration.md): %w", err)
	}
	return []byte(text.String()), nil
}

// firstOfAll prefers what looks like a server: a folder named so, else the shallowest.
func firstOfAll(all []build.Candidate, as func(build.Candidate) drafted) (first *drafted, others []drafted) {
	if len(all) == 0 {
		return nil, nil
	}
	best := 0
	for i, candidate := range all {
		if rank(candidate) < rank(all[best]) {
			best = i
		}
	}
	for i, candidate := range all {
		d := as(candidate)
		if i == best {
			first = &d
		} else {
			others = append(others, d)
		}
	}
	return first, others
}

func rank(c build.Candidate) int {
	name := strings.ToLower(path.Dir(c.Main) + " " + c.Name)
	for _, word := range []string{"server", "service", "api", "http", "web"} {
		if strings.Contains(name, word) {
			return strings.Count(c.Main, "/")
		}
	}
	return 100 + strings.Count(c.Main, "/")
}
