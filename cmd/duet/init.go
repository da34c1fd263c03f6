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
	"github.com/duet-bench/duet/internal/plan"
)

//go:embed init.tmpl
var initTemplate string

func initCommand(w world) *cobra.Command {
	var repo string
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a commented duet.yml after finding Go main packages and Cargo binaries",
		Long: `Look for go.mod main packages and Cargo binaries and write a commented duet.yml for the first of each. The
others are listed in it. An existing duet.yml is left alone.`,
		Example: "  duet init",
		RunE: func(c *cobra.Command, _ []string) error {
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
	return c
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
