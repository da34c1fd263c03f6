package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/sandbox"
)

// storeFlags say where the history is.
type storeFlags struct {
	store, repo string
}

func (s *storeFlags) flags(f *pflag.FlagSet) {
	f.StringVar(&s.store, "store", "branch:"+history.DefaultBranch, "where the history is: branch:NAME of the origin of --repo, or folder:PATH")
	f.StringVar(&s.repo, "repo", ".", "a clone of the repository")
}

// named is the branch or the folder that --store names.
func (s *storeFlags) named() (name string, isBranch bool, err error) {
	kind, name, ok := strings.Cut(s.store, ":")
	if !ok || name == "" || (kind != "branch" && kind != "folder") {
		return "", false, plan.Usagef("", "--store %q: expected branch:NAME or folder:PATH", s.store)
	}
	return name, kind == "branch", nil
}

// open prepares the store; keep is the folder where an entry is left that a branch does not take. The caller must call done.
func (s *storeFlags) open(ctx context.Context, w world, keep string) (store history.Keeper, done func() error, err error) {
	name, isBranch, err := s.named()
	if err != nil {
		return nil, nil, err
	}
	if !isBranch {
		return history.OpenFolder(name), func() error { return nil }, nil
	}
	remote, err := history.Origin(ctx, s.repo)
	if err != nil {
		return nil, nil, err
	}
	b, err := history.OpenBranch(history.BranchOptions{Remote: remote, Name: name, Token: tokenFor(remote, w.getenv), Keep: keep})
	if err != nil {
		return nil, nil, err
	}
	return b, b.Close, nil
}

// tokenFor is GITHUB_TOKEN for a remote on the server that it is a token of, and for no other.
func tokenFor(remote string, getenv func(string) string) string {
	u, err := url.Parse(remote)
	server, err2 := url.Parse(getenv("GITHUB_SERVER_URL"))
	if err != nil || err2 != nil || server.Host == "" || !strings.EqualFold(u.Host, server.Host) {
		return ""
	}
	return getenv("GITHUB_TOKEN")
}

func historyCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "history",
		Short: "Look at the nights' results, carry them elsewhere and back, thin them out",
		Long: `The history of nights is one file a result on a branch of the repository (duet-history), or in a folder. What is
recorded is never rewritten and never forced; a file that cannot be read stops every command with the store untouched.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(historyListCommand(w), historyExportCommand(w), historyImportCommand(w), historyCompactCommand(w))
	return c
}

// loadHistory reads all entries and says what was odd.
func loadHistory(ctx context.Context, w world, s history.Store) ([]history.Entry, error) {
	l, err := s.Load(ctx)
	if err != nil {
		return nil, err
	}
	for _, warning := range l.Warnings {
		fmt.Fprintf(w.stderr, "warning: %s\n", sandbox.Harmless(warning))
	}
	return l.Entries, nil
}

// withStore runs a step on the open store.
func (s *storeFlags) withStore(ctx context.Context, w world, step func(history.Keeper) error) (err error) {
	store, done, err := s.open(ctx, w, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return step(store)
}

func historyListCommand(w world) *cobra.Command {
	var s storeFlags
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the nights, oldest first, and the gaps between them",
		Example: "  duet history list\n  duet history list --store folder:history",
		RunE: func(c *cobra.Command, _ []string) error {
			return s.withStore(c.Context(), w, func(store history.Keeper) error {
				entries, err := loadHistory(c.Context(), w, store)
				if err != nil {
					return err
				}
				return listHistory(w.stdout, entries)
			})
		},
	}
	s.flags(c.Flags())
	return c
}

func listHistory(w io.Writer, entries []history.Entry) error {
	if len(entries) == 0 {
		_, err := fmt.Fprintln(w, "No night is recorded yet.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "recorded\tcommit\tanchor\tstate\trows\tmachine\tsubject")
	for _, e := range entries {
		state := string(e.State)
		if e.Previous != nil {
			state = "moves the anchor"
		}
		fmt.Fprintf(table, "%s\t%.12s\t%.12s\t%s\t%d\t%s, %d cores\t%s\n", e.Recorded, e.Commit.SHA, e.Anchor.SHA, state, len(e.Rows),
			sandbox.Sanitize(e.Machine.CPU), e.Machine.Cores, sandbox.Sanitize(e.Commit.Subject))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, m := range history.Gaps(entries) {
		when := m.First.Format(time.DateOnly)
		if m.Nights > 1 {
			when += " to " + m.Last.Format(time.DateOnly)
		}
		why := m.Why
		if why == "" {
			why = "nothing was recorded"
		}
		fmt.Fprintf(w, "missing: %s: %s\n", when, sandbox.Sanitize(why))
	}
	return nil
}

// historyExport is what `duet history export` was asked for.
type historyExport struct {
	storeFlags
	format, out string
}

func historyExportCommand(w world) *cobra.Command {
	var h historyExport
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the history as NDJSON, or in the Go benchmark format for benchstat",
		Long: `Write all entries to standard output or to --out: as NDJSON, one entry a line, which ` + "`duet history import`" + ` takes; or as
benchfmt, the Go benchmark format, where each night has the anchor's and the commit's figures, told apart by the key side.`,
		Example: "  duet history export > nights.ndjson\n  duet history export --format benchfmt --out nights.txt\n  benchstat -ignore night,sha -col side nights.txt",
		RunE: func(c *cobra.Command, _ []string) error {
			if h.format != "ndjson" && h.format != "benchfmt" {
				return plan.Usagef("", "--format %q: expected one of ndjson, benchfmt", h.format)
			}
			return h.withStore(c.Context(), w, func(store history.Keeper) error { return h.export(c.Context(), w, store) })
		},
	}
	h.flags(c.Flags())
	c.Flags().StringVar(&h.format, "format", "ndjson", "ndjson or benchfmt")
	c.Flags().StringVar(&h.out, "out", "", "file to write (default: standard output)")
	return c
}

func (h *historyExport) export(ctx context.Context, w world, store history.Store) error {
	entries, err := loadHistory(ctx, w, store)
	if err != nil {
		return err
	}
	write := history.WriteNDJSON
	if h.format == "benchfmt" {
		write = history.WriteBenchfmt
	}
	if h.out == "" {
		return write(w.stdout, entries)
	}
	var text strings.Builder
	if err := write(&text, entries); err != nil {
		return err
	}
	folder, err := newOutFolder(filepath.Dir(h.out), w)
	if err != nil {
		return err
	}
	return folder.write(filepath.Base(h.out), []byte(text.String()))
}

func historyImportCommand(w world) *cobra.Command {
	var s storeFlags
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Add the entries of an NDJSON file, or an entry that was kept when it could not be recorded",
		Long: `Read entries from FILE (- is standard input), one JSON a line, and add them to the history: all, or none where one
of them cannot be read or differs from what is there under its name. What is there already is left as it is.`,
		Example: "  duet history import nights.ndjson\n  duet history export --store folder:a | duet history import --store folder:b -",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			entries, err := readHistory(w, args[0])
			if err != nil {
				return err
			}
			return s.withStore(c.Context(), w, func(store history.Keeper) error {
				if err := store.Import(c.Context(), entries); err != nil {
					return err
				}
				_, err := fmt.Fprintf(w.stdout, "%s of %s in %s\n", entryCount(len(entries)), args[0], s.store)
				return err
			})
		},
	}
	s.flags(c.Flags())
	return c
}

func readHistory(w world, name string) ([]history.Entry, error) {
	if name == "-" {
		return history.ReadNDJSON("standard input", w.stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, plan.Usagef("", "importing: %w", err)
	}
	defer f.Close()
	return history.ReadNDJSON(name, f)
}

// entryCount is a number and the word for it.
func entryCount(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return strconv.Itoa(n) + " entries"
}

// historyCompact is what `duet history compact` was asked for.
type historyCompact struct {
	storeFlags
	daily, then string
	yes         bool
}

func historyCompactCommand(w world) *cobra.Command {
	var h historyCompact
	c := &cobra.Command{
		Use:   "compact",
		Short: "Thin out old nights: say which would go, and with --yes remove them",
		Long: `Keep every night that is younger than --keep-daily, and of what is older one night a week or a month. Entries that move the
anchor always stay, and so does a night of each machine. Nothing is removed without --yes. On a branch it is one normal commit
that deletes files: the branch's past keeps them, and nothing is rewritten.`,
		Example: "  duet history compact --keep-daily 400d --then weekly\n  duet history compact --keep-daily 400d --then weekly --yes",
		RunE: func(c *cobra.Command, _ []string) error {
			keep, err := h.retention()
			if err != nil {
				return err
			}
			return h.withStore(c.Context(), w, func(store history.Keeper) error { return h.compact(c.Context(), w, store, keep) })
		},
	}
	h.flags(c.Flags())
	c.Flags().StringVar(&h.daily, "keep-daily", "400d", "keep all that is younger, in days")
	c.Flags().StringVar(&h.then, "then", string(history.Weekly), "of what is older keep one night: weekly, monthly, or nothing")
	c.Flags().BoolVar(&h.yes, "yes", false, "remove them")
	return c
}

func (h *historyCompact) retention() (history.Retention, error) {
	days, err := strconv.Atoi(strings.TrimSuffix(h.daily, "d"))
	if err != nil || days < 1 || days > 36_500 || !strings.HasSuffix(h.daily, "d") {
		return history.Retention{}, plan.Usagef("", "--keep-daily %q: expected days, such as 400d", h.daily)
	}
	then, err := history.ParseThinning(h.then)
	if err != nil {
		return history.Retention{}, plan.Usagef("", "--then %w", err)
	}
	return history.Retention{Daily: time.Duration(days) * 24 * time.Hour, Then: then}, nil
}

func (h *historyCompact) compact(ctx context.Context, w world, store history.Keeper, keep history.Retention) error {
	entries, err := loadHistory(ctx, w, store)
	if err != nil {
		return err
	}
	drops := keep.Drops(entries, time.Now())
	if len(drops) == 0 {
		_, err := fmt.Fprintf(w.stdout, "Nothing to remove: all of %s stay.\n", entryCount(len(entries)))
		return err
	}
	ids := make([]string, len(drops))
	for i, e := range drops {
		ids[i] = e.ID
		fmt.Fprintf(w.stdout, "remove %s %s\n", e.Recorded, e.ID)
	}
	summary := fmt.Sprintf("%d of %s, recorded from %s to %s", len(drops), entryCount(len(entries)), drops[0].Recorded, drops[len(drops)-1].Recorded)
	if !h.yes {
		_, err := fmt.Fprintf(w.stdout, "Would remove %s. Nothing was removed: --yes does it.\n", summary)
		return err
	}
	if err := store.Remove(ctx, ids); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.stdout, "Removed %s.\n", summary)
	return err
}
