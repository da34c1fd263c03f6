package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// merging is what `duet merge` was asked for.
type merging struct {
	duty
	from, out, plan string
}

func mergeCommand(w world) *cobra.Command {
	var m merging
	c := &cobra.Command{
		Use:   "merge [RUN.JSON…]",
		Short: "Make one run.json of the shards that several machines measured",
		Long: `Make one run of a plan's shards ("duet measure --shard"), which compare, publish and gate then read like any other.
Nothing is pooled: each workload's figures are those of the machine that measured it. All files must be of one plan, of
one version of Duet; two files of one shard must be the same. A shard that is missing is said, and its rows are not judged.

It exits 0 where anything was measured, 3 where nothing was, and 2 where the files do not belong together.`,
		Example: "  duet merge shard-1/run.json shard-2/run.json shard-3/run.json --out merged\n  duet merge --from shards --out .duet",
		Args:    cobra.ArbitraryArgs,
		RunE:    func(c *cobra.Command, args []string) error { return m.run(w, args) },
	}
	m.duty.flags(c)
	c.Flags().StringVar(&m.from, "from", "", "merge every run.json of this folder and of the folders in it")
	c.Flags().StringVar(&m.out, "out", defaultOut, "folder for run.json")
	c.Flags().StringVar(&m.plan, "plan", "", "refuse shards of another plan than the one with this digest")
	return c
}

func (m *merging) run(w world, args []string) error {
	if _, idle, err := m.begins(w, stepMerge); idle || err != nil {
		return err
	}
	files, err := m.files(args)
	if err != nil {
		return err
	}
	out, err := newOutFolder(m.out, w)
	if err != nil {
		return err
	}
	out.remove(runFile, reportFile, commentFile, reportHTMLFile)
	if err := out.renew(result.ProfileFolder); err != nil {
		return err
	}
	if len(files) == 0 {
		return notMeasured{fmt.Sprintf("no shard left a %s: nothing was measured", runFile)}
	}
	run, err := result.Merge(files)
	if err != nil {
		return plan.Usagef("", "merging: %w", err)
	}
	if digest := run.Plan.Digest(); !strings.HasPrefix(digest, m.plan) {
		return plan.Usagef("", "merging: --plan is %.16s, and these are shards of %.16s", m.plan, digest)
	}
	text, err := result.Encode(run)
	if err != nil {
		return err
	}
	if err := out.write(runFile, text); err != nil {
		return err
	}
	if err := bringProfiles(run, files, out.in(result.ProfileFolder)); err != nil {
		return err
	}
	for _, s := range run.Shards {
		what := string(s.State)
		if why := s.Unfinished(); why != "" {
			what = why
		}
		fmt.Fprintf(w.stderr, "shard %s (%s): %s\n", s.Name(), strings.Join(s.Workloads, ", "), what)
	}
	fmt.Fprintf(w.stdout, "%s: %s\n", run.State, filepath.Join(out.path, runFile))
	return measuredError(run)
}

// bringProfiles copies the raw profiles that lie beside the shards' files, unopened.
func bringProfiles(run result.Run, from []result.File, to outFolder) error {
	wanted := map[string]bool{}
	for _, p := range run.Profiles {
		if p.File != "" {
			wanted[p.File] = true
		}
	}
	for _, file := range from {
		folder, ok := openProfiles(filepath.Join(filepath.Dir(file.Name), result.ProfileFolder))
		if !ok {
			continue
		}
		for name := range wanted {
			text, err := folder.read(name)
			if err == nil {
				err = to.write(name, text)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				folder.close()
				return fmt.Errorf("copying the profile %s: %w", name, err)
			}
		}
		folder.close()
	}
	return nil
}

// files are those that were named and those of the folder.
func (m *merging) files(args []string) ([]result.File, error) {
	paths := slices.Clone(args)
	if m.from != "" {
		err := filepath.WalkDir(m.from, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == runFile && d.Type().IsRegular() {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // where no shard left anything there is no folder
			return nil, plan.Usagef("", "looking for shards: %w", err)
		}
	} else if len(args) == 0 {
		return nil, plan.Usagef("name the shards' files, or --from FOLDER", "nothing to merge")
	}
	if len(paths) > plan.MaxShards {
		return nil, plan.Usagef("", "%d files: expected at most %d", len(paths), plan.MaxShards)
	}
	var files []result.File
	for _, path := range paths {
		text, err := readFileAtMost(path, result.MaxBytes)
		if err != nil {
			return nil, plan.Usagef("", "reading %s: %w", path, err)
		}
		files = append(files, result.File{Name: path, Text: text})
	}
	return files, nil
}

func readFileAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, limit)
}
